"""Registers each model's version when its image is built, and lists it where that is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi

from components.registered_model import RegisteredModel

if TYPE_CHECKING:
    from components.azure import Platform
    from components.project import Project
    from components.scoring_image import ScoringImage
    from manifest import Model


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
