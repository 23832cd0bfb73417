"""An image that is built from named contexts and pushed: what the two kinds of image have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_docker_build as docker_build

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from components.project import Project

# 1980-01-01: the earliest time that a zip archive, and so a wheel, can hold.
SOURCE_DATE_EPOCH = "315532800"


def platform_options(platforms: Iterable[str]) -> list[str]:
    """Return platforms as docker-build takes them; it knows one arm of 32 bits, v7, and without that in its name."""
    return [one.removesuffix("/v7") for one in platforms]


def pushed_image(
    name: str,
    *,
    project: Project,
    tag: str,
    contexts: Mapping[str, pulumi.Input[str]],
    parent: pulumi.Resource,
    build_args: Mapping[str, str] | None = None,
    depends_on: pulumi.Resource | None = None,
    hooks: pulumi.ResourceHookBinding | None = None,
    **options: Any,
) -> docker_build.Image:
    """Register an image.

    The main context is `components/context`, whose .dockerignore leaves nothing of it. docker-build applies the
    patterns of that file to its own hash of all contexts, which holds umask bits, so that hash stays out of it:
    what decides on a change is ours, in the image's tag.

    Args:
        name: The resource's name.
        project: Where to build and push.
        tag: The image's name below the project's repository, with its tag.
        contexts: Name to folder or image, of what the Dockerfile copies from.
        parent: The component that the image belongs to.
        build_args: Build arguments beside SOURCE_DATE_EPOCH.
        depends_on: What has to be there before.
        hooks: What runs before it is built, if it is.
        options: What else docker-build's Image takes.
    """
    return docker_build.Image(
        name,
        tags=[pulumi.Output.concat(project.repository, "/", tag)],
        builder={"name": project.environment.builder},
        context=docker_build.BuildContextArgs(
            location="components/context",
            named={key: docker_build.ContextArgs(location=location) for key, location in contexts.items()},
        ),
        build_args={**(build_args or {}), "SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH},
        push=True,
        build_on_preview=False,
        # A registry is shared: what this stack no longer wants may be what another one runs.
        opts=pulumi.ResourceOptions(parent=parent, retain_on_delete=True, depends_on=depends_on, hooks=hooks),
        **options,
    )
