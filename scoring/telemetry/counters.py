"""Numbers that all worker processes count in memory that they share, each in a block that only it writes.

No file and no lock: a block has one writer, and a slot of eight bytes is written at once. A block outlives its
process: the worker that takes it over counts on from there, so that no total ever falls.
"""

from __future__ import annotations

import mmap
import os
import resource

ROUTES = ("/score", "/", "/live", "/ready", "/status", "/metrics", "/swagger.json", "/docs", "other")
REASONS = ("queue full", "starting", "draining", "deadline", "too large", "unauthorized", "other")

# Upper bounds of the histograms, in seconds, bytes and requests.
SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
BYTES = tuple(float(4**power) for power in range(3, 15))
BATCH = tuple(float(2**power) for power in range(11))

# A histogram is a slot for each bound, one for what is above them all, and the sum.
SUM_OF_SECONDS = len(SECONDS) + 1
SUM_OF_BYTES = len(BYTES) + 1
SUM_OF_BATCH = len(BATCH) + 1
# Of a block: what belongs to the process that has it now.
PID = 0
QUEUE = 1
INIT = 2
PROCESS_SLOTS = 3
# Of a block: totals.
COLLECTED = 3
DROPPED_ROWS = 4
DROPPED_SPANS = 5
REJECTED = 6
RUN = REJECTED + len(REASONS)
BATCHES = RUN + SUM_OF_SECONDS + 1
REQUESTS = BATCHES + SUM_OF_BATCH + 1
# Of each route: answers by status, the first slot for those that are none, then three histograms.
STATUSES = 600
FIRST_STATUS = 100
DURATION = STATUSES
RECEIVED = DURATION + SUM_OF_SECONDS + 1
SENT = RECEIVED + SUM_OF_BYTES + 1
ROUTE_SLOTS = SENT + SUM_OF_BYTES + 1
BLOCK_SLOTS = REQUESTS + len(ROUTES) * ROUTE_SLOTS
# Of the memory, before the blocks.
_RESTARTS = 0
_ENDED_CPU = 1
_HEAD_SLOTS = 2
_SLOT_BYTES = 8


class Counters:
    """The memory; made before the workers are forked, and never larger after that."""

    def __init__(self, workers: int) -> None:
        """Make it.

        Args:
            workers: How many worker processes there may be at once; one that is replaced before it has ended
                counts as two.
        """
        # Shared with the processes forked later, and gone with the last of them.
        memory = mmap.mmap(-1, (_HEAD_SLOTS + (workers + 1) * BLOCK_SLOTS) * _SLOT_BYTES)
        self._slots = memoryview(memory).cast("d")
        self._workers = workers
        self.master[PID] = os.getpid()

    def of(self, worker: int) -> memoryview[float]:
        """Return the block of a worker.

        Args:
            worker: Its number, from 0.

        Raises:
            IndexError: There is no block of that number.
        """
        if not 0 <= worker < self._workers:
            raise IndexError(f"worker {worker} of {self._workers}")
        return self._block(worker + 1)

    @property
    def master(self) -> memoryview[float]:
        """The block of the process that forks: for an init() before the fork."""
        return self._block(0)

    def retire(self, worker: int, *, restarts: bool = True) -> None:
        """Clear what belonged to a worker that has ended; its totals stay. Called by the master, after wait().

        Args:
            worker: Its number, free again for the process that replaces it.
            restarts: Whether it is replaced because something went wrong.
        """
        block = self.of(worker)
        block[:PROCESS_SLOTS] = memoryview(bytes(PROCESS_SLOTS * _SLOT_BYTES)).cast("d")
        self._slots[_RESTARTS] += restarts
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        self._slots[_ENDED_CPU] = ended.ru_utime + ended.ru_stime

    @property
    def restarts(self) -> int:
        """How many workers have ended and been retired."""
        return int(self._slots[_RESTARTS])

    @property
    def ended_cpu_seconds(self) -> float:
        """The processor time of the workers that have been retired."""
        return self._slots[_ENDED_CPU]

    def blocks(self) -> list[memoryview[float]]:
        """Return all blocks: the master's, then each worker's."""
        return [self._block(number) for number in range(self._workers + 1)]

    def _block(self, number: int) -> memoryview[float]:
        start = _HEAD_SLOTS + number * BLOCK_SLOTS
        return self._slots[start : start + BLOCK_SLOTS]
