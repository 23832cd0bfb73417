"""Images for other processors than this machine's: what they need of the builder, and what is in their way."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import toolchain
from cli.errors import CliError, Exit
from cli.stack.wanted import plain_environment
from manifest import ManifestError
from manifest.platforms import own_platform, platforms_needed
from toolchain import builder, emulators
from toolchain.context import context_of
from toolchain.report import Report, ToolchainError

if TYPE_CHECKING:
    from cli.deployment.build_log import FailedBuild
    from cli.stack.pulumi import Pulumi
    from manifest import Environment, Manifest
    from toolchain.context import Context

# What the kernel says of programs for another processor.
_REFUSED = "exec format error"


def foreign_platforms(pulumi: Pulumi, manifest: Manifest) -> tuple[str, ...]:
    """Return the platforms that a stack's images are built for, and that this machine is not.

    Raises:
        CliError: An image cannot be had for one of them.
    """
    environment = plain_environment(pulumi.config)
    if environment is None or environment.promote_from:
        return ()
    needed = {one for platforms in checked_platforms(manifest, environment).values() for one in platforms}
    return tuple(sorted(needed - {own_platform()}))


def checked_platforms(manifest: Manifest, environment: Environment) -> dict[str, tuple[str, ...]]:
    """Return the platforms of each live model's image.

    Raises:
        CliError: An image cannot be had for one of them.
    """
    try:
        return platforms_needed(manifest, environment)
    except ManifestError as error:
        raise CliError(str(error), code=Exit.USAGE) from None


def prepare_builder(pulumi: Pulumi, platforms: tuple[str, ...]) -> None:
    """Have the builder that the set-up started on this machine build for further platforms.

    Raises:
        CliError: It cannot.
    """
    if not platforms or _builder(pulumi) != builder.BUILDER:
        return
    try:
        context = _context(pulumi)
        context.cache.prepare()
        report = context.report
        # Another set-up may take minutes: what is there does not wait for it.
        if not emulators.lacking(context, platforms):
            return
        with context.cache.lock(), report.step(emulators.NAME) as step:
            taken = emulators.ensure(context, step, emulators.lacking(context, platforms))
    except ToolchainError as error:
        raise CliError(
            f"Images for {', '.join(platforms)} cannot be built: {error.what}",
            hint=error.to_do or None,
            code=Exit.SETUP,
        ) from None
    for one in taken:
        report.line(one.name, one.line)


def unbuildable(pulumi: Pulumi, platforms: tuple[str, ...], build: FailedBuild) -> str | None:
    """Return why a builder failed where it cannot build for a platform, and what to do; None where it failed otherwise.

    Args:
        pulumi: The stack.
        platforms: Those of its images that this machine is not.
        build: What failed.
    """
    if not platforms or not any(_REFUSED in line for line in build.lines):
        return None
    name = _builder(pulumi)
    try:
        known = emulators.platforms_of(_context(pulumi), name)
    except ToolchainError:
        known = None
    can = f"it has {', '.join(known)}" if known else "which platforms it has, it does not tell"
    processors = ",".join(sorted({one.split("/")[1] for one in platforms}))
    return (
        f"The builder {name} cannot build for {', '.join(platforms)}: {can}. Docker Desktop emulates other processors "
        f"by itself; on Linux, `docker run --privileged --rm tonistiigi/binfmt --install {processors}` has the kernel "
        "do it. Or name a builder with a node of that kind as slipway:builder, or deploy from a machine of that kind "
        "(docs/how-it-works.md)."
    )


def _builder(pulumi: Pulumi) -> str:
    return str(pulumi.config.values.get("slipway:builder") or builder.BUILDER)


def _context(pulumi: Pulumi) -> Context:
    # What belongs to one checkout is not asked for: the builder is the same for all.
    root = Path(toolchain.__file__).parents[1]
    _, _, port = pulumi.env.get("SLIPWAY_REGISTRY", "").rpartition("localhost:")
    return context_of(root, {"SLIPWAY_REGISTRY_PORT": port, **pulumi.env}, Report(sys.stderr))
