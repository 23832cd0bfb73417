"""How the event loop and the script's threads wake each other: by pipes.

Who wakes a thread by a lock or a queue holds the interpreter's lock while it does, so the one that is woken runs into
that lock, waits again, and is woken again. A pipe is written to without it: a call and its answer take half the
switches between threads.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

Item = TypeVar("Item")


class Line(Generic[Item]):
    """What waits for threads, first come, first served."""

    def __init__(self) -> None:
        """Begin empty."""
        self._items: deque[Item] = deque()
        # One for each thread that sleeps, or is about to.
        self._asleep: deque[None] = deque()
        self._ended = False
        self._reader, self._writer = os.pipe()

    def __bool__(self) -> bool:
        """Whether something waits."""
        return bool(self._items)

    def put(self, item: Item) -> None:
        """Have a thread take an item."""
        self._items.append(item)
        if self._asleep:
            self._wake()

    def get(self) -> Item | None:
        """Wait for the next item; None when the line has ended and nothing is left."""
        while True:
            # Asked before the look: what is put before the end is taken after it.
            ended = self._ended
            if (item := self.take()) is not None or ended:
                return item
            self._asleep.append(None)
            # Once more: what came in between woke nobody. It is then woken for nothing some time, which does no harm.
            if not self._items and not self._ended:
                os.read(self._reader, 1)

    def take(self) -> Item | None:
        """Return the next item if there is one now."""
        try:
            return self._items.popleft()
        except IndexError:
            return None

    def end(self) -> None:
        """Have the threads end when nothing is left."""
        self._ended = True
        while self._asleep:
            self._wake()

    def close(self) -> None:
        """Give the pipe back; no thread may be left."""
        os.close(self._reader)
        os.close(self._writer)

    def _wake(self) -> None:
        # Another thread may have been faster.
        with contextlib.suppress(IndexError):
            self._asleep.pop()
            os.write(self._writer, b"\0")


class Bell:
    """Has the event loop do something when other threads ring."""

    def __init__(self, loop: asyncio.AbstractEventLoop, answer: Callable[[], None]) -> None:
        """Listen.

        Args:
            loop: The event loop.
            answer: What it is to do; once for several rings that it has not heard yet.
        """
        self._loop = loop
        self._answer = answer
        self._reader, self._writer = os.pipe()
        for end in (self._reader, self._writer):
            os.set_blocking(end, False)
        loop.add_reader(self._reader, self._hear)

    def ring(self) -> None:
        """Be heard, from any thread."""
        # Full of rings that were not heard yet: those will do.
        with contextlib.suppress(BlockingIOError):
            os.write(self._writer, b"\0")

    def close(self) -> None:
        """Listen no more; nobody may ring after this."""
        self._loop.remove_reader(self._reader)
        os.close(self._reader)
        os.close(self._writer)

    def _hear(self) -> None:
        os.read(self._reader, 4096)
        self._answer()
