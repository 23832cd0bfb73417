"""Canary: how far a new version of a model has come beside the one that serves.

Nothing happens between two runs of `up`. Each run's Check works out, by the clock and by what the canary's pods tell,
whether a step is due. What it finds stands in the inputs, as names do that a provider makes: so a preview shows the
step with its share, and a run in which nothing is due has nothing to do.

Inputs: `model`; `from` and `to` (the images) with `fromVersion` and `toVersion`; `steps` (shares in percent), `pods`
(how many each has), `seconds` (how long each lasts; none: the only one stays), `limits` (`requests`, `errorRate`,
`p99`); how the pods are asked: `kubeconfig`, `context`, `namespace`, `labels`, `primary` and `secondary` (keys).
Check adds `weight`, `since`, `phase` (running, finished, aborted), `reason` and `counted`: what each pod had counted
when the step began, since limits are for the requests of a step. A pod's own restart begins its counts anew.
Outputs: those that Check adds, without `counted`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from provider.resource import Diff, Failure, Resource, State, changes
from provider.slipway.canary_pods import look
from provider.slipway.canary_steps import Decision, Limits, Plan, Stage, begun, decide
from provider.values import UNKNOWN

if TYPE_CHECKING:
    from provider.resource import Call

_TOLD = ("weight", "since", "phase", "reason")
_KEPT = (*_TOLD, "counted")
# How the pods are asked is no part of it: kubeconfigs lie elsewhere on other machines, keys are replaced.
_RELEVANT = ("from", "to", "steps", "seconds", "limits", *_TOLD)


class Canary(Resource):
    """A pair of versions, the share of the new one, and why it has that."""

    def check(
        self, call: Call, old: dict[str, Any] | None, new: dict[str, Any]
    ) -> tuple[dict[str, Any], list[Failure]]:
        """Work out which step is due."""
        asked = {name: value for name, value in new.items() if name not in _KEPT}
        known = old if old and "phase" in old else None
        if known and _pair(known) != _pair(asked):
            if known["phase"] == "finished" and known["from"] == asked["from"]:
                return {**asked, **_kept(known)}, [Failure("from", _would_go_back(known))]
            known = None
        plan = _plan(asked)
        decision = (
            decide(plan, stage, _now(), lambda: look(asked, _pods(asked, stage.weight)))
            if known and (stage := Stage.of(known))
            else begun(plan, _now())
        )
        self._tell(call, asked, decision)
        return {**asked, **decision.stage.values}, []

    def _tell(self, call: Call, asked: dict[str, Any], decision: Decision) -> None:
        more = ""
        if decision.stage.phase == "aborted":
            more = (
                f". Version {asked['fromVersion']} has all requests again. It stays so until the entry has another "
                "image: give a version that is mended, or the entry of before"
            )
        call.log(decision.severity, f"{asked['model']}: version {asked['toVersion']} {decision.says}{more}.")

    def diff(self, call: Call, old: State, new: dict[str, Any]) -> Diff:
        """Compare what is asked for, and how far it has come."""
        del call
        before, after = ({name: one.get(name) for name in _RELEVANT} for one in (old.inputs, new))
        return Diff(changes(before, after, replaces=lambda _: False))

    def preview(self, call: Call, inputs: dict[str, Any], old: State | None) -> dict[str, Any]:
        """Know all of it."""
        del call, old
        return _outputs(inputs)

    def create(self, call: Call, inputs: dict[str, Any]) -> State:
        """Remember it, which the engine does."""
        # The URN: it is this stack's own, and nowhere else is there anything to name.
        return State(call.urn, inputs, _outputs(inputs))

    def read(self, call: Call, state: State) -> State | None:
        """Tell what the state has: there is nothing else to look at."""
        del call
        return state if state.outputs else None

    def update(self, call: Call, old: State, new: dict[str, Any]) -> dict[str, Any]:
        """Remember it, which the engine does."""
        del call, old
        return _outputs(new)

    def delete(self, call: Call, state: State) -> None:
        """Forget it, which the engine does."""
        del call, state


def _now() -> datetime:
    return datetime.now(UTC)


def _pair(inputs: dict[str, Any]) -> tuple[Any, Any]:
    return inputs["from"], inputs["to"]


def _plan(inputs: dict[str, Any]) -> Plan:
    given = inputs.get("limits")
    limits = Limits(given["requests"], given.get("errorRate"), given.get("p99")) if given else None
    return Plan(tuple(inputs["steps"]), inputs.get("seconds"), limits)


def _pods(inputs: dict[str, Any], weight: int) -> int:
    """Return how many pods a step has."""
    return int(dict(zip(inputs["steps"], inputs["pods"], strict=True)).get(weight, 1))


def _would_go_back(known: dict[str, Any]) -> str:
    version, image = known["toVersion"], known["to"]
    digest = "" if image is UNKNOWN else f", digest: {image.partition('@')[2]}"
    return (
        f"still names version {known['fromVersion']}, which no pod runs any more: version {version} has taken all "
        f"requests, and would lose them. Set from: {{version: {version}{digest}}}, or remove `canary`"
    )


def _kept(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: inputs[name] for name in _KEPT}


def _outputs(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: inputs[name] for name in _TOLD}
