"""Which models on Kubernetes are asleep: without pods, until one of their triggers asks for one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cli.errors import CliError
from cli.states import ASLEEP

if TYPE_CHECKING:
    from cli.deployed import Placement
    from cli.pulumi import Pulumi


def noting_sleep(pulumi: Pulumi, placements: list[Placement]) -> list[Placement]:
    """Return placements, with their state where they are on Kubernetes and asleep.

    Args:
        pulumi: The stack.
        placements: Any, as they are recorded.
    """
    if not any(one.workload for one in placements):
        return placements
    from cli.cluster import Cluster  # noqa: PLC0415 - only stacks on Kubernetes need it
    from cli.pods import state_of  # noqa: PLC0415 - only stacks on Kubernetes need it

    try:
        cluster = Cluster.of(pulumi, placements)
        found = {
            (one.metadata.namespace, one.metadata.name) for one in cluster.deployments() if state_of(one) == ASLEEP
        }
    except CliError:
        # Who reaches a model need not be let into its cluster.
        return placements
    return [
        replace(one, state=ASLEEP) if one.workload and (one.namespace, one.workload) in found else one
        for one in placements
    ]
