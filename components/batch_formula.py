"""The formula by which Azure Batch decides, every five minutes, how many nodes a pool has."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from manifest.targets.batch import Nodes

# As often as Azure allows it.
INTERVAL = "PT5M"


def autoscale_formula(nodes: Nodes, slots: int) -> str:
    """Return the formula: nodes for what waits and runs, dedicated ones first; none goes while a task runs on it.

    Args:
        nodes: The most of each kind, and how many dedicated ones stay.
        slots: How many tasks a node runs at once.
    """
    return "\n".join(
        [
            # Samples come late, and some never: the last few minutes' most, once there are enough of them.
            "known = $PendingTasks.GetSamplePercent(TimeInterval_Minute * 5);",
            "recent = $PendingTasks.GetSample(TimeInterval_Minute * 5);",
            "tasks = known < 70 ? max(0, $PendingTasks.GetSample(1)) : max(recent);",
            f"wanted = round(tasks / {slots} + 0.49);",
            f"dedicated = max({nodes.idle}, min({nodes.dedicated}, wanted));",
            "$TargetDedicatedNodes = dedicated;",
            f"$TargetLowPriorityNodes = max(0, min({nodes.low_priority}, wanted - dedicated));",
            "$NodeDeallocationOption = taskcompletion;",
        ]
    )
