"""In which words the state of a model is told, how good each is, and states in a sentence."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Tone = Literal["good", "waiting", "bad", "absent"]

# The service's own.
STARTING, READY, BUSY, DRAINING, FAILED = "starting", "ready", "busy", "draining", "failed"
# Of a service that tells nothing of itself, and of one that wants a key and got none or another one.
UNREACHABLE, UNAUTHORIZED = "unreachable", "unauthorized"
# Docker's own, of a container in which no service can be asked.
PAUSED, RESTARTING, REMOVING = "paused", "restarting", "removing"
# Deployed, and somebody took it away: the whole, or what runs in it.
MISSING, STOPPED = "missing", "stopped"
GONE = (MISSING, STOPPED)
# On Kubernetes. Asleep has no pods until a trigger asks for one; updating and stuck have pods that serve.
ASLEEP, UPDATING, STUCK = "asleep", "updating", "stuck"
# On Kubernetes, where the version before serves because the new one did not work.
TAKEN_BACK = "rolled back"
# On devices of IoT Edge; a module has the service's words beside.
WAITING, ROLLING, NO_DEVICE = "waiting", "rolling", "no device"
# Of a batch target, by its jobs.
IDLE, RUNNING = "idle", "running"
# Of a target that tells no state.
UNKNOWN = "unknown"
# Wanted by the manifest: what the next `up` deploys, and what is on a target that is not live in this stack.
NOT_DEPLOYED, NOT_LIVE = "not deployed", "not live here"

TONES: dict[str, Tone] = {
    READY: "good",
    BUSY: "good",
    IDLE: "good",
    RUNNING: "good",
    # No fault: it has what was asked for.
    ASLEEP: "good",
    STARTING: "waiting",
    DRAINING: "waiting",
    RESTARTING: "waiting",
    REMOVING: "waiting",
    UPDATING: "waiting",
    WAITING: "waiting",
    ROLLING: "waiting",
    # Devices may still be registered or tagged.
    NO_DEVICE: "waiting",
    # Neither good nor bad.
    UNKNOWN: "waiting",
    FAILED: "bad",
    UNREACHABLE: "bad",
    UNAUTHORIZED: "bad",
    PAUSED: "bad",
    MISSING: "bad",
    STOPPED: "bad",
    # What serves is not what was asked for, and will not be by itself.
    STUCK: "bad",
    TAKEN_BACK: "bad",
    NOT_DEPLOYED: "absent",
    NOT_LIVE: "absent",
}


def tone_of(state: str) -> Tone:
    """Return how good a state is; a word that nobody knows here is for somebody to look at."""
    return TONES.get(state, "bad")


def is_good(state: str) -> bool:
    """Return whether a state is as it should be."""
    return tone_of(state) == "good"


def restoring(stack: str) -> str:
    """Return the command that makes again what is gone; without the stack's name it would be for another one."""
    return f"slipway up --stack {stack} -- --refresh"


def counted(states: Iterable[str]) -> str:
    """Return how many devices are how, for people."""
    counts = Counter(states)
    total = sum(counts.values())
    if total == 1:
        return f"1 device {next(iter(counts))}"
    parts = [f"{counts.pop(READY, 0)} of {total} devices ready"]
    return ", ".join([*parts, *(f"{count} {state}" for state, count in sorted(counts.items()))])
