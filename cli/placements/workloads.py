"""Models on Kubernetes, as the cluster tells of their Deployments: callers of a service inside it are not here."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from cli.errors import CliError
from cli.logs.source import LogSource
from cli.placements.cluster import MODEL, Cluster
from cli.placements.placement import recorded
from cli.placements.pods import pods_of, refused, state_of, taken_back, trouble
from cli.placements.states import ASLEEP, MISSING, READY, TAKEN_BACK, UPDATING, is_good

if TYPE_CHECKING:
    from cli.placements.placement import Placement
    from cli.stack.pulumi import Pulumi

# In these, nothing is wrong with the pods of the version that serves.
_SERVES = {READY, UPDATING}


def with_workloads(pulumi: Pulumi, placements: list[Placement]) -> list[Placement]:
    """Add how those on Kubernetes are; the cluster is asked only where there are any.

    Args:
        pulumi: The stack.
        placements: All of it.

    Raises:
        CliError: The cluster does not tell.
    """
    if not any(one.workload for one in placements):
        return placements
    cluster = Cluster.of(pulumi, placements)
    deployments = {(one.metadata.namespace, one.metadata.name): one for one in cluster.deployments()}
    states = {place: state_of(one) for place, one in deployments.items()}
    pods = cluster.pods() if not all(map(is_good, states.values())) else []

    def beside(placement: Placement) -> Placement:
        if not placement.workload:
            return placement
        found = deployments.get((placement.namespace, placement.workload))
        if found is None:
            return replace(placement, state=MISSING)
        state = states[placement.namespace, placement.workload]
        canary = placement.canary or {}
        if state in _SERVES and canary.get("phase") == "aborted":
            return replace(placement, state=TAKEN_BACK, error=f"the canary was aborted: {canary.get('reason')}")
        if is_good(state):
            return replace(placement, state=state)
        wrong = next((one.message for pod in pods_of(found, pods) if (one := trouble(pod, cluster))), None)
        return replace(placement, state=state, error=wrong or refused(found) or taken_back(found))

    return [beside(one) for one in placements]


def noting_sleep(pulumi: Pulumi, placements: list[Placement]) -> list[Placement]:
    """Return placements, with their state where they are asleep: without pods until a trigger asks for one.

    Args:
        pulumi: The stack.
        placements: Any, as they are recorded.
    """
    if not any(one.workload for one in placements):
        return placements
    try:
        deployments = Cluster.of(pulumi, placements).deployments()
    except CliError:
        # Who reaches a model need not be let into its cluster.
        return placements
    asleep = {(one.metadata.namespace, one.metadata.name) for one in deployments if state_of(one) == ASLEEP}
    return [replace(one, state=ASLEEP) if (one.namespace, one.workload) in asleep else one for one in placements]


def log_sources(pulumi: Pulumi) -> list[LogSource]:
    """Return the logs of a stack's pods; each shows under its model's name.

    Raises:
        CliError: The cluster does not tell.
    """
    cluster = Cluster.of(pulumi, recorded(pulumi.outputs()))
    return [
        LogSource(pod.metadata.labels[MODEL], pod.metadata.name, partial(cluster.log, pod)) for pod in cluster.pods()
    ]
