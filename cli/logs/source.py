"""Logs that can be read: of several, what they have so far by time, or what comes as it comes."""

from __future__ import annotations

import contextlib
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.errors import CliError
from cli.output import is_read
from cli.table import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# How often it is looked whether somebody still reads, while nothing is printed.
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class LogSource:
    """The log of one container, pod or device.

    Attributes:
        model: The model that it serves.
        name: Its name.
        read: Takes `tail`, how many of the last lines, and `follow`, whether to wait for more; gives for each when it
            was printed, and the line. Raises CliError where the log is not handed out, or breaks off.
    """

    model: str
    name: str
    read: Callable[..., Iterator[tuple[str, str]]]


@dataclass(frozen=True)
class Line:
    """A line of a log.

    Attributes:
        source: Whose.
        time: When it was printed.
        text: The line.
    """

    source: LogSource
    time: str
    text: str


@dataclass(frozen=True)
class _End:
    """That a log has ended, and why if it broke off."""

    source: LogSource
    problem: CliError | None


def so_far(sources: Sequence[LogSource], tail: int) -> list[Line]:
    """Return the last lines that logs have, by time.

    Args:
        sources: The logs; one of several that cannot be read is told, and ends no other.
        tail: How many of each.

    Raises:
        CliError: The only one cannot be read.
    """
    found = []
    for one in sources:
        try:
            found += [Line(one, *dated) for dated in one.read(tail=tail)]
        except CliError as error:
            if len(sources) == 1:
                raise
            say(f"{one.name}: {error}")
    # The times of engines, clusters and Azure sort as text.
    return sorted(found, key=lambda line: line.time)


def following(sources: Sequence[LogSource], tail: int) -> Iterator[Line]:
    """Return what is printed, as it comes, until all logs have ended, or nobody reads it any more.

    One that breaks off is told, and ends no other.

    Args:
        sources: The logs.
        tail: How many of the lines that there are already.

    Raises:
        CliError: The last one broke off.
    """
    printed: queue.SimpleQueue[Line | _End] = queue.SimpleQueue()

    def read(source: LogSource) -> None:
        problem = None
        try:
            for dated in source.read(tail=tail, follow=True):
                printed.put(Line(source, *dated))
        except CliError as error:
            problem = error
        except Exception as error:  # noqa: BLE001 - a thread's own end would be a traceback, and nothing else
            problem = CliError(
                f"Slipway itself failed: {type(error).__name__}: {error}", hint="SLIPWAY_DEBUG=1 shows where."
            )
            problem.__cause__ = error
        printed.put(_End(source, problem))

    for one in sources:
        threading.Thread(target=read, args=(one,), daemon=True).start()
    left = len(sources)
    while left and (line := _next(printed)):
        if isinstance(line, Line):
            yield line
            continue
        left -= 1
        if line.problem and not left:
            raise line.problem
        if line.problem:
            say(f"{line.source.name}: {line.problem}")


def _next(printed: queue.SimpleQueue[Line | _End]) -> Line | _End | None:
    """What is printed next; None once nobody reads it any more."""
    while is_read():
        with contextlib.suppress(queue.Empty):
            return printed.get(timeout=_LOOK_SECONDS)
    return None
