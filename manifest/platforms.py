"""What images are built for: the platforms of the machines that a model's targets run on."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from manifest.live import live_models, live_targets, needs_cluster
from manifest.problems import ManifestError, Problem, key_path
from manifest.targets import BatchTarget, IotEdgeTarget, LocalDockerTarget

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from manifest.environment import Environment
    from manifest.model import Manifest
    from manifest.problems import Loc
    from manifest.serving import Extra
    from manifest.targets import AnyTarget

_CLOUD = "amd64"
_ARCHITECTURE = "kubernetes.io/arch"
# As Python names processors, and as labels of nodes do where images have another name for it.
_PLATFORMS = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "arm": "arm/v7"}
_ARM_V7 = "linux/arm/v7"
# Of what only some images have, a package that has no wheel for it.
WITHOUT_WHEEL: Mapping[Extra, str] = {
    "batch": "pyarrow",
    "collect": "pyarrow",
    "entra": "cffi",
    "telemetry": "psutil",
}


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

    Raises:
        ManifestError: The runtime's own packages do not exist for one of them.
    """
    further = () if environment.promote_from else environment.platforms
    needed: dict[str, set[str]] = {model.name: set(further) for model in live_models(manifest, environment.targets)}
    for model in manifest.models:
        for target in live_targets(model, environment.targets):
            for name in (model.name, *target.models):
                needed[name].add(platform_of(target, environment))
    if problems := [*_unavailable(manifest, environment, needed)]:
        raise ManifestError(problems)
    return {name: tuple(sorted(platforms)) for name, platforms in needed.items()}


def _unavailable(
    manifest: Manifest, environment: Environment, needed: Mapping[str, Collection[str]]
) -> Iterator[Problem]:
    """Tell what linux/arm/v7 cannot have, before pip does after minutes under emulation."""
    for number, model in enumerate(manifest.models):
        for place, target in enumerate(model.targets):
            if target.kind not in environment.targets or isinstance(target, BatchTarget | IotEdgeTarget):
                continue
            if platform_of(target, environment) == _ARM_V7:
                yield _problem(
                    ("models", number, "targets", place),
                    f"{target.kind} of {model.name} would be on {_ARM_V7}, where only iot-edge can be: nothing can "
                    f"listen there, since httptools has no wheel for it. Give it machines of another platform.",
                )
        if _ARM_V7 not in needed.get(model.name, ()):
            continue
        for extra in model.extras:
            if package := WITHOUT_WHEEL.get(extra):
                yield _problem(
                    ("models", number),
                    f"{model.name} has what {_ARM_V7} cannot have, {_named_extra(extra)}: {package}, which the runtime "
                    f"needs for it, has no wheel there. Remove it, let a model of its own have it, or take the "
                    f"platform away, which a target or slipway:platforms names.",
                )


def _named_extra(extra: Extra) -> str:
    """What the manifest says for what an image has beside the runtime's own packages."""
    return {"batch": "a target batch", "entra": "auth: entra"}.get(extra, extra)


def _problem(loc: Loc, message: str) -> Problem:
    return Problem("models.yaml", None, None, key_path(loc), message)


def _named(architecture: str) -> str:
    return f"linux/{_PLATFORMS.get(architecture, architecture)}"
