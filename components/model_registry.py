"""Registers each model's version when its image is built, lists it where wanted, and has its bytes fetched."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pulumi

from components.registered_model import RegisteredModel, source_url
from registry import RegistryError, bytes_of, context_folder, open_registry
from registry.progress import every

if TYPE_CHECKING:
    from components.azure import Platform
    from components.project import Project
    from components.scoring_image import ScoringImage
    from manifest import Model
    from registry.fetch import Progress

_SECONDS = 5.0


def register(model: Model, image: ScoringImage, *, project: Project, platform: Platform | None) -> None:
    """Register a model's version before its image goes anywhere, and list it in the stack's workspace if wanted.

    Args:
        model: The model as the manifest has it.
        image: What has to be built first: a version whose image cannot answer can still get other bytes.
        project: The checkout and its stack.
        platform: What the stack has in Azure, if it has that.
    """
    registered = RegisteredModel(model, project=project, opts=pulumi.ResourceOptions(depends_on=image))
    image.bind(registered)
    if platform and project.environment.registers_in_workspace:
        from components.azure.model_store import listed  # noqa: PLC0415 - a stack without it starts without the SDK

        listed(model, registered, platform.models)


def source_folder(model: Model) -> str | None:
    """Return where the bytes of a model that comes from elsewhere will be, relative to the project's folder."""
    return context_folder(model.source.url, model.source.sha256) if model.source else None


def fetched_before(model: Model, project: Project) -> pulumi.ResourceHookBinding | None:
    """Return what has a model's bytes there before its image is built; None where they are in the repository.

    A preview and an unchanged image fetch nothing.
    """
    if model.source is None:
        return None

    async def fetch(args: pulumi.ResourceHookArgs) -> None:
        del args
        loop = asyncio.get_running_loop()

        def show(line: str) -> None:
            loop.call_soon_threadsafe(lambda: pulumi.log.info(f"{model.name}: {line}", ephemeral=True))

        # A download would hold up everything else that the program does.
        location = await pulumi.Output.from_input(project.model_registry).future()
        await asyncio.to_thread(_fetch, model, project, str(location), every(_SECONDS, show))

    hook = pulumi.ResourceHook(f"fetch-{model.name}", fetch)
    return pulumi.ResourceHookBinding(before_create=[hook], before_update=[hook])


def _fetch(model: Model, project: Project, location: str, progress: Progress) -> None:
    if model.source is None:
        return
    try:
        registry = open_registry(location, project.root)
        there = registry.get(model.name, model.version)
        same = there is not None and there.digest == f"sha256:{model.source.sha256}"
        bytes_of(
            source_url(model, model.source, project),
            model.source.sha256,
            project.root,
            registered=(registry, there) if there and same else None,
            progress=progress,
        )
    except RegistryError as error:
        raise pulumi.RunError(str(error)) from None
