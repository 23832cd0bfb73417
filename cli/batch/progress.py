"""A job on the terminal: how far it is while it runs, and what became of it."""

from __future__ import annotations

import sys
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bars

from cli.logs.events import event_of
from cli.table import console, say
from cli.units import size
from jobs.engine import JobError, State
from jobs.output import ERRORS, PREDICTIONS, Output, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobs.engine import Engine, JobState

_POLL_SECONDS = 0.5
# Azure and Kubernetes are asked over the net.
_FAR_SECONDS = 5.0
_LINE_SECONDS = 10.0
_PRINTED_LINES = 20
_MINUTE, _HOUR = 60, 3600


def follow(engine: Engine, id_: str, *, is_local: bool) -> tuple[JobState, Progress]:
    """Wait until a job is over, and show how far it is.

    Args:
        engine: What runs it.
        id_: The job.
        is_local: Whether that is this machine, which may be asked often.

    Raises:
        JobError: The engine does not tell.
    """
    reader: Output | None = None
    seen, progress = _state(engine, id_), Progress()
    is_readable = True
    with _shown(id_) as show:
        while True:
            if is_readable:
                try:
                    reader = reader or Output(seen.job.output)
                    progress = reader.progress(seen.job.tasks)
                except JobError as error:
                    # The job goes on all the same.
                    is_readable = False
                    say(f"How far it is cannot be seen from here: {error}")
            show(seen, progress)
            if seen.state.is_over:
                return seen, progress
            time.sleep(_POLL_SECONDS if is_local else _FAR_SECONDS)
            seen = _state(engine, id_)


def report(seen: JobState, progress: Progress | None = None) -> dict[str, Any]:
    """Return a job for programs."""
    told = {
        "model": seen.job.model,
        "version": seen.job.version,
        "job": seen.job.id,
        "state": str(seen.state),
        "created": seen.created,
        "ended": seen.ended,
        "input": seen.job.input.splitlines(),
        "output": seen.job.output,
        "tasks": [{**asdict(one), "state": str(one.state)} for one in seen.tasks],
    }
    return told if progress is None else {**told, "progress": asdict(progress)}


def summary(seen: JobState, progress: Progress) -> list[str]:
    """Return what to say of a job that is over."""
    failed = f", {progress.failed:,} failed" if progress.failed else ""
    lines = [f"{seen.job.id} is {seen.state}: {progress.items:,} items{failed}"]
    lines.append(f"results  {seen.job.output}/{PREDICTIONS}")
    if progress.failed:
        lines.append(f"errors   {seen.job.output}/{ERRORS}")
    return lines


def reasons(engine: Engine, seen: JobState) -> list[str]:
    """Return why the tasks of a job are not complete, in a line each."""
    found = []
    for task in seen.tasks:
        if task.state not in {State.FAILED, State.UNFINISHED}:
            continue
        why = task.note or _last_error(engine, seen.job.id, task.number) or "its log says nothing"
        code = "" if task.exit_code is None else f" with code {task.exit_code}"
        found.append(f"task {task.number} ended{code}: {why}")
    return found


def span(seconds: float) -> str:
    """Return a time in words."""
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds // _HOUR:.0f} h {seconds % _HOUR // _MINUTE:.0f} min"


def _state(engine: Engine, id_: str) -> JobState:
    seen = engine.job(id_)
    if seen is None:
        raise JobError(f"The job {id_} is gone: somebody removed it.")
    return seen


def _last_error(engine: Engine, id_: str, task: int) -> str:
    """What a task said last of what is wrong: an error in its log, else what it printed at its end."""
    error, printed = "", deque[str](maxlen=_PRINTED_LINES)
    try:
        for _, line in engine.logs(id_, task):
            event = event_of(line)
            if event is None:
                printed.append(line)
            elif event["level"] == "ERROR":
                error = event["message"]
    except JobError as failed:
        return str(failed)
    return error or "\n".join(printed).strip()


def _words(seen: JobState, progress: Progress) -> str:
    done = sum(task.state is State.COMPLETE for task in seen.tasks)
    if not progress.parts:
        return f"{seen.state}, {done} of {seen.job.tasks} tasks complete"
    failed = f", {progress.failed:,} failed" if progress.failed else ""
    left = f", {span(progress.seconds_left)} left" if progress.seconds_left is not None else ""
    rate = f", {progress.items_per_second:,.0f}/s" if progress.items_per_second else ""
    return (
        f"{size(progress.size_done)} of {size(progress.size)}, {progress.items:,} items{failed}{rate}{left}"
        f" ({done} of {seen.job.tasks} tasks complete)"
    )


@contextmanager
def _shown(id_: str) -> Iterator[Callable[[JobState, Progress], None]]:
    """What shows a job: a bar where somebody watches, else a line now and then."""
    if not sys.stderr.isatty():
        yield _lines(id_)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[words]}"))
    with Bars(*columns, console=console(error=True), transient=True) as bars:
        bar = bars.add_task(id_, total=None, words="")

        def show(seen: JobState, progress: Progress) -> None:
            bars.update(bar, total=progress.size or None, completed=progress.size_done, words=_words(seen, progress))

        yield show


def _lines(id_: str) -> Callable[[JobState, Progress], None]:
    told, last = 0.0, ""

    def show(seen: JobState, progress: Progress) -> None:
        nonlocal told, last
        words = _words(seen, progress)
        if words != last and time.monotonic() - told >= _LINE_SECONDS:
            told, last = time.monotonic(), words
            say(f"{id_}: {words}")

    return show
