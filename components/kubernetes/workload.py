"""A model's Deployment, and what keeps enough of its pods: the autoscaler and the disruption budget."""

from __future__ import annotations

from dataclasses import dataclass
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
# Takes over the number of pods that an autoscaler has set, where it is set to none.
_FORCED = "pulumi.com/patchForce"


@dataclass(frozen=True)
class Count:
    """How many pods a Deployment has.

    Attributes:
        least: At least so many.
        most: At most so many.
        autoscaled: Whether an autoscaler decides between both.
        cpu: The load that it aims at.
        sleeps: Whether a trigger may take all of them away.
        stops: Whether there may be none because `least` is 0, as of a canary that was aborted.
    """

    least: pulumi.Input[int]
    most: pulumi.Input[int]
    autoscaled: bool
    cpu: int
    sleeps: bool = False
    stops: bool = False

    @classmethod
    def of(cls, replicas: Replicas) -> Count:
        """Return what the manifest says."""
        most = replicas.max or replicas.min
        return cls(replicas.min, most, replicas.autoscaled, replicas.cpu, replicas.sleeps)

    @property
    def number(self) -> pulumi.Input[int | None]:
        """What a Deployment says: where an autoscaler sets the number, another one here would set it back."""
        if not self.autoscaled:
            return self.least
        if not self.stops:
            return None
        # With none, an autoscaler leaves a Deployment alone.
        return pulumi.Output.from_input(self.least).apply(lambda least: None if least else 0)


def deployment(
    place: Place,
    target: AksTarget,
    count: Count,
    template: core.v1.PodTemplateSpecArgs,
    after: list[pulumi.Resource],
) -> apps.v1.Deployment:
    """Run a model's pods; a change replaces them one by one, each new one ready before an old one goes.

    Args:
        place: Where.
        target: What the manifest asks for.
        count: How many pods.
        template: Of the pods.
        after: What they need.
    """
    # Starts anew with each pod that becomes ready.
    deadline = target.startup_seconds + _STEADY_SECONDS + _MARGIN_SECONDS
    annotations = {SLEEPS: "true"} if count.sleeps else {}
    if count.autoscaled and count.stops:
        annotations[_FORCED] = "true"
    whole = f"{max(1800, 6 * deadline)}s"
    return apps.v1.Deployment(
        place.resource,
        metadata=place.metadata(place.own_name, annotations or None),
        spec=apps.v1.DeploymentSpecArgs(
            replicas=count.number,
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


def autoscaler(place: Place, count: Count) -> autoscaling.v2.HorizontalPodAutoscaler:
    """Have the number of pods follow the load.

    Args:
        place: Where.
        count: Their number, and the load that is aimed at.
    """
    return autoscaling.v2.HorizontalPodAutoscaler(
        place.resource,
        metadata=place.metadata(place.own_name),
        spec=autoscaling.v2.HorizontalPodAutoscalerSpecArgs(
            scale_target_ref=autoscaling.v2.CrossVersionObjectReferenceArgs(
                api_version="apps/v1", kind="Deployment", name=place.own_name
            ),
            min_replicas=_one_or_more(count.least),
            max_replicas=_one_or_more(count.most),
            metrics=[
                autoscaling.v2.MetricSpecArgs(
                    type="Resource",
                    resource=autoscaling.v2.ResourceMetricSourceArgs(
                        name="cpu",
                        target=autoscaling.v2.MetricTargetArgs(type="Utilization", average_utilization=count.cpu),
                    ),
                )
            ],
        ),
        opts=place.options(),
    )


def _one_or_more(number: pulumi.Input[int]) -> pulumi.Output[int]:
    return pulumi.Output.from_input(number).apply(lambda known: max(1, known))


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
