"""Into how many tasks a job is split, by the size of its input: with what splits scheduled jobs in the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.engine import JobError
from scoring.batch.places import InputError, Places, StorageError
from scoring.batch.split import task_count

if TYPE_CHECKING:
    from collections.abc import Mapping


def tasks_for(given: str, target: Mapping[str, Any]) -> int:
    """Return how many tasks a job is to have.

    Args:
        given: The input, as the runner takes it, reached with the rights of who asks.
        target: What the stack exports of the target.

    Raises:
        JobError: The input has no files, or cannot be listed from here.
    """
    try:
        sizes = [size for _, _, size in Places().find(given)]
    except InputError as error:
        raise JobError(f"{str(error)[:1].upper()}{str(error)[1:]}.", is_usage=True) from None
    except StorageError as error:
        raise JobError(
            f"The input cannot be listed from here: {error}.",
            hint="Log in (az login, or AZURE_STORAGE_CONNECTION_STRING, AWS_ACCESS_KEY_ID, ...), or say --tasks N.",
        ) from None
    return task_count(sum(sizes), len(sizes), int(target["taskBytes"]), int(target["mostTasks"]))
