"""What the manifest and a stack's configuration ask for, checked before anything is started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.errors import CliError, Exit
from manifest import (
    Environment,
    ManifestError,
    load_environment,
    load_manifest,
)
from manifest.live import live_models, live_targets, needs_platform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.stack.config import StackConfig
    from cli.stack.project import Project
    from cli.stack.pulumi import Pulumi
    from manifest import Manifest

_AZURE = "slipway:azure"


def checked_manifest(project: Project) -> Manifest:
    """Return the project's manifest.

    Raises:
        CliError: With all that is wrong with it.
    """
    # The way from here, which terminals and editors can follow.
    path = os.path.relpath(project.manifest)
    try:
        return load_manifest(Path(path), project.root)
    except ManifestError as error:
        raise CliError(str(error), code=Exit.USAGE) from None


def checked_environment(config: StackConfig) -> Environment | None:
    """Return a stack's configuration; None when only Pulumi can tell it, as with encrypted values.

    Raises:
        CliError: With all that is wrong with it.
    """
    if not config.is_whole:
        return None
    try:
        return load_environment(config.values, source=config.file.name, path=config.file)
    except ManifestError as error:
        raise CliError(str(error), code=Exit.USAGE) from None


def plain_environment(config: StackConfig) -> Environment | None:
    """Return a stack's configuration as far as it is not encrypted; None where that is not enough to tell it."""
    try:
        return load_environment(config.plain_values, source=config.file.name)
    except ManifestError:
        return None


def repository_of(pulumi: Pulumi) -> str:
    """Return what the names of a stack's images begin with: registry and project.

    The configuration is read as it stands: one that is wrong by now must keep nothing from being removed.

    Raises:
        CliError: The stack has a registry of its own, but its outputs cannot be read.
    """
    given = pulumi.config.values.get("slipway:registry")
    if not given and _AZURE in pulumi.config.values:
        given = own_registry(pulumi.outputs())
    given = given or pulumi.env.get("SLIPWAY_REGISTRY")
    registry = given or Environment.model_fields["registry"].get_default(call_default_factory=True)
    return f"{registry}/{pulumi.project.name}"


def own_registry(outputs: Mapping[str, Any] | None) -> str | None:
    """Return the registry that a stack made for itself in a cloud, if it has; a configured one goes before it.

    Args:
        outputs: The stack's outputs; None when there is no stack.
    """
    azure = (outputs or {}).get("azure")
    registry = azure.get("registry") if isinstance(azure, dict) else None
    return str(registry) if registry else None


def makes_registry(config: StackConfig, manifest: Manifest) -> bool:
    """Tell whether a stack's deployment makes the registry that its images are in."""
    return "slipway:registry" not in config.values and uses_azure(config, manifest)


def uses_azure(config: StackConfig, manifest: Manifest) -> bool:
    """Tell whether a live target is in Azure."""
    live = config.live_targets
    return _AZURE in config.values and any(
        needs_platform(target, has_azure=True, has_own_cluster=has_own_cluster(config))
        for model in live_models(manifest, live)
        for target in live_targets(model, live)
    )


def has_own_cluster(config: StackConfig) -> bool:
    """Tell whether `aks` targets are on a cluster that the configuration names, instead of one of slipway:azure."""
    given = config.values.get("slipway:kubernetes")
    named = isinstance(given, dict) and (given.get("kubeconfig") or given.get("context"))
    return bool(named) or "slipway:kubeconfig" in config.values
