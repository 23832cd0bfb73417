"""What the tasks of a job print while they run: of many at once, as it comes."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from jobs.engine import JobError, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.engine import Engine, JobState

# A job may have 100,000 tasks: each that is followed is a thread and a connection.
MOST_AT_ONCE = 32
_Printed = queue.SimpleQueue[tuple[int, str] | JobError | None]
_LOOK_SECONDS = 5.0


def lines(engine: Engine, seen: JobState, task: int | None, *, follow: bool) -> Iterator[tuple[int, str]]:
    """Return what a job's tasks printed, as numbers of tasks and lines.

    Args:
        engine: What runs it.
        seen: The job.
        task: One of its tasks; None for all.
        follow: Whether to wait for more, until they end; of all tasks, MOST_AT_ONCE at a time, those that run first.

    Raises:
        JobError: The engine does not tell.
    """
    if not follow or task is not None or seen.job.tasks == 1:
        return engine.logs(seen.job.id, task, follow=follow)
    return _followed(engine, seen)


def _followed(engine: Engine, seen: JobState) -> Iterator[tuple[int, str]]:
    id_, printed = seen.job.id, _Printed()
    followed: set[int] = set()
    at_work, next_look, begun = 0, time.monotonic() + _LOOK_SECONDS, _begun(seen, followed)
    while True:
        while begun and at_work < MOST_AT_ONCE:
            number = begun.popleft()
            followed.add(number)
            threading.Thread(target=_read, args=(engine, id_, number, printed), daemon=True).start()
            at_work += 1
        if not at_work and (seen.state.is_over or len(followed) == seen.job.tasks):
            return
        with contextlib.suppress(queue.Empty):
            line = printed.get(timeout=max(0.0, next_look - time.monotonic()))
            if isinstance(line, JobError):
                raise line
            if line is None:
                at_work -= 1
            else:
                yield line
        if time.monotonic() >= next_look:
            seen = _again(engine, id_)
            begun, next_look = _begun(seen, followed), time.monotonic() + _LOOK_SECONDS


def _read(engine: Engine, id_: str, number: int, printed: _Printed) -> None:
    try:
        for line in engine.logs(id_, number, follow=True):
            printed.put(line)
    except JobError as error:
        printed.put(error)
    finally:
        printed.put(None)


def _again(engine: Engine, id_: str) -> JobState:
    seen = engine.job(id_)
    if seen is None:
        raise JobError(f"The job {id_} is gone: somebody removed it.")
    return seen


def _begun(seen: JobState, followed: set[int]) -> deque[int]:
    """The tasks to follow next: what has ended can wait."""
    found = [one for one in seen.tasks if one.state is not State.WAITING and one.number not in followed]
    return deque(one.number for one in sorted(found, key=lambda one: one.state is not State.RUNNING))
