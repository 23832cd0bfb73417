"""What a stack without Azure has of a batch target: its image and what its jobs are told; `slipway batch` runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from manifest.serving import in_bytes

if TYPE_CHECKING:
    from components.project import Project
    from components.promoted_image import PromotedImage
    from components.scoring_image import ScoringImage
    from manifest import BatchTarget, Model


def local_batch(
    model: Model, target: BatchTarget, image: ScoringImage | PromotedImage, *, project: Project
) -> dict[str, Any]:
    """Return what the stack exports of a batch target: nothing runs before there is a job.

    Args:
        model: The model as the manifest has it.
        target: What its manifest entry asks for here.
        image: The image to run.
        project: The checkout and its stack.
    """
    return {
        "engine": "local",
        "image": image.ref,
        "version": model.version,
        "input": target.input,
        "output": target.output or f".slipway/batch/{model.name}",
        "settings": target.variables(),
        "arguments": list(target.arguments),
        "environment": {"SLIPWAY_DEVELOPMENT": "1"} if project.environment.development else {},
        "tasks": target.tasks,
        "taskBytes": in_bytes(target.task_bytes),
        "mostTasks": target.most_tasks,
        "taskRetries": target.task_retries,
        "taskSlots": target.task_slots,
        "cpu": target.cpu,
        "memoryMib": target.memory_mib,
        "schedule": target.schedule,
    }
