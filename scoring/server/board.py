"""The board: what each process of the service tells the others, in memory that they share."""

from __future__ import annotations

import mmap
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scoring.service import State

_STATES: tuple[State | None, ...] = (None, "starting", "ready", "busy", "failed", "draining")
_BEST_FIRST: tuple[State, ...] = ("ready", "busy", "draining", "failed", "starting")
# State, process, heartbeat on the monotonic clock, bytes of the error that follows.
_HEAD = struct.Struct("=B3xIdI")
_SLOT_BYTES = 16 * 1024
_ERROR_BYTES = _SLOT_BYTES - _HEAD.size


class Board:
    """One slot for each worker, which only that worker and, when it is gone, the master write to."""

    def __init__(self, slots: int) -> None:
        """Make the board, before the first fork.

        Args:
            slots: How many workers there will be.
        """
        self._slots = slots
        self._memory = mmap.mmap(-1, slots * _SLOT_BYTES)

    def tell(self, slot: int, state: State, process: int, error: str | None) -> None:
        """Write a worker's state, and that it is alive.

        Args:
            slot: Whose.
            state: What it does.
            process: Its process id.
            error: Why it failed; None when it did not.
        """
        text = (error or "").encode("utf-8", "replace")[:_ERROR_BYTES]
        start = slot * _SLOT_BYTES
        # The text first: who reads in between finds an old length, and at worst half of a message for people.
        self._memory[start + _HEAD.size : start + _HEAD.size + len(text)] = text
        _HEAD.pack_into(self._memory, start, _STATES.index(state), process, time.monotonic(), len(text))

    def clear(self, slot: int) -> None:
        """Forget a worker that is gone."""
        _HEAD.pack_into(self._memory, slot * _SLOT_BYTES, 0, 0, 0.0, 0)

    def state(self, slot: int) -> State | None:
        """Return a worker's state; None where there is no worker."""
        return _STATES[self._memory[slot * _SLOT_BYTES]]

    def heartbeat(self, slot: int) -> float:
        """Return when a worker last told its state, on the monotonic clock."""
        _, _, told, _ = _HEAD.unpack_from(self._memory, slot * _SLOT_BYTES)
        return float(told)

    def error(self, slot: int) -> str | None:
        """Return why a worker failed."""
        start = slot * _SLOT_BYTES
        _, _, _, length = _HEAD.unpack_from(self._memory, start)
        text = self._memory[start + _HEAD.size : start + _HEAD.size + length]
        return text.decode("utf-8", "replace") or None

    def states(self) -> list[State | None]:
        """Return the states of all workers."""
        return [self.state(slot) for slot in range(self._slots)]

    def processes(self) -> list[int]:
        """Return the process ids of the workers that there are."""
        heads = (_HEAD.unpack_from(self._memory, slot * _SLOT_BYTES) for slot in range(self._slots))
        return [process for state, process, _, _ in heads if state]

    def error_of_others(self, slot: int) -> str | None:
        """Return why a worker failed that is not in this slot; None where none did."""
        others = (other for other in range(self._slots) if other != slot and self.state(other) == "failed")
        errors = (self.error(other) for other in others)
        return next(filter(None, errors), None)

    def summary(self, slot: int, own: State) -> State:
        """Return the state of the service as a whole: what a caller can expect of it.

        Args:
            slot: Whose state is known better than the board knows it.
            own: That state.
        """
        states = self.states()
        states[slot] = own
        for state in _BEST_FIRST:
            if state in states:
                return state
        return own
