"""Azure Resource Manager: what a PUT, a GET and a DELETE do to the store, and its refusals in Azure's own words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from provider.resource import ProviderError
from standins.azure_native import management
from standins.azure_native.faults import settings, struck
from standins.azure_native.paths import parents
from standins.azure_native.store import Record, Store, fetch, forget, listed, save

if TYPE_CHECKING:
    import sqlite3

    from provider.resource import Call
    from standins.azure_native.kinds.kind import Kind

THROTTLED_ATTEMPTS = 4
_PAUSE_SECONDS = 0.2
_POLL_SECONDS = 0.1


class ArmError(ProviderError):
    """A refusal of Azure's."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """Say it as the official plugin shows it.

        Args:
            status: Of HTTP.
            code: Azure's name for it.
            message: Azure's words.
        """
        super().__init__(f'Status={status} Code="{code}" Message="{message}"')
        self.status = status
        self.code = code


class AcceptedError(Exception):
    """The request was taken, and then it did not work out: the resource is there."""


def _refuse(fault: str, record_id: str, kind: Kind) -> None:
    name = record_id.rpartition("/")[2]
    if fault == "conflict":
        raise ArmError(
            409, "AnotherOperationInProgress", f"Another operation on this or dependent resource {name} is in progress."
        )
    if fault == "quota":
        raise ArmError(
            409,
            kind.quota_code,
            f"Resource type '{kind.path.arm_type}' quota exceeded: the limit is reached in this region (injected).",
        )
    raise ArmError(
        429,
        "TooManyRequests",
        f"The request to {name} was throttled; retried {THROTTLED_ATTEMPTS - 1} times (injected).",
    )


class Arm:
    """The control plane over one store."""

    def __init__(self, store: Store) -> None:
        """Use a store."""
        self.store = store

    def before(self, call: Call, kind: Kind, resource: str, operation: str) -> None:
        """Let the failures happen that come before anything is done; throttling is waited out, as the SDKs do.

        Raises:
            ArmError: As asked for.
        """
        name = resource.rpartition("/")[2]
        for attempt in range(THROTTLED_ATTEMPTS):
            fault = struck(self.store, ("throttle", "conflict", "quota"), kind.token, name, operation)
            if fault is None:
                return
            if fault != "throttle" or attempt == THROTTLED_ATTEMPTS - 1:
                _refuse(fault, resource, kind)
            call.status(f"Azure is busy (429), trying again ({attempt + 1})")
            call.cancelled.wait(_PAUSE_SECONDS * 2**attempt)

    def put(self, kind: Kind, resource: str, inputs: dict[str, Any]) -> Record:
        """Take a request: all checks of Azure's, then the resource is there and being made.

        Args:
            kind: Its type.
            resource: Its id.
            inputs: What was asked for.

        Returns:
            What was written, in the state Creating or Updating.

        Raises:
            ArmError: Azure refuses.
        """
        options = settings(self.store)
        body = kind.stored(inputs)
        with self.store.transaction() as db:
            old = fetch(db, resource)
            self._need_parents(db, resource)
            self._need_identities(db, inputs)
            if old is None:
                self._need_quota(db, kind, resource, body, options)
                kind.refuse_create(db, resource, inputs)
            else:
                kind.refuse_update(db, old, inputs)
            self._take_names(db, kind, resource, body, options)
            computed = kind.compute(db, resource, inputs, old)
            latency = float(options.get("latency", 0))
            record = Record(
                resource, kind.token, body, computed, "Updating" if old else "Creating", time.time() + latency
            )
            if kind.runs:
                # Only the plugin's own work ends it: a killed one leaves it unfinished.
                record.ready_at = 0.0
            save(db, record)
        return record

    def finish(self, call: Call, kind: Kind, record: Record, inputs: dict[str, Any], operation: str) -> Record:
        """Make what was taken, and wait for it.

        Raises:
            AcceptedError: It did not work out.
        """
        fault = struck(self.store, ("timeout", "fail"), kind.token, record.name, operation)
        if fault == "timeout":
            raise AcceptedError(
                f"the {operation} of {record.id} was accepted, but polling for its end timed out: "
                "context deadline exceeded (injected)"
            )
        try:
            if fault == "fail":
                raise ArmError(
                    500,
                    "InternalServerError",
                    "The resource was accepted, and then could not be provisioned (injected).",
                )
            record.computed |= kind.provision(call, record, inputs)
        except ProviderError as error:
            record.state = "Failed"
            self.write(record)
            raise AcceptedError(str(error)) from error
        self._wait(call, record)
        record.state, record.ready_at = "Succeeded", 0.0
        self.write(record)
        return record

    def _wait(self, call: Call, record: Record) -> None:
        limit = time.time() + call.timeout if call.timeout else float("inf")
        while (now := time.time()) < record.ready_at:
            call.status(f"{record.state} ...")
            if now > limit:
                raise AcceptedError(f"{record.id} was not provisioned in time: context deadline exceeded")
            if call.cancelled.wait(min(_POLL_SECONDS, record.ready_at - now)):
                raise AcceptedError(f"interrupted while {record.id} was being provisioned")

    def write(self, record: Record) -> None:
        """Write what has become of a resource, unless it has been deleted meanwhile."""
        with self.store.transaction() as db:
            if fetch(db, record.id) is not None:
                save(db, record)

    def delete(self, call: Call, resource: str) -> None:
        """Take a resource away, and all that is in it: the innermost first, so that a killed one can be repeated."""
        from standins.azure_native.kinds.all import kind_of  # noqa: PLC0415 - the kinds need this module

        with self.store.transaction() as db:
            records = listed(db, under=resource)
        for record in sorted(records, key=lambda one: len(one.id), reverse=True):
            kind = kind_of(record.token, self.store)
            with self.store.lock(record.id):
                kind.remove(call, record)
                with self.store.transaction() as db:
                    kind.removed(db, record)
                    forget(db, record.id)
        management.settle(self.store)

    def _need_parents(self, db: sqlite3.Connection, resource: str) -> None:
        for parent in parents(resource):
            is_resource = "/resourcegroups/" in parent.lower()
            if not is_resource or fetch(db, parent) is not None:
                continue
            if "/providers/" in parent.lower():
                raise ArmError(
                    404,
                    "ParentResourceNotFound",
                    f"Failed to perform the request: the parent resource {parent} could not be found.",
                )
            raise ArmError(
                404, "ResourceGroupNotFound", f"Resource group '{parent.rpartition('/')[2]}' could not be found."
            )

    def _need_identities(self, db: sqlite3.Connection, inputs: dict[str, Any]) -> None:
        for one in (inputs.get("identity") or {}).get("userAssignedIdentities") or ():
            if fetch(db, one) is None:
                raise ArmError(400, "FailedIdentityOperation", f"The identity '{one}' could not be found.")

    def _need_quota(
        self, db: sqlite3.Connection, kind: Kind, resource: str, body: dict[str, Any], options: dict[str, Any]
    ) -> None:
        limit = options.get("quotas", {}).get(kind.token, kind.quota)
        if limit is None:
            return
        location = body.get("location")
        have = [one for one in listed(db, kind.token) if one.body.get("location") == location]
        if len(have) >= limit:
            raise ArmError(
                409,
                kind.quota_code,
                f"Resource type '{kind.path.arm_type}' quota '{limit}' exceeded in region '{location}': "
                f"{resource.rpartition('/')[2]} would be one too many.",
            )

    def _take_names(
        self, db: sqlite3.Connection, kind: Kind, resource: str, body: dict[str, Any], options: dict[str, Any]
    ) -> None:
        key = resource.lower()
        db.execute("DELETE FROM names WHERE key = ?", (key,))
        for scope, name in kind.global_names(resource, body):
            owner = db.execute("SELECT key FROM names WHERE kind = ? AND name = ?", (scope, name.lower())).fetchone()
            if owner or name in options.get("taken", ()):
                raise ArmError(409, kind.taken_code, kind.taken_message(name))
            db.execute("INSERT INTO names VALUES (?, ?, ?)", (scope, name.lower(), key))
