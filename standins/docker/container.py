"""Container: made, started and waited for; changed in place where Docker can; its drift found and mended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provider.resource import Change, Diff, Failure, InitFailedError, ProviderError, State
from standins.docker.container_config import restart_policy, to_bytes
from standins.docker.container_making import remove_container, run_container, start_container
from standins.docker.container_outputs import COMPUTED, is_running, outputs_of
from standins.docker.container_rules import DEFAULTS, IN_PLACE, ON_PAPER, REFUSED, RULES
from standins.docker.container_state import imported_inputs, inputs_of, refreshed_inputs
from standins.docker.engine import CONFLICT, NOT_FOUND, EngineError
from standins.docker.health import wait_until_healthy
from standins.docker.images import find_image
from standins.docker.normal import normal
from standins.docker.resource import DockerResource

if TYPE_CHECKING:
    from provider.resource import Call

# In the outputs of a container that did not become healthy: the next update makes another one.
_FAILED = "__failed"


class Container(DockerResource):
    """A container."""

    args = "ContainerArgs"
    defaults = DEFAULTS
    refused = REFUSED
    rules = RULES
    computed = COMPUTED
    state_version = "2"

    def check(
        self, call: Call, old: dict[str, Any] | None, new: dict[str, Any]
    ) -> tuple[dict[str, Any], list[Failure]]:
        """Check also what no single property shows."""
        inputs, failures = super().check(call, old, new)
        for index, volume in enumerate(inputs.get("volumes") or [] if not failures else []):
            if bool(volume.get("containerPath")) == bool(volume.get("fromContainer")):
                failures.append(Failure(f"volumes[{index}]", "needs either containerPath or fromContainer"))
        return inputs, failures

    def replaces(self, name: str, new: dict[str, Any]) -> bool:
        """Most of a container is fixed, and Docker cannot lift a limit that was once set."""
        if name in {"memory", "memorySwap"}:
            # Both go together, and swap has a default that follows the memory.
            return not normal("memory", new.get("memory"))
        if name in {"restart", "maxRetryCount"} | ON_PAPER:
            return False
        return name not in IN_PLACE or not normal(name, new.get(name))

    def diff(self, call: Call, old: State, new: dict[str, Any]) -> Diff:
        """Take the old one away first, always: as the official plugin does."""
        return Diff(super().diff(call, old, new).changes, delete_before_replace=True)

    def other_changes(self, old: State) -> tuple[Change, ...]:
        """Replace what never became healthy."""
        return (Change("healthcheck", "UPDATE", replace=True),) if old.outputs.get(_FAILED) else ()

    def preview(self, call: Call, inputs: dict[str, Any], old: State | None) -> dict[str, Any]:
        """Foretell one that has not failed."""
        outputs = super().preview(call, inputs, old)
        outputs.pop(_FAILED, None)
        return outputs

    def create(self, call: Call, inputs: dict[str, Any]) -> State:
        """Make it, start it, wait for it."""
        find_image(self.engine, call, inputs["image"], platform=inputs.get("platform", ""))
        container = run_container(self.engine, inputs)
        return State(container, inputs, self._ready(call, container, inputs))

    def _ready(self, call: Call, container: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Wait for it if that was asked for, and describe it."""
        failure = None
        if inputs["wait"] and inputs["start"]:
            try:
                wait_until_healthy(self.engine, call, container, inputs)
            except ProviderError as error:
                failure = error
        found = self.engine.inspect_container(container)
        if found is None:
            raise failure or ProviderError(f'container "{inputs["name"]}" was removed while it was being started')
        outputs = self._outputs(inputs, found)
        if failure is not None:
            raise InitFailedError(str(failure), State(container, inputs, {**outputs, _FAILED: True})) from failure
        return outputs

    def read(self, call: Call, state: State) -> State | None:
        """Find what differs from what was asked for."""
        del call
        found = self.engine.inspect_container(state.id)
        if found is None:
            return None
        image = self.engine.inspect_image(found["Image"]) or {}
        actual = inputs_of(found, image, state.inputs)
        if not state.inputs:
            inputs = imported_inputs(actual)
        else:
            if actual.get("memorySwap") != state.inputs.get("memorySwap") and not self._limits_swap():
                # Docker has warned of it, and gone on without the limit.
                actual.pop("memorySwap", None)
            inputs = refreshed_inputs(state.inputs, actual)
        if inputs["mustRun"] and inputs["start"] and not is_running(found):
            inputs["mustRun"] = False
        outputs = self._outputs(inputs, found)
        healthy = (found["State"].get("Health") or {}).get("Status") == "healthy"
        if state.outputs.get(_FAILED) and not healthy:
            outputs[_FAILED] = True
        return State(found["Id"], inputs, outputs)

    def _limits_swap(self) -> bool:
        with self.engine.doing("ask the engine what it can do") as api:
            return bool(api.info().get("SwapLimit"))

    def update(self, call: Call, old: State, new: dict[str, Any]) -> dict[str, Any]:
        """Change its limits, and start it if it has stopped."""
        name = new["name"]
        found = self.engine.inspect_container(old.id)
        if found is None:
            raise ProviderError(f'container "{name}" is gone: `pulumi up --refresh` makes it again')
        changed = {change.path for change in self.diff(call, old, new).changes}
        if changed & IN_PLACE:
            with self.engine.doing(f'update container "{name}"') as api:
                api.update_container(old.id, **_limits(changed, new))
        if {"mustRun", "start"} & changed and new["mustRun"] and new["start"] and not is_running(found):
            start_container(self.engine, old.id, new)
            return self._ready(call, old.id, new)
        return self._outputs(new, self.engine.inspect_container(old.id) or found)

    def delete(self, call: Call, state: State) -> None:
        """Stop it, at once unless a grace was given, and remove it."""
        del call
        name = state.outputs.get("name", state.id)
        grace = state.outputs.get("destroyGraceSeconds") or 0
        try:
            if grace:
                with self.engine.doing(f'stop container "{name}"') as api:
                    api.stop(state.id, timeout=grace)
            remove_container(self.engine, state.id, name, volumes=state.outputs.get("removeVolumes", True))
        except EngineError as error:
            if error.status == CONFLICT and "already in progress" in str(error):
                self._await_removal(state.id)
            elif error.status != NOT_FOUND:
                raise

    def _await_removal(self, container: str) -> None:
        try:
            with self.engine.doing("wait for a container's removal") as api:
                api.wait(container, condition="removed")
        except EngineError as error:
            if error.status != NOT_FOUND:
                raise

    def _outputs(self, inputs: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
        seen = outputs_of(inputs, found)
        return self.outputs(inputs, seen) | ({"ports": seen["ports"]} if "ports" in seen else {})


def _limits(changed: set[str], new: dict[str, Any]) -> dict[str, Any]:
    """Name the limits as docker-py does."""
    limits: dict[str, Any] = {}
    if {"memory", "memorySwap"} & changed:
        memory = to_bytes(new["memory"])
        swap = new.get("memorySwap")
        # Docker's own default, which it fills in only when it creates.
        limits |= {"mem_limit": memory, "memswap_limit": to_bytes(swap) if swap else 2 * memory}
    if {"restart", "maxRetryCount"} & changed:
        limits["restart_policy"] = restart_policy(new)
    if "memoryReservation" in changed:
        limits["mem_reservation"] = to_bytes(new["memoryReservation"])
    names = {"cpuPeriod": "cpu_period", "cpuQuota": "cpu_quota", "cpuSet": "cpuset_cpus", "cpuShares": "cpu_shares"}
    return limits | {theirs: new[ours] for ours, theirs in names.items() if ours in changed}
