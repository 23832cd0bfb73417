"""Which step of a canary is due, by the clock, by its pods and by what they counted; nothing is asked here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from provider.slipway.canary_counts import Counts, summed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from provider.resource import Severity

Phase = Literal["running", "finished", "aborted"]
_ALL = 100


class CannotTellError(Exception):
    """How a canary does cannot be found out; its text is for people."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a canary may not exceed.

    Attributes:
        requests: With fewer in a step nothing is concluded.
        error_rate: The share of 5xx; None where it does not matter.
        p99: In seconds; None where it does not matter.
    """

    requests: int
    error_rate: float | None = None
    p99: float | None = None

    def exceeded(self, found: Counts) -> bool:
        """Return whether a canary exceeds one of them.

        Args:
            found: What its pods counted since the step began.
        """
        if found.requests < self.requests:
            return False
        fails = self.error_rate is not None and found.error_rate > self.error_rate
        return fails or (self.p99 is not None and found.p99 > self.p99)

    def figures(self, found: Counts) -> str:
        """Return what was found beside what is allowed."""
        said = []
        if self.error_rate is not None:
            said.append(
                f"{found.errors} of {found.requests} requests failed ({100 * found.error_rate:.3g} %; allowed are "
                f"{100 * self.error_rate:.3g} %)"
            )
        if self.p99 is not None:
            said.append(
                f"99 % of {found.requests} requests took at most {found.p99:.3g} s (allowed are {self.p99:g} s)"
            )
        return " and ".join(said)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the manifest asks for.

    Attributes:
        steps: The shares in percent, one after the other.
        seconds: How long each lasts at least; None where the only one stays.
        limits: What sends the canary back; None where nothing does.
    """

    steps: tuple[int, ...]
    seconds: float | None
    limits: Limits | None = None

    def at(self, weight: int) -> int:
        """Return the step that a canary is in: the last one that is not above its share, else the first."""
        return max((step for step in self.steps if step <= weight), default=self.steps[0])

    def after(self, weight: int) -> int | None:
        """Return the step that follows; None after the last one."""
        return next((step for step in self.steps if step > weight), None)


@dataclass(frozen=True, slots=True)
class Stage:
    """How far a canary is.

    Attributes:
        weight: The canary's share in percent; that of the last step once it is finished, 0 once it is aborted.
        since: Since when.
        phase: `finished` once it takes all requests, `aborted` once it gets none any more.
        reason: Why it was aborted.
        counted: What each of its pods had counted when the step began.
    """

    weight: int
    since: datetime
    phase: Phase = "running"
    reason: str = ""
    counted: Mapping[str, Counts] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Stage:
        """Return what `values` had."""
        counted = {pod: Counts.of(one) for pod, one in values["counted"].items()}
        since = datetime.fromisoformat(values["since"])
        return cls(values["weight"], since, values["phase"], values["reason"], counted)

    @property
    def values(self) -> dict[str, Any]:
        """What the state keeps."""
        return {
            "weight": self.weight,
            "since": self.since.isoformat(timespec="seconds"),
            "phase": self.phase,
            "reason": self.reason,
            "counted": {pod: one.values for pod, one in sorted(self.counted.items())},
        }


@dataclass(frozen=True, slots=True)
class Seen:
    """What the cluster tells of a canary.

    Attributes:
        ready: Since when as many of its pods as the step wants are ready; None where they are not.
        pods: How many are, for people.
        counted: What each of them has counted; empty where nobody wants to know.
    """

    ready: datetime | None
    pods: str
    counted: Mapping[str, Counts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """How a canary goes on.

    Attributes:
        stage: How far it is now.
        says: What to tell of it, to follow its version.
        severity: How loudly.
    """

    stage: Stage
    says: str
    severity: Severity = "info"


def begun(plan: Plan, now: datetime) -> Decision:
    """Return a canary's first step."""
    return Decision(Stage(plan.steps[0], now), f"begins with {plan.steps[0]} %{_follows(plan, plan.steps[0])}")


def decide(plan: Plan, before: Stage, now: datetime, look: Callable[[], Seen]) -> Decision:
    """Return how a canary goes on: as before, with the next step, with all requests, or with none.

    Args:
        plan: What is asked for.
        before: How far it was.
        now: The time.
        look: Asks the cluster; called only where something depends on it. It raises CannotTellError.
    """
    if before.phase == "aborted":
        return Decision(before, f"gets no request since {_shown(before.since)}: {before.reason}", "warning")
    if before.phase == "finished":
        return Decision(before, "has all requests; remove `canary` from its entry, which changes nothing that serves")
    if (weight := plan.at(before.weight)) != before.weight:
        stage = replace(before, weight=weight, since=now)
        return Decision(stage, f"has {weight} % by its entry, after {before.weight} %{_follows(plan, weight)}")
    due = None if plan.seconds is None else before.since + timedelta(seconds=plan.seconds)
    is_due = due is not None and now >= due
    if not is_due and plan.limits is None:
        return _waiting(plan, before, due)
    try:
        seen = look()
    except CannotTellError as error:
        return Decision(before, f"stays at {weight} %: {error}", "warning")
    return _judged(plan, before, now, seen)


def _judged(plan: Plan, before: Stage, now: datetime, seen: Seen) -> Decision:
    """Return how a canary goes on by what was seen of it."""
    found = summed(one.since(before.counted.get(pod)) for pod, one in seen.counted.items())
    limits, seconds = plan.limits, plan.seconds
    figures = limits.figures(found) if limits else ""
    if limits and limits.exceeded(found):
        reason = f"{figures} at {before.weight} %"
        return Decision(
            Stage(0, now, "aborted", reason), f"is aborted and gets no request any more: {reason}", "warning"
        )
    if seconds is None:
        return _waiting(plan, before, None, figures)
    if seen.ready is None:
        return Decision(before, f"stays at {before.weight} %: {seen.pods}")
    # A step begins when its pods are there, whenever it was asked for.
    due = max(before.since, seen.ready) + timedelta(seconds=seconds)
    if now < due:
        return _waiting(plan, before, due, figures)
    if limits and found.requests < limits.requests:
        few = f"{found.requests} requests in this step, and with fewer than {limits.requests} nothing is concluded"
        return Decision(before, f"stays at {before.weight} %: {few}")
    return _next(plan, before, now, seen, figures or f"{seconds:g} s are over, and {seen.pods}")


def _next(plan: Plan, before: Stage, now: datetime, seen: Seen, why: str) -> Decision:
    """Return the step after the present one, or the end."""
    following = plan.after(before.weight)
    if following is None:
        says = f"takes all requests: {why}. Remove `canary` from its entry, which changes nothing that serves"
        return Decision(Stage(before.weight, now, "finished"), says)
    stage = Stage(following, now, counted=seen.counted)
    return Decision(stage, f"goes from {before.weight} % to {following} %: {why}{_follows(plan, following)}")


def _waiting(plan: Plan, stage: Stage, due: datetime | None, more: str = "") -> Decision:
    following = plan.after(stage.weight)
    then = f"; {following or _ALL} % from {_shown(due)} on" if due else ""
    return Decision(stage, f"has {stage.weight} %{then}{f'; {more}' if more else ''}")


def _follows(plan: Plan, weight: int) -> str:
    if plan.seconds is None:
        return ""
    return f"; {plan.after(weight) or _ALL} % with the first `up` that is {plan.seconds:g} s later"


def _shown(time: datetime | None) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if time else ""
