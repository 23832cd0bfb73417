"""Whether the pods of each model on Kubernetes serve, and what keeps those that do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.diagnosis.finding import Finding
from cli.placements.cluster import MODEL, Cluster
from cli.placements.placement import AKS
from cli.placements.pods import is_ready, pods_of, refused, state_of, taken_back, trouble
from cli.placements.states import is_good, restoring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.diagnosis.context import Context


def check(context: Context) -> Iterator[Finding]:
    """Look at each Deployment of the stack, and at each of its pods."""
    placed = {(one.namespace, one.workload): one for one in context.placements if one.target == AKS}
    if AKS not in context.config.live_targets and not placed:
        yield Finding("ok", f"The stack {context.stack} has nothing on Kubernetes.")
        return
    cluster = Cluster.of(context.pulumi, placed.values())
    deployments = cluster.deployments()
    pods = cluster.pods()
    there = {(one.metadata.namespace, one.metadata.name) for one in deployments}
    for (_, name), one in placed.items():
        if (one.namespace, name) not in there:
            yield Finding(
                "problem",
                f"The Deployment {name} is gone: somebody removed it.",
                f"Restore it: {restoring(context.stack)}",
                one.model,
            )
    for deployment in deployments:
        model = deployment.metadata.labels[MODEL]
        own = pods_of(deployment, pods)
        found = [wrong for pod in own if (wrong := trouble(pod, cluster))]
        if reason := refused(deployment):
            yield Finding("problem", f"The cluster makes no pod of it: {reason}", "See the namespace's quotas.", model)
        if reason := taken_back(deployment):
            said = f"{deployment.metadata.name} serves as before: {reason}"
            yield Finding("problem", said, "Mend the script or its files, then `slipway up`.", model)
        # Pods of one version fail alike.
        for wrong in {one.mend: one for one in found}.values():
            yield Finding("problem", wrong.message, wrong.mend, model)
        if not found and not refused(deployment):
            ready, state = sum(map(is_ready, own)), state_of(deployment)
            said = f"{deployment.metadata.name} is {state}: {ready} of {deployment.spec.replicas} pods serve."
            yield Finding("ok" if is_good(state) else "warning", said, model=model)
    if not deployments and not placed:
        yield Finding("ok", f"The stack {context.stack} has no Deployment on its cluster.")
