"""What the stack exports of a batch target wherever its jobs run: `slipway batch` and schedules make jobs of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from manifest.serving import in_bytes

if TYPE_CHECKING:
    from components.model_image import ModelImage
    from components.project import Project
    from manifest import BatchTarget, Model


def exported(model: Model, target: BatchTarget, image: ModelImage, *, project: Project) -> dict[str, Any]:
    """Return what is the same on every engine; `engine` and what belongs to one is for that to add.

    Args:
        model: The model as the manifest has it.
        target: What its manifest entry asks for.
        image: The image to run.
        project: The checkout and its stack.
    """
    return {
        "image": image.ref,
        "version": model.version,
        "input": target.input,
        "output": target.output,
        "settings": target.variables(),
        "arguments": list(target.arguments),
        "environment": {"SLIPWAY_DEVELOPMENT": "1"} if project.environment.development else {},
        "tasks": target.tasks,
        "taskBytes": in_bytes(target.task_bytes),
        "mostTasks": target.most_tasks,
        "taskRetries": target.task_retries,
        "cpu": target.cpu,
        "memoryMib": target.memory_mib,
        "schedule": target.schedule,
        # Only where there are some: what has none stays as it is.
        **({"mounts": sorted(target.mounts)} if target.mounts else {}),
    }
