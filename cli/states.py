"""Words for the state of a model that no service tells, and states in a sentence."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Wanted by the manifest, and its target is live in this stack.
NOT_DEPLOYED = "not deployed"
# Wanted by the manifest, on a target that is not live in this stack.
NOT_LIVE = "not live here"
# On Kubernetes, without pods: until a trigger asks for one, or because somebody took them away.
ASLEEP, STOPPED = "asleep", "stopped"
# On Kubernetes, where the version before serves because the new one did not work.
TAKEN_BACK = "rolled back"
# On a device of IoT Edge; a module has further words of its own.
READY, FAILED, WAITING, ROLLING = "ready", "failed", "waiting", "rolling"


def counted(states: Iterable[str]) -> str:
    """Return how many devices are how, for people."""
    counts = Counter(states)
    total = sum(counts.values())
    if total == 1:
        return f"1 device {next(iter(counts))}"
    parts = [f"{counts.pop(READY, 0)} of {total} devices ready"]
    return ", ".join([*parts, *(f"{count} {state}" for state, count in sorted(counts.items()))])
