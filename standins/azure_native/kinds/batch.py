"""Batch accounts and their pools: the data plane is `standins/azure_batch`, where nodes are places for containers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from provider.resource import ProviderError
from standins.azure_native.arm import ArmError
from standins.azure_native.difference import differences
from standins.azure_native.kinds.kind import Kind
from standins.azure_native.store import fetch, save

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from provider.resource import Call
    from standins.azure_native.store import Record

# What Azure refuses to change in a pool that is there; azure-native does not know, so programs need replaceOnChanges.
_FIXED = frozenset(
    {
        "applicationLicenses",
        "deploymentConfiguration",
        "identity",
        "interNodeCommunication",
        "mountConfiguration",
        "networkConfiguration",
        "resourceTags",
        "targetNodeCommunicationMode",
        "taskSchedulingPolicy",
        "taskSlotsPerNode",
        "userAccounts",
        "vmSize",
    }
)
_MOST_SLOTS = 256
_REMOVAL_SECONDS = 120
_POLL_SECONDS = 0.2


class BatchAccount(Kind):
    """A Batch account: its name is unique in a region, taken as in all of Azure here."""

    global_name = "batch"
    force_new = frozenset({"poolAllocationMode"})
    quota = 3
    quota_code = "AccountQuotaReached"
    runs = True

    def check(self, inputs: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Check what Azure wants together."""
        yield from super().check(inputs)
        mode, vault = inputs.get("poolAllocationMode", "BatchService"), inputs.get("keyVaultReference")
        if mode == "UserSubscription" and vault is None:
            yield "keyVaultReference", "is required where poolAllocationMode is UserSubscription"
        if mode == "BatchService" and vault is not None:
            yield "keyVaultReference", "is only for the pool allocation mode UserSubscription"
        storage = inputs.get("autoStorage")
        if isinstance(storage, dict) and storage.get("authenticationMode") == "BatchAccountManagedIdentity":
            identity = inputs.get("identity")
            if not isinstance(identity, dict) or identity.get("type") == "None":
                yield "identity", "is required where autoStorage authenticates by it"
        yield from _empty("", inputs)

    def refuse_create(self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any]) -> None:
        """Ask for what it names."""
        del resource
        for name, part in (("autoStorage", "storageAccountId"), ("keyVaultReference", "id")):
            wanted = (inputs.get(name) or {}).get(part)
            if wanted and fetch(db, wanted) is None:
                raise ArmError(400, "InvalidProperty", f"{name}.{part} '{wanted}' could not be found.")

    def refuse_update(self, db: sqlite3.Connection, old: Record, inputs: dict[str, Any]) -> None:
        """Ask again."""
        self.refuse_create(db, old.id, inputs)

    def compute(
        self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any], old: Record | None
    ) -> dict[str, Any]:
        """Give it its limits."""
        return {
            **super().compute(db, resource, inputs, old),
            "dedicatedCoreQuota": 700,
            "lowPriorityCoreQuota": 500,
            "poolQuota": 100,
            "activeJobAndJobScheduleQuota": 100,
        }

    def provision(self, call: Call, record: Record, inputs: dict[str, Any]) -> dict[str, Any]:
        """Have its jobs served. Azure's address is a host of its own, without a scheme."""
        del inputs
        from standins.azure_native import batch_service  # noqa: PLC0415 - only accounts need it

        return {"accountEndpoint": batch_service.serve(call, self.store, record.name)}

    def remove(self, call: Call, record: Record) -> None:
        """Have its jobs served no longer."""
        del call
        from standins.azure_native import batch_service  # noqa: PLC0415 - only accounts need it

        batch_service.withdraw(self.store, record.name)


