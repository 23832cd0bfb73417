"""RegisteredModel: a model's version, bound to its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi

from components.model_source import source_url
from manifest import content
from manifest.listing import model_digest

if TYPE_CHECKING:
    from components.project import Project
    from manifest import Model

_TYPE = "slipway:index:RegisteredModel"
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


def _place(model: Model, project: Project) -> dict[str, Any]:
    if model.source:
        return {"url": source_url(model, model.source, project), "sha256": model.source.sha256}
    if model.model_path != ".":
        return {"path": model.path}
    return {"path": model.path, "exclude": sorted(content.scoring_files(model))}
