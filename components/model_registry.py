"""Registers each model's version when its image is built, and lists it where that is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi

from components.model_image import ModelImage
from components.registered_model import RegisteredModel

if TYPE_CHECKING:
    from components.azure import Platform
    from components.project import Project
    from components.scoring_image import ScoringImage
    from manifest import Model


def register(model: Model, image: ScoringImage, *, project: Project, platform: Platform | None) -> ModelImage:
    """Register a model's version, list it in the stack's workspace if wanted, and return the image for its targets.

    Args:
        model: The model as the manifest has it.
        image: What has to be built first: a version whose image cannot answer can still get other bytes.
        project: The checkout and its stack.
        platform: What the stack has in Azure, if it has that.

    Returns:
        The image once the version is bound to its bytes: it goes nowhere before.
    """
    registered = RegisteredModel(model, project=project, opts=pulumi.ResourceOptions(depends_on=image))
    if platform and project.environment.registers_in_workspace:
        from components.azure.model_store import listed  # noqa: PLC0415 - a stack without it starts without the SDK

        listed(model, registered, platform.models)
    ref = pulumi.Output.all(image.ref, registered.urn).apply(lambda both: str(both[0]))
    return ModelImage(ref, image.tag, image.platforms)