class Pool(Kind):
    """A pool of an account."""

    quota = 100
    quota_code = "PoolQuotaReached"
    runs = True

    def check(self, inputs: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Check what Azure wants beyond the types."""
        yield from super().check(inputs)
        yield from _empty("", inputs)
        for name in ("vmSize", "deploymentConfiguration"):
            if name not in inputs:
                yield name, "is required by Azure, though the SDK does not say so"
        slots = inputs.get("taskSlotsPerNode")
        if isinstance(slots, int) and not 1 <= slots <= _MOST_SLOTS:
            yield "taskSlotsPerNode", f"is {slots}; Azure allows 1 to {_MOST_SLOTS}, at most 4 for each core"
        scale = inputs.get("scaleSettings")
        if isinstance(scale, dict) and len(scale.keys() & {"autoScale", "fixedScale"}) != 1:
            yield "scaleSettings", "has either autoScale or fixedScale"
        if isinstance(scale, dict) and isinstance(scale.get("autoScale"), dict):
            yield from _check_formula(scale["autoScale"])
        yield from _check_registries(inputs)
        if "mountConfiguration" in inputs:
            yield "mountConfiguration", "is for Azure alone: the stand-in's nodes mount nothing; leave it out here"

    def refuse_create(self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any]) -> None:
        """Refuse what only a deletion could make room for."""
        del db, resource, inputs

    def refuse_update(self, db: sqlite3.Connection, old: Record, inputs: dict[str, Any]) -> None:
        """Refuse what cannot be changed in a pool."""
        del db
        found = [one.path for one in differences(old.body, self.stored(inputs), _FIXED) if one.replace]
        if found:
            raise ArmError(
                400,
                "PropertyCannotBeUpdated",
                f"The request to update pool '{old.name}' has properties that cannot be changed: {', '.join(found)}.",
            )

    def compute(
        self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any], old: Record | None
    ) -> dict[str, Any]:
        """Say how far its nodes are: they come when it is there."""
        found = super().compute(db, resource, inputs, old)
        before = old.computed if old else {}
        counts = {name: before.get(name, 0) for name in ("currentDedicatedNodes", "currentLowPriorityNodes")}
        return {**found, **counts, "allocationState": "Resizing"}

    def provision(self, call: Call, record: Record, inputs: dict[str, Any]) -> dict[str, Any]:
        """Leave its nodes to the data plane, which is started again if it has ended."""
        del inputs
        from standins.azure_native import batch_service  # noqa: PLC0415 - only accounts need it

        batch_service.serve(call, self.store, record.id.split("/")[-3])
        return self._seen(record)

    def _seen(self, record: Record) -> dict[str, Any]:
        nodes = _nodes(self.store.folder, record)
        ready = all(state in {"idle", "running"} for _, state in nodes)
        return {
            "currentDedicatedNodes": sum(is_dedicated for is_dedicated, _ in nodes),
            "currentLowPriorityNodes": sum(not is_dedicated for is_dedicated, _ in nodes),
            "allocationState": "Steady" if ready else "Resizing",
        }

    def observe(self, record: Record) -> Record | None:
        """Look at its nodes."""
        record.computed |= self._seen(record)
        return record

    def remove(self, call: Call, record: Record) -> None:
        """Have its nodes go; tasks that run on them wait again, for a pool that may come.

        Raises:
            ProviderError: They do not go.
        """
        from standins.azure_native import batch_service  # noqa: PLC0415 - only accounts need it

        record.state = "Deleting"
        with self.store.transaction() as db:
            save(db, record)
        batch_service.serve(call, self.store, record.id.split("/")[-3])
        until = time.monotonic() + _REMOVAL_SECONDS
        while _nodes(self.store.folder, record) or _has_containers(self.store.mark, record):
            call.status("its nodes go")
            if time.monotonic() > until:
                raise ProviderError(f"the nodes of {record.name} do not go")
            call.cancelled.wait(_POLL_SECONDS)


def _nodes(folder: Any, record: Record) -> list[tuple[bool, str]]:
    """A pool's nodes, as the data plane has them: whether dedicated, and their states."""
    import json  # noqa: PLC0415 - only where there is a pool
    import sqlite3  # noqa: PLC0415 - as above

    file = folder / "batch" / "batch.db"
    if not file.is_file():
        return []
    key = f"{record.id.split('/')[-3]}/{record.name.lower()}"
    db = sqlite3.connect(file, timeout=60)
    try:
        rows = db.execute("SELECT shown FROM documents WHERE kind = 'node' AND parent = ?", (key,)).fetchall()
    finally:
        db.close()
    return [(bool(one["isDedicated"]), str(one["state"])) for one in (json.loads(row[0]) for row in rows)]


def _has_containers(mark: str, record: Record) -> bool:
    from standins.azure_native.groups.bodies import STORE  # noqa: PLC0415 - only where there is a pool
    from standins.docker.engine import Engine  # noqa: PLC0415 - as above

    key = f"{record.id.split('/')[-3]}/{record.name.lower()}"
    with Engine().doing("list tasks") as api:
        label = [f"{STORE}={mark}", f"io.slipway.azure.batch.pool={key}"]
        return bool(api.containers(all=True, filters={"label": label}))


def _empty(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Batch refuses lists without anything in them, where it takes no list at all."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _empty(f"{path}.{name}".lstrip("."), one)
    elif isinstance(value, list):
        if not value:
            yield path, "is an empty list, which Batch refuses: leave it out"
        for index, one in enumerate(value):
            yield from _empty(f"{path}[{index}]", one)


def _check_formula(scale: dict[str, Any]) -> Iterator[tuple[str, str]]:
    from standins.azure_batch.formula import FormulaError, evaluate  # noqa: PLC0415 - only here

    formula, interval = scale.get("formula"), scale.get("evaluationInterval")
    if interval is not None and isinstance(interval, str) and interval in {"PT1M", "PT2M", "PT3M", "PT4M"}:
        yield "scaleSettings.autoScale.evaluationInterval", f"is {interval}; Azure evaluates every PT5M at the most"
    if isinstance(formula, str):
        none = {"PendingTasks": 0, "ActiveTasks": 0, "RunningTasks": 0}
        try:
            evaluate(formula, [(0.0, none)], 0.0)
        except FormulaError as error:
            yield "scaleSettings.autoScale.formula", str(error)


def _check_registries(inputs: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """An identity that pulls has to be one of the pool's."""
    machine = _at(inputs, "deploymentConfiguration", "virtualMachineConfiguration", "containerConfiguration")
    registries, own = _at(machine, "containerRegistries"), _at(inputs, "identity", "userAssignedIdentities") or []
    for one in registries if isinstance(registries, list) else []:
        identity = _at(one, "identityReference", "resourceId")
        # What is not known yet may be the same.
        known = isinstance(own, list) and all(isinstance(name, str) for name in own)
        if isinstance(identity, str) and known and identity not in own:
            yield (
                "deploymentConfiguration.virtualMachineConfiguration.containerConfiguration.containerRegistries",
                f"names the identity {identity}, which is not one of the pool's",
            )


def _at(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
