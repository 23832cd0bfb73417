"""ModelRegistry: each model's version, registered before its image is built; bound to its bytes from then on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pulumi

from manifest import content
from manifest.listing import model_digest
from registry import RegistryError, bytes_of, context_folder, open_registry
from registry.azureml_address import with_workspace
from registry.progress import every

if TYPE_CHECKING:
    from components.azure import Platform
    from components.project import Project
    from manifest import Model
    from manifest.model import Source
    from registry.fetch import Progress

_TYPE = "slipway:index:RegisteredModel"
_SECONDS = 5.0
_OUTPUTS = {"registeredAt": "registered_at", "registeredBy": "registered_by", "commit": "commit"}


class RegisteredModel(pulumi.CustomResource):
    """One version in the registry.

    Attributes:
        digest: Of its bytes; known before they are fetched.
        registered_at: When, in ISO 8601.
        registered_by: Who.
        commit: From which commit; empty where there was none.
    """

    digest: str
    registered_at: pulumi.Output[str]
    registered_by: pulumi.Output[str]
    commit: pulumi.Output[str]

    def __init__(self, model: Model, *, project: Project, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the version.

        Args:
            model: The model as the manifest has it.
            project: The checkout and its stack.
            opts: Pulumi's options.
        """
        digest = model_digest(model, project.root)
        inputs: dict[str, Any] = {
            "name": model.name,
            "version": model.version,
            "digest": digest,
            "registry": project.model_registry,
            "framework": model.framework,
            "description": model.description,
            "tags": dict(model.tags) or None,
            "data": model.lineage.data,
            "metrics": dict(model.lineage.metrics) or None,
            **_place(model, project),
        }
        given = {name: one for name, one in inputs.items() if one is not None}
        super().__init__(_TYPE, model.name, {**given, **dict.fromkeys(_OUTPUTS.values())}, opts)
        # Not the output of that name: this one is known in a preview.
        self.digest = digest

    def translate_output_property(self, prop: str) -> str:
        """Name outputs as Python does."""
        return _OUTPUTS.get(prop, prop)


def registered_model(model: Model, *, project: Project, platform: Platform | None) -> RegisteredModel:
    """Register a model's version, and list it in the stack's workspace where that is wanted.

    Args:
        model: The model as the manifest has it.
        project: The checkout and its stack.
        platform: What the stack has in Azure, if it has that.
    """
    registered = RegisteredModel(model, project=project)
    if platform and project.environment.registers_in_workspace:
        from components.azure.model_store import listed  # noqa: PLC0415 - a stack without it starts without the SDK

        listed(model, registered, platform.models)
    return registered


def _place(model: Model, project: Project) -> dict[str, Any]:
    if model.source:
        return {"url": _url(model, model.source, project), "sha256": model.source.sha256}
    if model.model_path != ".":
        return {"path": model.path}
    return {"path": model.path, "exclude": sorted(content.scoring_files(model))}


def _url(model: Model, source: Source, project: Project) -> str:
    """Where a model comes from; a workspace's may leave it to the stack which one that is."""
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
            _url(model, model.source, project),
            model.source.sha256,
            project.root,
            registered=(registry, there) if there and same else None,
            progress=progress,
        )
    except RegistryError as error:
        raise pulumi.RunError(str(error)) from None
