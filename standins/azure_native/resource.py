"""What the engine's calls do with a resource of any type: as the official plugin does, over the stand-in's store."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from provider.resource import Diff, Failure, InitFailedError, ProviderError, Resource, State
from provider.values import UNKNOWN, has_unknown
from standins.azure_native.arm import AcceptedError
from standins.azure_native.checking import check_inputs
from standins.azure_native.difference import differences
from standins.azure_native.schema import schema_of
from standins.azure_native.store import forget

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider.resource import Call
    from standins.azure_native.arm import Arm
    from standins.azure_native.kinds.kind import Kind
    from standins.azure_native.schema import Schema, Type
    from standins.azure_native.store import Record

_SYSTEM_DATA = {"createdByType": "Application", "lastModifiedByType": "Application"}


class AzureResource(Resource):
    """One type, whatever it is."""

    def __init__(self, kind: Kind, arm: Arm, config: dict[str, str], first: Callable[[Call], None]) -> None:
        """Be a type.

        Args:
            kind: Which, and what is particular to it.
            arm: Where its resources are.
            config: The provider's configuration: subscriptionId, location.
            first: Told of each check, to say once that this is a stand-in.
        """
        self.kind = kind
        self.arm = arm
        self.config = config
        self.first = first

    @property
    def schema(self) -> Schema:
        """The SDK's types."""
        return schema_of(self.kind.token)

    def check(
        self, call: Call, old: dict[str, Any] | None, new: dict[str, Any]
    ) -> tuple[dict[str, Any], list[Failure]]:
        """Check types, then Azure's rules; fill in a name and the location."""
        self.first(call)
        inputs = {name: value for name, value in new.items() if value is not None}
        failures: list[Failure] = []
        try:
            self._complete(call, old or {}, inputs)
        except ProviderError as error:
            failures.append(Failure(self.kind.path.name, str(error)))
        failures += check_inputs(self.schema, inputs)
        if not failures:
            failures += [Failure(path, reason) for path, reason in self.kind.check(inputs)]
        return inputs, failures

    def _complete(self, call: Call, old: dict[str, Any], inputs: dict[str, Any]) -> None:
        name = self.kind.path.name
        if name not in inputs and name not in self.schema.required:
            inputs[name], random = self._autoname(call, old.get(name))
            if random:
                inputs["__createBeforeDelete"] = True
        if "location" in self.schema.members and "location" not in inputs:
            location = old.get("location") or self.config.get("location") or self._group_location(inputs)
            if location:
                inputs["location"] = location

    def _autoname(self, call: Call, old: str | None) -> tuple[str, bool]:
        """Name it as the official plugin does: children after the program's name, others with random digits."""
        path = self.kind.path
        if path.name in {"blobServicesName", "fileServicesName", "managementPolicyName"}:
            return "default", False
        if len(path.parameters) > 2 and path.name != "roleAssignmentName":  # noqa: PLR2004 - a group and a name
            return old or call.name, False
        if old:
            return old, True
        if call.naming.disabled:
            raise ProviderError("a name is required: this stack's configuration turns automatic naming off")
        if path.name == "roleAssignmentName":
            return str(uuid.uuid5(uuid.NAMESPACE_OID, call.urn + call.naming.seed.hex())), True
        if call.naming.proposed:
            return call.naming.proposed, True
        plain = self.kind.token in {"storage:StorageAccount", "containerregistry:Registry", "batch:BatchAccount"}
        stem = re.sub(r"[^a-z0-9]", "", call.name.lower()) if plain else call.name
        return f"{stem}{call.naming.seed.hex()[:8]}", True

    def _group_location(self, inputs: dict[str, Any]) -> Any:
        group = inputs.get("resourceGroupName")
        if not isinstance(group, str) or self.kind.token == "resources:ResourceGroup":  # noqa: S105 - a type
            return UNKNOWN if group is UNKNOWN else None
        found = self.arm.store.get(f"/subscriptions/{self.subscription}/resourceGroups/{group}")
        # Not there yet in a preview: the update will know.
        return found.body.get("location") if found else None

    @property
    def subscription(self) -> str:
        """The subscription of the provider's configuration."""
        return self.config["subscriptionId"]

    def diff(self, call: Call, old: State, new: dict[str, Any]) -> Diff:
        """Compare inputs with inputs; a name that was given must be free before it can be taken again."""
        del call
        fixed = frozenset({*self.kind.path.parameters, "location", *self.kind.force_new})
        found = differences(old.inputs, new, fixed)
        return Diff(found, delete_before_replace=not old.inputs.get("__createBeforeDelete"))

    def preview(self, call: Call, inputs: dict[str, Any], old: State | None) -> dict[str, Any]:
        """Know the inputs; all that Azure adds is unknown until it is there."""
        del call
        known = old.outputs if old else {}
        outputs: dict[str, Any] = {}
        given = self.kind.stored(inputs)
        for name, kind in self.schema.outputs.items():
            if name == "azureApiVersion":
                outputs[name] = self.schema.api_version
            elif name == "type":
                outputs[name] = self.kind.path.arm_type
            elif name == "name" and isinstance(inputs.get(self.kind.path.name), str):
                outputs[name] = inputs[self.kind.path.name]
            elif name in given:
                outputs[name] = self._foretold(kind, given[name], known.get(name))
            else:
                outputs[name] = known.get(name, UNKNOWN)
        return outputs

    def _foretold(self, kind: Type, given: Any, known: Any) -> Any:
        """Mix what is given with unknowns for what only Azure knows, at any depth."""
        if kind["type"] == "array" and isinstance(given, list):
            same = isinstance(known, list) and len(known) == len(given)
            pairs = zip(given, known if same else [None] * len(given), strict=True)
            return [self._foretold(kind["items"], *pair) for pair in pairs]
        if kind["type"] == "map" and isinstance(given, list):
            # Identities: a list of ids becomes a map.
            return (
                UNKNOWN if has_unknown(given) else {one: {"clientId": UNKNOWN, "principalId": UNKNOWN} for one in given}
            )
        if kind["type"] != "ref" or not isinstance(given, dict):
            return given
        before = known if isinstance(known, dict) else {}
        members = self.schema.objects[kind["name"]]["members"]
        return {
            name: self._foretold(member, given[name], before.get(name)) if name in given else before.get(name, UNKNOWN)
            for name, member in members.items()
        }

    def create(self, call: Call, inputs: dict[str, Any]) -> State:
        """Make it; what is there already is refused, as by the official plugin's GET before its PUT."""
        if has_unknown(inputs):
            raise ProviderError("an unknown value in an update: the engine promised none")
        self._late_location(inputs)
        resource = self.kind.path.id_of(self.subscription, inputs)
        self.arm.before(call, self.kind, resource, "create")
        found = self.arm.store.get(resource)
        if found is not None and self._observed(found) is not None and not self.kind.exists_by_default:
            token = f"azure-native:{self.kind.token}"
            raise ProviderError(
                f"cannot create already existing resource '{resource}'. If it is this stack's own, from an update that "
                f"was killed: `pulumi import {token} {call.name} {resource}`"
            )
        outputs = self._put(call, resource, inputs, "create")
        return State(resource, inputs, outputs)

    def _late_location(self, inputs: dict[str, Any]) -> None:
        if "location" in self.schema.members and "location" not in inputs:
            location = self._group_location(inputs)
            if location:
                inputs["location"] = location
            else:
                raise ProviderError(
                    "location is required: neither the resource nor its group nor the configuration has one"
                )

    def _put(self, call: Call, resource: str, inputs: dict[str, Any], operation: str) -> dict[str, Any]:
        with self.arm.store.lock(resource):
            self.kind.prepare(call, inputs)
            record = self.arm.put(self.kind, resource, inputs)
            try:
                record = self.arm.finish(call, self.kind, record, inputs, operation)
            except AcceptedError as error:
                state = State(resource, inputs, self.outputs(record))
                raise InitFailedError(
                    f"resource partially created but read failed or not ready: {error}", state
                ) from error
        return self.outputs(record)

    def outputs(self, record: Record) -> dict[str, Any]:
        """Show a resource as the SDK's outputs."""
        found: dict[str, Any] = {
            **record.body,
            **record.computed,
            "name": record.name,
            "type": self.kind.path.arm_type,
            "azureApiVersion": self.schema.api_version,
            "provisioningState": record.provisioning_state,
            "systemData": dict(_SYSTEM_DATA),
        }
        return {name: found[name] for name in self.schema.outputs if found.get(name) is not None}

    def _observed(self, record: Record) -> Record | None:
        found = self.kind.observe(record)
        if found is None:
            with self.arm.store.transaction() as db:
                forget(db, record.id)
        return found

    def read(self, call: Call, state: State) -> State | None:
        """Look at it; what has changed behind the program's back becomes part of the inputs: a diff shows it."""
        self.arm.before(call, self.kind, state.id, "read")
        record = self.arm.store.get(state.id)
        record = self._observed(record) if record else None
        if record is None or record.token != self.kind.token:
            return None
        outputs = self.outputs(record)
        if not state.inputs:
            inputs = {**self._as_inputs({**record.body}), **(self.kind.path.parse(record.id) or {})}
            return State(record.id, inputs, outputs)
        inputs = dict(state.inputs)
        for name in self.schema.members:
            before, after = (self._as_inputs(self.kind.stored(one)).get(name) for one in (state.outputs, outputs))
            if name in self.kind.path.parameters or before == after:
                continue
            if after is None:
                inputs.pop(name, None)
            else:
                inputs[name] = after
        return State(record.id, inputs, outputs)

    def _as_inputs(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """Leave only what can be asked for."""
        wanted: dict[str, Any] = self._projected({"type": "ref", "name": self.schema.inputs}, outputs)
        return wanted

    def _projected(self, kind: Type, value: Any) -> Any:
        if kind["type"] == "array" and isinstance(value, dict):
            return sorted(value)
        if kind["type"] == "array" and isinstance(value, list):
            return [self._projected(kind["items"], item) for item in value]
        if kind["type"] != "ref" or not isinstance(value, dict):
            return value
        members = self.schema.objects[kind["name"]]["members"]
        return {name: self._projected(members[name], item) for name, item in value.items() if name in members}

    def update(self, call: Call, old: State, new: dict[str, Any]) -> dict[str, Any]:
        """PUT all of it again."""
        self.arm.before(call, self.kind, old.id, "update")
        if self.arm.store.get(old.id) is None:
            raise ProviderError(f"{old.id} is gone: `pulumi up --refresh` makes it again")
        return self._put(call, old.id, new, "update")

    def delete(self, call: Call, state: State) -> None:
        """Delete it, and what is in it; it may be gone already."""
        self.arm.before(call, self.kind, state.id, "delete")
        self.arm.delete(call, state.id)
