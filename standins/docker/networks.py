"""Network: a network of the engine's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provider.resource import ProviderError, State
from standins.docker.engine import CONFLICT, NOT_FOUND, EngineError
from standins.docker.resource import DockerResource, labels_from, labels_of
from standins.docker.rules import not_empty
from standins.docker.waiting import while_in_use

if TYPE_CHECKING:
    from provider.resource import Call

_IPAM = {"subnet": "Subnet", "ipRange": "IPRange", "gateway": "Gateway", "auxAddress": "AuxiliaryAddresses"}
_DEFAULTS = {"ipamDriver": "default"}
_RULES = {"name": not_empty}


class Network(DockerResource):
    """A network; nothing of it can be changed in place."""

    args = "NetworkArgs"
    defaults = _DEFAULTS
    rules = _RULES
    computed = frozenset({"driver", "internal", "ipamConfigs", "options", "scope"})
    state_version = "1"

    def replaces(self, name: str, new: dict[str, Any]) -> bool:
        """Docker changes no network."""
        del name, new
        return True

    def create(self, call: Call, inputs: dict[str, Any]) -> State:
        """Make it."""
        del call
        name = inputs["name"]
        ipam = {
            "Driver": inputs["ipamDriver"],
            "Options": inputs.get("ipamOptions") or {},
            "Config": [
                {_IPAM[key]: value for key, value in config.items() if value and key in _IPAM}
                for config in inputs.get("ipamConfigs") or []
            ],
        }
        options = {
            "driver": inputs.get("driver"),
            "options": inputs.get("options"),
            "ipam": ipam,
            "check_duplicate": True,
            "internal": bool(inputs.get("internal")),
            "labels": labels_of(inputs),
            "enable_ipv6": bool(inputs.get("ipv6")),
            "attachable": bool(inputs.get("attachable")),
            "ingress": bool(inputs.get("ingress")),
        }
        made = self._make(name, options)
        found = self._inspect(made)
        if found is None:
            raise ProviderError(f'network "{name}" was removed while it was being made')
        return State(made, inputs, self._outputs(inputs, found))

    def _make(self, name: str, options: dict[str, Any]) -> str:
        try:
            with self.engine.doing(f"create network {name}") as api:
                made: str = api.create_network(name, **options)["Id"]
                return made
        except EngineError as error:
            there = self._inspect(name) if error.status == CONFLICT else None
            if there is None:
                raise
            raise ProviderError(
                f'a network named "{name}" is there already ({there["Id"][:12]}), and this stack does not know '
                f"it: remove it (`docker network rm {name}`), choose another name, or import it"
            ) from error

    def read(self, call: Call, state: State) -> State | None:
        """Look whether it is there."""
        del call
        found = self._inspect(state.id)
        if found is None:
            return None
        inputs = state.inputs or _inputs(found)
        return State(found["Id"], inputs, self._outputs(inputs, found))

    def delete(self, call: Call, state: State) -> None:
        """Remove it, as soon as the last container has left it."""
        name = state.outputs.get("name", state.id)

        def remove() -> None:
            with self.engine.doing(f"remove network {name}") as api:
                api.remove_network(state.id)

        try:
            while_in_use(call, remove, "active endpoints")
        except EngineError as error:
            if error.status != NOT_FOUND:
                raise

    def _inspect(self, network: str) -> dict[str, Any] | None:
        try:
            with self.engine.doing(f"inspect network {network}") as api:
                found: dict[str, Any] = api.inspect_network(network)
                return found
        except EngineError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def _outputs(self, inputs: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
        seen = _inputs(found)
        return self.outputs(
            inputs, {name: seen[name] for name in sorted(self.computed - {"scope"})} | {"scope": found["Scope"]}
        )


def _inputs(found: dict[str, Any]) -> dict[str, Any]:
    ipam = found.get("IPAM") or {}
    return {
        "name": found["Name"],
        "driver": found["Driver"],
        "internal": found["Internal"],
        "attachable": found["Attachable"],
        "ingress": found["Ingress"],
        "ipv6": found["EnableIPv6"],
        "labels": labels_from(found["Labels"]),
        "options": found.get("Options") or {},
        "ipamDriver": ipam.get("Driver", "default"),
        "ipamOptions": ipam.get("Options") or {},
        "ipamConfigs": [
            {key: config[name] for key, name in _IPAM.items() if config.get(name)}
            for config in ipam.get("Config") or []
        ],
        "__defaults": [],
    }
