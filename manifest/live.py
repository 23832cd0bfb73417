"""What of a manifest is live in a stack, and what that needs beside itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from manifest.targets import AciTarget, AksTarget, AnyTarget, BatchTarget, IotEdgeTarget

if TYPE_CHECKING:
    from collections.abc import Collection

    from manifest.model import Manifest, Model


def live_targets(model: Model, kinds: Collection[str]) -> list[AnyTarget]:
    """Return the targets of a model that are live where these kinds of targets are."""
    return [target for target in model.targets if target.kind in kinds]


def live_models(manifest: Manifest, kinds: Collection[str]) -> list[Model]:
    """Return the models that run where these kinds of targets are live: by themselves, or in another's pipeline."""
    in_pipelines = {
        name for model in manifest.models for target in live_targets(model, kinds) for name in target.models
    }
    return [model for model in manifest.models if model.name in in_pipelines or live_targets(model, kinds)]


def needs_cluster(target: AnyTarget) -> bool:
    """Tell whether a target is on a Kubernetes cluster."""
    return isinstance(target, AksTarget) or (isinstance(target, BatchTarget) and target.engine == "kubernetes")


def needs_platform(target: AnyTarget, *, has_azure: bool, has_own_cluster: bool) -> bool:
    """Tell whether a target is in Azure, on what the cloud targets share.

    Args:
        target: The target.
        has_azure: Whether the stack's configuration has slipway:azure.
        has_own_cluster: Whether it names a cluster, instead of having one in Azure.
    """
    if needs_cluster(target):
        return not has_own_cluster
    if isinstance(target, BatchTarget):
        return target.engine_in(has_azure=has_azure) == "azure"
    return isinstance(target, AciTarget | IotEdgeTarget)
