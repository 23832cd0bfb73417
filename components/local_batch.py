"""What a stack without Azure has of a batch target: its image and what its jobs are told; `slipway batch` runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components.batch_exports import exported

if TYPE_CHECKING:
    from components.model_image import ModelImage
    from components.project import Project
    from manifest import BatchTarget, Model


def local_batch(model: Model, target: BatchTarget, image: ModelImage, *, project: Project) -> dict[str, Any]:
    """Return what the stack exports of a batch target: nothing runs before there is a job.

    Args:
        model: The model as the manifest has it.
        target: What its manifest entry asks for here.
        image: The image to run.
        project: The checkout and its stack.
    """
    return {
        **exported(model, target, image, project=project),
        "engine": "local",
        "output": target.output or f".slipway/batch/{model.name}",
        "taskSlots": target.task_slots,
    }
