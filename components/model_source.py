"""Models that come from elsewhere: their address, and their bytes in time for their image."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pulumi

from registry import RegistryError, bytes_of, context_folder, open_registry
from registry.azureml_address import with_workspace
from registry.progress import every

if TYPE_CHECKING:
    from components.project import Project
    from manifest import Model
    from manifest.model import Source
    from registry.fetch import Progress

_SECONDS = 5.0


def source_url(model: Model, source: Source, project: Project) -> str:
    """Return where a model comes from; a workspace's may leave it to the stack which one that is."""
    azure = project.environment.azure
    workspace = azure.machine_learning.id if azure and azure.machine_learning else None
    try:
        return with_workspace(source.url, workspace)
    except RegistryError as error:
        raise pulumi.RunError(f"model {model.name}: source.url: {error}") from None


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
