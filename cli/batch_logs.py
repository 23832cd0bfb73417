"""What the tasks of a job print while they run: of all at once, as it comes."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from jobs.engine import JobError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.engine import Engine, JobState


def lines(engine: Engine, seen: JobState, task: int | None, *, follow: bool) -> Iterator[tuple[int, str]]:
    """Return what a job's tasks printed, as numbers of tasks and lines.

    Args:
        engine: What runs it.
        seen: The job.
        task: One of its tasks; None for all.
        follow: Whether to wait for more, until they end.

    Raises:
        JobError: The engine does not tell.
    """
    if not follow or task is not None or seen.job.tasks == 1:
        yield from engine.logs(seen.job.id, task, follow=follow)
        return
    printed: queue.SimpleQueue[tuple[int, str] | JobError | None] = queue.SimpleQueue()

    def read(number: int) -> None:
        try:
            for line in engine.logs(seen.job.id, number, follow=True):
                printed.put(line)
        except JobError as error:
            printed.put(error)
        finally:
            printed.put(None)

    for number in range(seen.job.tasks):
        threading.Thread(target=read, args=(number,), daemon=True).start()
    left = seen.job.tasks
    while left:
        line = printed.get()
        if isinstance(line, JobError):
            raise line
        if line is None:
            left -= 1
        else:
            yield line
