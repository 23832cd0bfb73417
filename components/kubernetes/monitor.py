"""A model's ServiceMonitor: Prometheus, run by its operator, asks the model for its metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi_kubernetes import apiextensions

if TYPE_CHECKING:
    from components.kubernetes.place import Place


def monitor(place: Place, keys: str | None) -> apiextensions.CustomResource:
    """Have a model's metrics collected.

    Args:
        place: Where.
        keys: The Secret with its keys; None where it wants none.
    """
    shown: dict[str, Any] = {"authorization": {"credentials": {"name": keys, "key": "primary"}}} if keys else {}
    return apiextensions.CustomResource(
        place.model,
        api_version="monitoring.coreos.com/v1",
        kind="ServiceMonitor",
        metadata=place.metadata(),
        spec={
            "selector": {"matchLabels": place.selector},
            "endpoints": [{"port": "http", "path": "/metrics", **shown}],
        },
        opts=place.options(),
    )
