"""What KEDA has to know of a model: its ScaledObject, and as whom Azure is asked for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pulumi_kubernetes import apiextensions

if TYPE_CHECKING:
    import pulumi

    from components.kubernetes.place import Place
    from manifest.kubernetes import KedaSettings
    from manifest.targets.replicas import Replicas
    from manifest.targets.triggers import Trigger

_API = "keda.sh/v1alpha1"
# Azure's Prometheus, which lets nobody in without a token.
_MANAGED = re.compile(r"https://[^/]+\.prometheus\.monitor\.azure\.[a-z]+(?:[:/]|$)")


def lacking(replicas: Replicas, settings: KedaSettings | None) -> str | None:
    """Return what the configuration lacks for a model's triggers, and how to say it; None where it has all.

    Args:
        replicas: What the manifest asks for.
        settings: What the configuration says of KEDA.
    """
    if settings is None:
        return (
            "`replicas.triggers` needs KEDA: slipway:kubernetes with `keda: true` says that the cluster has it; on a "
            "cluster that Slipway creates in Azure it then has"
        )
    for trigger in replicas.triggers:
        server = _server(trigger, settings)
        if trigger.prometheus and not server:
            return "a trigger `prometheus` needs `server`, or slipway:kubernetes with `keda: {prometheus: ADDRESS}`"
        if _asks_azure(trigger, settings) and not settings.identity:
            what = f"Azure's Prometheus {server} needs" if trigger.prometheus else "triggers of Azure's queues need"
            return f"{what} an identity: slipway:kubernetes with `keda: {{identity: CLIENT_ID}}`"
    return None


def scaled_object(
    place: Place, replicas: Replicas, settings: KedaSettings, deployment: pulumi.Resource
) -> apiextensions.CustomResource:
    """Have KEDA set the number of pods, and make the autoscaler for it.

    Args:
        place: Where.
        replicas: Their number, the load that is aimed at, and the triggers.
        settings: What the configuration says of KEDA.
        deployment: The model's. It comes first, so that a first version is ready once before it may sleep.
    """
    after = [deployment]
    reference = {}
    if any(_asks_azure(trigger, settings) for trigger in replicas.triggers):
        name = f"{place.own_name}-keda"
        after.append(_authentication(place, name, settings))
        reference = {"authenticationRef": {"name": name}}
    load = {"type": "cpu", "metricType": "Utilization", "metadata": {"value": str(replicas.cpu)}}
    triggers = [
        {**_scaler(trigger, settings), **(reference if _asks_azure(trigger, settings) else {})}
        for trigger in replicas.triggers
    ]
    return apiextensions.CustomResource(
        place.resource,
        api_version=_API,
        kind="ScaledObject",
        metadata=place.metadata(place.own_name),
        spec={
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": place.own_name},
            "minReplicaCount": replicas.min,
            "maxReplicaCount": replicas.max,
            **({"cooldownPeriod": replicas.idle_seconds} if replicas.sleeps else {}),
            # Without this a model that sleeps while its triggers are taken away never wakes up: Kubernetes' own
            # autoscaler leaves a Deployment without pods alone.
            "advanced": {"restoreToOriginalReplicaCount": True},
            "triggers": [*triggers, load],
        },
        opts=place.options(depends_on=after),
    )


def _authentication(place: Place, name: str, settings: KedaSettings) -> apiextensions.CustomResource:
    return apiextensions.CustomResource(
        place.resource,
        api_version=_API,
        kind="TriggerAuthentication",
        metadata=place.metadata(name),
        spec={"podIdentity": {"provider": "azure-workload", "identityId": settings.identity}},
        opts=place.options(),
    )


def _server(trigger: Trigger, settings: KedaSettings) -> str | None:
    return (trigger.prometheus.server or settings.prometheus) if trigger.prometheus else None


def _asks_azure(trigger: Trigger, settings: KedaSettings) -> bool:
    return trigger.needs_identity or bool(_MANAGED.match(_server(trigger, settings) or ""))


def _scaler(trigger: Trigger, settings: KedaSettings) -> dict[str, Any]:
    """A trigger as KEDA has it: its settings are texts, whatever they say."""
    if cron := trigger.cron:
        times = {"start": cron.start, "end": cron.end, "timezone": cron.timezone}
        return {"type": "cron", "metadata": {**times, "desiredReplicas": str(cron.replicas)}}
    if number := trigger.prometheus:
        metadata = {
            "serverAddress": _server(trigger, settings) or "",
            "query": number.query,
            "threshold": _text(number.threshold),
            "activationThreshold": _text(number.activation),
        }
        return {"type": "prometheus", "metadata": metadata}
    if bus := trigger.service_bus:
        named = {"queueName": bus.queue, "topicName": bus.topic, "subscriptionName": bus.subscription}
        source = {key: value for key, value in named.items() if value}
        metadata = {"namespace": bus.namespace, **source, "messageCount": str(bus.messages)}
        return {"type": "azure-servicebus", "metadata": metadata}
    if queue := trigger.storage_queue:
        metadata = {"accountName": queue.account, "queueName": queue.queue, "queueLength": str(queue.messages)}
        return {"type": "azure-queue", "metadata": metadata}
    other = trigger.other
    if other is None:
        raise ValueError("a trigger is of no kind")
    reference = {"authenticationRef": {"name": other.authentication}} if other.authentication else {}
    return {"type": other.type, "metadata": dict(other.metadata), **reference}


def _text(number: float) -> str:
    """Without an exponent, and in thousandths, as the autoscaler counts."""
    return f"{number:.3f}".rstrip("0").rstrip(".")
