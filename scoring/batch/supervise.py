"""The process that hands out parts, watches those that work on them, and ends the job."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import signal
import time
from collections import Counter, deque
from dataclasses import dataclass
from multiprocessing import connection
from typing import TYPE_CHECKING, Any

from scoring.batch import clerk, worker
from scoring.batch.board import Board, Slot
from scoring.batch.progress import Progress, line_of
from scoring.batch.worker import GaveUp, LoadFailed, Order, Ready, StorageFailed

if TYPE_CHECKING:
    from multiprocessing.context import ForkProcess

    from scoring.batch.clerk import Slice
    from scoring.batch.plan import Part
    from scoring.batch.settings import JobSettings
    from scoring.scorer import Scorer
    from scoring.settings import Settings

COMPLETE, FAILED, MISTAKE, START_FAILED = 0, 1, 2, 3
UNFINISHED = 75  # EX_TEMPFAIL of sysexits.h: the same again may succeed.
_LOOK_SECONDS = 0.2
_GRACE_SECONDS = 5.0
_log = logging.getLogger("slipway")
_fork = multiprocessing.get_context("fork")


@dataclass
class _Worker:
    """A process, and what it works on."""

    number: int
    process: ForkProcess
    pipe: Any
    slot: Slot
    part: Part | None = None
    is_ready: bool = False
    is_hung: bool = False


class Supervisor:
    """Runs one task of a job."""

    def __init__(self, settings: Settings, job: JobSettings, loaded: Scorer | None) -> None:
        """Take what was asked for.

        Args:
            settings: The script's surroundings.
            job: The job.
            loaded: The script, where all processes share it.
        """
        self._settings = settings
        self._job = job
        self._loaded = loaded
        self._board = Board(job.processes)
        self._workers: list[_Worker] = []
        self._clerk: tuple[ForkProcess, Any] | None = None
        self._waiting: deque[Part] = deque()
        self._ends: Counter[tuple[str, int]] = Counter()
        self._skip: dict[str, set[int]] = {}
        self._reasons: dict[str, str] = {}
        self._plan: Any = None
        self._progress = Progress(0, 0)
        self._lost = 0
        self._is_told = True
        self._next_report = 0.0
        self._signalled = False
        self._code: int | None = None
        self._stop_by = float("inf")

    def run(self) -> int:
        """Do the task.

        Returns:
            The exit code.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        try:
            return self._run()
        finally:
            for one in self._workers:
                one.process.kill()
                one.process.join()
            if self._clerk is not None:
                self._clerk[0].kill()
                self._clerk[0].join()

    def _run(self) -> int:
        ours, theirs = _fork.Pipe()
        self._clerk = (_fork.Process(target=clerk.work, args=(self._job, theirs)), ours)
        self._clerk[0].start()
        theirs.close()
        for number in range(self._job.processes):
            self._workers.append(self._start(number))
        while not self._is_over():
            self._look()
            self._check()
            self._hand_out()
            self._report("running")
        return self._end()

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._signalled = True

    def _start(self, number: int) -> _Worker:
        ours, theirs = _fork.Pipe()
        slot = self._board.slot(number)
        slot.end()
        process = _fork.Process(target=worker.work, args=(self._settings, self._job, theirs, slot, self._loaded))
        process.start()
        theirs.close()
        return _Worker(number, process, ours, slot)

    def _is_over(self) -> bool:
        if self._code is not None:
            # The one that failed to load, or a process that was never told anything, has nothing to finish.
            return not any(one.part for one in self._workers) or time.monotonic() > self._stop_by
        return self._plan is not None and not self._waiting and not any(one.part for one in self._workers)

    def _stop(self, code: int) -> None:
        if self._code is None:
            self._code = code
            self._board.stop()
            self._stop_by = time.monotonic() + self._settings.drain_seconds

    def _look(self) -> None:
        """Take what the processes tell."""
        sources: dict[Any, Any] = {one.pipe: one for one in self._workers}
        if self._clerk is not None:
            sources[self._clerk[1]] = None
        for source in connection.wait(list(sources), _LOOK_SECONDS):
            one = sources[source]
            try:
                message = source.recv()  # type: ignore[union-attr,call-arg]  # all of them are pipes
            except (EOFError, OSError):
                if one is not None:
                    self._ended(one)
                else:
                    if self._clerk is not None:
                        self._clerk[0].join()
                        self._clerk = None
                    self._refuse("the process that lists the input ended", UNFINISHED)
                continue
            if one is None:
                self._clerk_told(message)
            else:
                self._told(one, message)

    def _clerk_told(self, message: Any) -> None:
        if message is None:
            self._is_told = True
        elif isinstance(message, clerk.Refused):
            self._refuse(message.message, MISTAKE if message.is_mistake else UNFINISHED)
        else:
            self._begin(message)

    def _begin(self, mine: Slice) -> None:
        job = self._job
        # This is the clerk's answer: it can be told of the progress now.
        self._is_told = True
        self._progress = Progress(
            len(mine.parts) + mine.finished, mine.size, mine.finished, mine.finished_size, mine.items, mine.failed
        )
        self._lost = mine.lost
        self._waiting.extend(mine.parts)
        self._plan = mine.plan
        again = f", {mine.finished} of them finished before" if mine.finished else ""
        _log.info("task %d of %d: %d parts%s", job.task, job.of, self._progress.parts, again)
        for one in self._workers:
            if one.is_ready:
                one.pipe.send(self._plan)

    def _told(self, one: _Worker, message: Any) -> None:
        if isinstance(message, Ready):
            one.is_ready = True
            if self._plan is not None:
                one.pipe.send(self._plan)
            elif self._is_told and self._clerk is not None:
                # The first one that knows: how run() is called decides what a part is.
                self._is_told = False
                self._clerk[1].send(message.call)
        elif isinstance(message, LoadFailed):
            self._refuse("the script could not be loaded", START_FAILED)
        elif isinstance(message, StorageFailed):
            self._leave(one)
            self._refuse(message.message, FAILED if message.is_lasting else UNFINISHED)
        elif isinstance(message, GaveUp):
            self._leave(one)
        else:
            progress = self._progress
            progress.parts_done += 1
            progress.size_done += message.size
            progress.items += message.items
            progress.failed += message.failed
            progress.results += message.results
            self._lost += message.lost
            one.part = None

    def _leave(self, one: _Worker) -> None:
        if one.part is not None:
            self._waiting.append(one.part)
            one.part = None

    def _ended(self, one: _Worker) -> None:
        """A process died: of its script, for want of memory, or because it hung."""
        one.process.join()
        one.pipe.close()
        code = one.process.exitcode or 0
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        if one.is_hung:
            how = f"did not return from run() within {self._job.timeout} s (--timeout)"
        if not one.is_ready:
            self._refuse(f"a process {how} while it loaded the script", START_FAILED)
            self._workers.remove(one)
            return
        if (part := one.part) is not None:
            key = (part.name, one.slot.batch)
            self._ends[key] += 1
            _log.error("a process %s, in %s", how, part.name)
            if self._ends[key] > self._job.max_retries:
                self._skip.setdefault(part.name, set()).add(one.slot.batch)
                self._reasons[part.name] = f"a process {how}"
            self._leave(one)
        if self._code is None:
            self._workers[self._workers.index(one)] = self._start(one.number)
        else:
            self._workers.remove(one)

    def _check(self) -> None:
        job = self._job
        for one in self._workers:
            if not one.is_hung and one.slot.busy_seconds > job.timeout + _GRACE_SECONDS:
                one.is_hung = True
                one.process.kill()
        failed = self._progress.failed + sum(one.slot.failed for one in self._workers if one.part)
        if 0 <= job.error_threshold < failed and self._code is None:
            self._refuse(f"{failed} items failed, more than the {job.error_threshold} of --error-threshold", FAILED)
        if self._signalled and self._code is None:
            _log.info("stopping after the calls under way")
            self._stop(UNFINISHED)

    def _hand_out(self) -> None:
        if self._plan is None or self._code is not None:
            return
        for one in self._workers:
            if one.is_ready and one.part is None and self._waiting:
                part = self._waiting.popleft()
                one.part = part
                skip = frozenset(self._skip.get(part.name, ()))
                try:
                    one.pipe.send(Order(part, skip, self._reasons.get(part.name, "")))
                except OSError:  # It has just died, which the next look will show.
                    continue

    def _refuse(self, message: str, code: int) -> None:
        _log.error("%s", self._job.told(message))
        self._stop(code)

    def _report(self, state: str, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if self._plan is None or (now < self._next_report and not at_once):
            return
        self._next_report = now + self._job.progress_seconds
        under_way = sum(one.slot.items for one in self._workers if one.part)
        told = self._progress.told(state, self._job.task, self._job.of, under_way=under_way)
        _log.info("%s", line_of(told))
        # One at a time: a storage that hangs must not hold up the job.
        if self._clerk is not None and (self._is_told or at_once):
            self._is_told = False
            try:
                self._clerk[1].send(told)
            except OSError:
                _log.warning("the progress is no longer written")

    def _end(self) -> int:
        for one in self._workers:
            if one.part is None and one.is_ready:
                try:
                    one.pipe.send(None)
                except OSError:
                    continue
        self._workers = [one for one in self._workers if not _joined(one, self._job.timeout)]
        if self._code is None and self._lost:
            parts = "1 part of the input has" if self._lost == 1 else f"{self._lost} parts of the input have"
            self._refuse(f"{parts} rows that could not be read, nobody knows how many: errors/ tells where", FAILED)
        code = COMPLETE if self._code is None else self._code
        states = {COMPLETE: "complete", UNFINISHED: "unfinished"}
        self._report(states.get(code, "failed"), at_once=True)
        if self._clerk is not None:
            with contextlib.suppress(OSError):
                self._clerk[1].send(None)
            self._clerk[0].join(_GRACE_SECONDS)
        return code


def _joined(one: _Worker, seconds: float) -> bool:
    """Whether a process ended by itself, its shutdown() called."""
    if one.part is not None or not one.is_ready:
        return False
    one.process.join(seconds)
    return one.process.exitcode is not None
