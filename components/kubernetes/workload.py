"""A model's Deployment, and what keeps enough of its pods: the autoscaler and the disruption budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes import apps, autoscaling, meta, policy

if TYPE_CHECKING:
    from pulumi_kubernetes import core

    from components.kubernetes.place import Place
    from manifest import AksTarget
    from manifest.targets.replicas import Replicas

# A pod that is ready for so long counts.
_STEADY_SECONDS = 5
_MARGIN_SECONDS = 30
# The mark of a Deployment that may have no pods, and nothing is wrong then.
SLEEPS = "slipway.io/sleeps"


def deployment(
    place: Place,
    target: AksTarget,
    replicas: Replicas,
    template: core.v1.PodTemplateSpecArgs,
    after: list[pulumi.Resource],
) -> apps.v1.Deployment:
    """Run a model's pods; a change replaces them one by one, each new one ready before an old one goes.

    Args:
        place: Where.
        target: What the manifest asks for.
        replicas: How many pods.
        template: Of the pods.
        after: What they need.
    """
    # Starts anew with each pod that becomes ready.
    deadline = target.startup_seconds + _STEADY_SECONDS + _MARGIN_SECONDS
    whole = f"{max(1800, 6 * deadline)}s"
    return apps.v1.Deployment(
        place.resource,
        metadata=place.metadata(place.own_name, {SLEEPS: "true"} if replicas.sleeps else None),
        spec=apps.v1.DeploymentSpecArgs(
            # Where the autoscaler sets their number, a number here would set it back.
            replicas=None if replicas.autoscaled else replicas.min,
            selector=meta.v1.LabelSelectorArgs(match_labels=place.own),
            strategy=apps.v1.DeploymentStrategyArgs(
                type="RollingUpdate",
                rolling_update=apps.v1.RollingUpdateDeploymentArgs(max_unavailable=0, max_surge="25%"),
            ),
            min_ready_seconds=_STEADY_SECONDS,
            progress_deadline_seconds=deadline,
            revision_history_limit=3,
            template=template,
        ),
        opts=place.options(
            depends_on=[*place.namespace.after, *after],
            custom_timeouts=pulumi.CustomTimeouts(create=whole, update=whole, delete="10m"),
        ),
    )


def autoscaler(place: Place, replicas: Replicas) -> autoscaling.v2.HorizontalPodAutoscaler:
    """Have the number of pods follow the load.

    Args:
        place: Where.
        replicas: Their number, and the load that is aimed at.
    """
    return autoscaling.v2.HorizontalPodAutoscaler(
        place.resource,
        metadata=place.metadata(place.own_name),
        spec=autoscaling.v2.HorizontalPodAutoscalerSpecArgs(
            scale_target_ref=autoscaling.v2.CrossVersionObjectReferenceArgs(
                api_version="apps/v1", kind="Deployment", name=place.own_name
            ),
            min_replicas=replicas.min,
            max_replicas=replicas.max or replicas.min,
            metrics=[
                autoscaling.v2.MetricSpecArgs(
                    type="Resource",
                    resource=autoscaling.v2.ResourceMetricSourceArgs(
                        name="cpu",
                        target=autoscaling.v2.MetricTargetArgs(type="Utilization", average_utilization=replicas.cpu),
                    ),
                )
            ],
        ),
        opts=place.options(),
    )


def disruption_budget(place: Place) -> policy.v1.PodDisruptionBudget:
    """Have nodes emptied one pod at a time.

    Args:
        place: Where.
    """
    return policy.v1.PodDisruptionBudget(
        place.model,
        metadata=place.metadata(),
        spec=policy.v1.PodDisruptionBudgetSpecArgs(
            max_unavailable=1,
            selector=meta.v1.LabelSelectorArgs(match_labels=place.selector),
            # Pods that do not work keep no node from being emptied.
            unhealthy_pod_eviction_policy="AlwaysAllow",
        ),
        opts=place.options(),
    )
