"""Memory that the processes of a job share: what each does now, and whether it is to stop."""

from __future__ import annotations

import mmap
import time

# Slots are of 8-byte integers. The first one is the job's.
_FIELDS = 8
_STOP = 0
_BATCH, _SINCE, _ITEMS, _FAILED = range(4)
NO_BATCH = -1


class Board:
    """All slots. A writer has a slot of its own, and an integer is written at once: no lock is needed."""

    def __init__(self, processes: int) -> None:
        """Make it before the processes are forked."""
        self._cells = memoryview(mmap.mmap(-1, 8 * _FIELDS * (processes + 1))).cast("q")

    def slot(self, process: int) -> Slot:
        """Return a process's slot, by its number from 0."""
        return Slot(self._cells, process)

    def stop(self) -> None:
        """Tell all to stop after their call of run()."""
        self._cells[_STOP] = 1


class Slot:
    """What one process tells."""

    def __init__(self, cells: memoryview, process: int) -> None:
        """Use a place of the board."""
        self._cells = cells
        self._at = _FIELDS * (process + 1)

    @property
    def is_stopping(self) -> bool:
        """Whether the job is to stop."""
        return bool(self._cells[_STOP])

    def begin(self, batch: int) -> None:
        """Tell that run() is called now, for a mini-batch of that number."""
        self._cells[self._at + _BATCH] = batch
        self._cells[self._at + _SINCE] = time.monotonic_ns()

    def rest(self) -> None:
        """Tell that run() has returned."""
        self._cells[self._at + _SINCE] = 0
        self._cells[self._at + _BATCH] = NO_BATCH

    def count(self, items: int, failed: int) -> None:
        """Tell how much of the part is done."""
        self._cells[self._at + _ITEMS] = items
        self._cells[self._at + _FAILED] = failed

    def end(self) -> None:
        """Tell that the part is over."""
        self.rest()
        self.count(0, 0)

    @property
    def batch(self) -> int:
        """The number of the mini-batch for which run() is called; NO_BATCH between calls."""
        return int(self._cells[self._at + _BATCH])

    @property
    def busy_seconds(self) -> float:
        """How long the call has taken so far."""
        since = int(self._cells[self._at + _SINCE])
        return (time.monotonic_ns() - since) / 1e9 if since else 0.0

    @property
    def items(self) -> int:
        """How many items of the part are done."""
        return int(self._cells[self._at + _ITEMS])

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return int(self._cells[self._at + _FAILED])
