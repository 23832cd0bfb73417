"""What images are built for: the platforms of the machines that a model's targets run on."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from manifest.live import live_models, live_targets, needs_cluster
from manifest.targets import BatchTarget, IotEdgeTarget, LocalDockerTarget

if TYPE_CHECKING:
    from manifest.environment import Environment
    from manifest.model import Manifest
    from manifest.targets import AnyTarget

_CLOUD = "amd64"
_ARCHITECTURE = "kubernetes.io/arch"
# As Python names processors, and as labels of nodes do where images have another name for it.
_PLATFORMS = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "arm": "arm/v7"}


def own_platform() -> str:
    """Return what this machine's own containers run on, as `linux/amd64`."""
    return _named(platform.machine().lower())


def platform_of(target: AnyTarget, environment: Environment) -> str:
    """Return what the machines of a target are: what it says, or this machine's, or what clouds have."""
    if isinstance(target, IotEdgeTarget):
        return target.platform
    if needs_cluster(target):
        return _named(environment.kubernetes.node_selector.get(_ARCHITECTURE, _CLOUD))
    if isinstance(target, LocalDockerTarget) or (
        isinstance(target, BatchTarget) and target.engine_in(has_azure=environment.azure is not None) == "local"
    ):
        return own_platform()
    return _named(_CLOUD)


def platforms_needed(manifest: Manifest, environment: Environment) -> dict[str, tuple[str, ...]]:
    """Return the platforms of each live model's image: of its own targets, and of devices whose pipelines name it.

    Args:
        manifest: The models.
        environment: The stack's configuration; one that builds may name further platforms.
    """
    further = () if environment.promote_from else environment.platforms
    needed: dict[str, set[str]] = {model.name: set(further) for model in live_models(manifest, environment.targets)}
    for model in manifest.models:
        for target in live_targets(model, environment.targets):
            for name in (model.name, *target.models):
                needed[name].add(platform_of(target, environment))
    return {name: tuple(sorted(platforms)) for name, platforms in needed.items()}


def _named(architecture: str) -> str:
    return f"linux/{_PLATFORMS.get(architecture, architecture)}"
