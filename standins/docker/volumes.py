"""Volume: a volume of the engine's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provider.resource import State
from standins.docker.engine import NOT_FOUND, EngineError
from standins.docker.resource import DockerResource, labels_from, labels_of
from standins.docker.rules import not_empty
from standins.docker.waiting import while_in_use

if TYPE_CHECKING:
    from provider.resource import Call

_RULES = {"name": not_empty}


class Volume(DockerResource):
    """A volume; nothing of it can be changed in place. As with the official plugin, an existing one is taken."""

    args = "VolumeArgs"
    refused = frozenset({"cluster"})
    rules = _RULES
    computed = frozenset({"driver", "mountpoint"})
    state_version = "1"

    def replaces(self, name: str, new: dict[str, Any]) -> bool:
        """Docker changes no volume."""
        del name, new
        return True

    def create(self, call: Call, inputs: dict[str, Any]) -> State:
        """Make it, or take the one that is there."""
        del call
        with self.engine.doing(f"create volume {inputs['name']}") as api:
            found = api.create_volume(
                name=inputs["name"],
                driver=inputs.get("driver"),
                driver_opts=inputs.get("driverOpts"),
                labels=labels_of(inputs),
            )
        return State(found["Name"], inputs, self._outputs(inputs, found))

    def read(self, call: Call, state: State) -> State | None:
        """Look whether it is there."""
        del call
        try:
            with self.engine.doing(f"inspect volume {state.id}") as api:
                found = api.inspect_volume(state.id)
        except EngineError as error:
            if error.status == NOT_FOUND:
                return None
            raise
        inputs = state.inputs or {
            "name": found["Name"],
            "driver": found["Driver"],
            "driverOpts": found.get("Options") or {},
            "labels": labels_from(found.get("Labels")),
            "__defaults": [],
        }
        return State(found["Name"], inputs, self._outputs(inputs, found))

    def delete(self, call: Call, state: State) -> None:
        """Remove it and its data, as soon as the last container has gone."""

        def remove() -> None:
            with self.engine.doing(f"remove volume {state.id}") as api:
                api.remove_volume(state.id, force=True)

        try:
            while_in_use(call, remove, "volume is in use")
        except EngineError as error:
            if error.status != NOT_FOUND:
                raise

    def _outputs(self, inputs: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
        return self.outputs(inputs, {"driver": found["Driver"], "mountpoint": found["Mountpoint"]})
