"""What a task of a job is on Azure Batch: the same for one that a person starts and one that starts by itself."""

from __future__ import annotations

import math
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from azure.batch import models

# Batch's own are for its service's sake; these are for the model's.
_RUN_OPTIONS = "--cap-drop=ALL --security-opt=no-new-privileges"


def container_of(target: Mapping[str, Any]) -> models.BatchTaskContainerSettings:
    """Return the container of a task.

    Args:
        target: What the stack exports of a batch target.
    """
    from azure.batch import models  # noqa: PLC0415 - slow to import

    server = target.get("registryServer")
    registry = None
    if server:
        identity = models.BatchNodeIdentityReference(resource_id=target["registryIdentity"])
        registry = models.ContainerRegistryReference(registry_server=server, identity_reference=identity)
    options = [_RUN_OPTIONS]
    options += [f"--cpus={target['cpu']:g}"] if target.get("cpu") else []
    options += [f"--memory={math.ceil(target['memoryMib'])}m"] if target.get("memoryMib") else []
    return models.BatchTaskContainerSettings(
        image_name=target["image"],
        container_run_options=" ".join(options),
        registry=registry,
        container_host_batch_bind_mounts=_mounts() if target.get("mounts") else None,
        # The runtime is found from there.
        working_directory=models.ContainerWorkingDirectory.CONTAINER_IMAGE_DEFAULT,
    )


def _mounts() -> list[models.ContainerHostBatchBindMountEntry]:
    """Have what the node has mounted, to read, and the task's own folder: no other task's."""
    from azure.batch import models  # noqa: PLC0415 - slow to import

    path, entry = models.ContainerHostDataPath, models.ContainerHostBatchBindMountEntry
    return [entry(source=path.VFS_MOUNTS, is_read_only=True), entry(source=path.TASK, is_read_only=False)]


def task_of(
    target: Mapping[str, Any], id_: str, command: Iterable[str], variables: Mapping[str, str]
) -> models.BatchTaskCreateOptions:
    """Return a task.

    Args:
        target: What the stack exports of a batch target.
        id_: The task's id.
        command: What the image's entry point is told.
        variables: The task's own environment.
    """
    from azure.batch import models  # noqa: PLC0415 - slow to import

    return models.BatchTaskCreateOptions(
        id=id_,
        command_line=shlex.join(command),
        container_settings=container_of(target),
        environment_settings=settings_of(variables) or None,
        constraints=models.BatchTaskConstraints(max_task_retry_count=int(target["taskRetries"])),
    )


def settings_of(variables: Mapping[str, str]) -> list[models.EnvironmentSetting]:
    """Return variables as Batch takes them."""
    from azure.batch import models  # noqa: PLC0415 - slow to import

    return [models.EnvironmentSetting(name=name, value=value) for name, value in sorted(variables.items())]


def metadata_of(values: Mapping[str, str]) -> list[models.BatchMetadataItem]:
    """Return names and values as Batch takes them."""
    from azure.batch import models  # noqa: PLC0415 - slow to import

    return [models.BatchMetadataItem(name=name, value=value) for name, value in sorted(values.items())]
