"""A lane: the threads that one loaded script lives on, and the calls that wait for it.

The event loop hands calls over and gets results back, in bunches when there are many: under load it is woken
once for several results, and a script that takes batches gets all that wait at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from scoring.interrupts import Interrupted, Interruptible
from scoring.job import Group, Job
from scoring.request import Request
from scoring.scorer import Failed
from scoring.wakes import Bell, Line

if TYPE_CHECKING:
    from collections.abc import Callable

    from scoring.batching import Batching
    from scoring.scorer import Outcome, Scorer
    from scoring.script import Script

_NOTHING = Request("", "")
_log = logging.getLogger("slipway")
# How long an answer may wait for others while calls wait: each wake of the event loop takes the script's turn.
_TOGETHER_SECONDS = 0.001
# Compiled code that does not come back this long after it was told to never will.
_STUCK_SECONDS = 10.0


class DeadlineError(Exception):
    """A call was not answered in time."""


class ShutdownError(Exception):
    """The server stopped before a call was answered."""


class Lane:
    """One load of a script, with threads of its own.

    The first thread imports the script and calls init(), and run() after that: what belongs to a thread stays
    there. A run() that is a coroutine function has that thread's event loop, and many calls at once.

    Attributes:
        loaded: Done when the script is loaded: with None, or with what it raised.
        is_stuck: Whether a call that was broken off did not come back.
        held_bytes: The size of all requests that wait or are under way.
    """

    def __init__(self, load: Callable[[], Scorer], threads: int) -> None:
        """Start loading; needs a running event loop, which all other methods have to be called on too.

        Args:
            load: Imports the script and calls its init().
            threads: How many calls of a synchronous run() may be under way at once.
        """
        self._loop = asyncio.get_running_loop()
        self.loaded: asyncio.Future[BaseException | None] = self._loop.create_future()
        self.is_stuck = False
        self.held_bytes = 0
        self._load = load
        self._threads = threads
        self._scorer: Scorer | None = None
        self._loader: Interruptible | None = None
        self._waiting: Line[Job] = Line()
        # Set when a call has come, for what gathers a batch.
        self._arrived = threading.Event()
        self._gathering = threading.Lock()
        # In the order of their deadlines, which are all as far away.
        self._unanswered: dict[Job, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._done: deque[Job] = deque()
        self._bell = Bell(self._loop, self._deliver)
        self._delivering = False
        self._collecting = False
        self._running: set[Group] = set()
        self._closing = False
        # Threads that have not ended.
        self._alive = 1
        threading.Thread(target=self._live, name="script", daemon=True).start()

    @property
    def is_busy(self) -> bool:
        """Whether every thread is in a call, so that a further one would wait; never so for a coroutine function."""
        return len(self._running) >= self._threads

    @property
    def is_idle(self) -> bool:
        """Whether no thread is in the script's code."""
        return self.loaded.done() and not self._running and not self._unanswered

    @property
    def script(self) -> Script | None:
        """The script; None while it is loading."""
        return self._scorer.script if self._scorer is not None else None

    @property
    def unanswered(self) -> int:
        """How many calls wait or are under way."""
        return len(self._unanswered)

    def submit(self, request: Request, tell: Callable[[Job, Outcome], None], timeout: float) -> Job:
        """Have the script answer a request.

        Args:
            request: The request.
            tell: Called with what became of it; a DeadlineError or ShutdownError in Failed where the runtime ended it.
            timeout: How many seconds it may take, waiting included.
        """
        now = time.monotonic()
        job = Job(request, tell, now, now + timeout)
        self._unanswered[job] = None
        self.held_bytes += job.size
        if self._timer is None:
            self._timer = self._loop.call_later(timeout, self._expire)
        scorer = self._scorer
        if scorer is not None and scorer.is_async and scorer.loop is not None:
            scorer.loop.call_soon_threadsafe(self._start, job)
        else:
            self._waiting.put(job)
            if scorer is not None and scorer.batching is not None:
                self._arrived.set()
            # Calls wait for each other: the loop looks for results itself from now on.
            if not self._collecting and len(self._unanswered) > self._threads:
                self._collecting = True
                self._loop.call_later(_TOGETHER_SECONDS, self._collect)
        return job

    def abandon(self, job: Job) -> None:
        """Forget a call whose caller has left; one that has begun goes on until its deadline."""
        job.settled = True
        # It may be part of a batch, and a thread that never comes back must still be noticed.
        if job.group is None:
            self._drop(job)

    def close(self) -> None:
        """Take no further calls, answer those that wait, then end."""
        self._closing = True
        self._stop_when_empty()

    def give_up(self) -> None:
        """Answer all that wait or are under way with ShutdownError."""
        for job in tuple(self._unanswered):
            self._settle(job, Failed(ShutdownError()))

    def interrupt_load(self) -> None:
        """Break off an import or init() that is under way."""
        if self._loader is not None:
            self._loader.interrupt(self)

    # On the script's threads

    def _live(self) -> None:
        """The first thread's life."""
        worker = self._loader = Interruptible()
        error: BaseException | None = None
        try:
            self._scorer = worker.run(self, self._load)
            if self._scorer is None:
                error = Interrupted()
        except BaseException as raised:  # noqa: BLE001 - a script may raise anything
            error = raised
        scorer = self._scorer
        self._on_loop(self._report_loaded, error)
        if scorer is None:
            self._on_loop(self._leave)
        elif scorer.is_async and scorer.loop is not None:
            self._start_waiting()
            scorer.loop.run_forever()
            scorer.loop.close()
            self._on_loop(self._leave)
        else:
            self._alive = self._threads
            for _ in range(self._threads - 1):
                threading.Thread(target=self._work, args=(scorer,), name="script", daemon=True).start()
            self._work(scorer)

    def _work(self, scorer: Scorer) -> None:
        """Answer calls, one after the other or a batch at a time."""
        worker = Interruptible()
        if scorer.batching is not None:
            while jobs := self._gather(scorer.batching):
                self._work_on(jobs, scorer, worker)
                # Not to be kept until the next ones come: their bodies may be large.
                del jobs
        else:
            while (job := self._waiting.get()) is not None:
                if not job.settled:
                    self._work_on([job], scorer, worker)
                # As above.
                del job
        self._on_loop(self._leave)

    def _work_on(self, jobs: list[Job], scorer: Scorer, worker: Interruptible) -> None:
        group = Group(jobs, worker)
        for job in jobs:
            job.group = group
        self._running.add(group)
        with contextlib.suppress(Interrupted):
            worker.run(group, partial(_answer, scorer, group))
        self._running.discard(group)
        if self._collecting:
            # Many are under way: what they took is better given back while it is in the processor's cache.
            for job in jobs:
                job.arguments = None
        self._hand_back(jobs)

    def _gather(self, batching: Batching) -> list[Job]:
        """All that waits, up to the batch's size; and what comes until the first has waited as long as it may.

        Of several threads one gathers at a time, so that batches are as full as can be. None is left at the end.
        """
        with self._gathering:
            while (first := self._waiting.get()) is not None and first.settled:
                pass
            if first is None:
                return []
            jobs = [first]
            until = first.since + batching.max_wait_ms / 1000
            while len(jobs) < batching.max_size:
                self._arrived.clear()
                job = self._waiting.take()
                if job is None:
                    if batching.max_wait_ms and self._arrived.wait(until - time.monotonic()):
                        continue
                    break
                if not job.settled:
                    jobs.append(job)
        return jobs

    def _start_waiting(self) -> None:
        """Start the calls that came while a coroutine's script was loading."""
        while (job := self._waiting.take()) is not None:
            if self._scorer is not None and self._scorer.loop is not None:
                self._scorer.loop.call_soon(self._start, job)

    def _start(self, job: Job) -> None:
        """Start a coroutine, on the script's own event loop."""
        scorer = self._scorer
        if job.settled or scorer is None:
            return

        async def answer() -> None:
            try:
                # A caller that left before this is known not to have begun.
                if not job.settled:
                    await scorer.score_async(job)
            except asyncio.CancelledError as error:
                # At its deadline, or by the script's own doing.
                job.outcome = Failed(error)
            self._hand_back([job])

        job.group = asyncio.get_running_loop().create_task(answer())

    def _hand_back(self, jobs: list[Job]) -> None:
        self._done.extend(jobs)
        if self._collecting and self._waiting:
            # More to do: `_collect` is on its way.
            return
        # Clear until delivery begins: what is appended before that is delivered with it.
        if not self._delivering:
            self._delivering = True
            self._bell.ring()

    def _on_loop(self, function: Callable[..., None], *arguments: object) -> None:
        # A closed loop: the process is about to end.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    # On the event loop

    def _report_loaded(self, error: BaseException | None) -> None:
        scorer = self._scorer
        if scorer is not None and scorer.is_async and scorer.loop is not None:
            # What was put there while the thread took out the others.
            scorer.loop.call_soon_threadsafe(self._start_waiting)
        if not self.loaded.done():
            self.loaded.set_result(error)
        if self._closing:
            self._stop_when_empty()

    def _collect(self) -> None:
        """Deliver what is done while calls wait, so that the script's threads need not wake the loop for each."""
        self._deliver()
        if len(self._unanswered) > self._threads:
            self._loop.call_later(_TOGETHER_SECONDS, self._collect)
            return
        self._collecting = False
        # What a thread did not tell of because it still saw this on its way.
        self._deliver()

    def _deliver(self) -> None:
        self._delivering = False
        done = self._done
        while done:
            job = done.popleft()
            # What was broken off has none, and was settled before.
            self._settle(job, job.outcome or Failed(Interrupted()))
            # The group knows its jobs: a circle, which would keep bodies until the collector comes.
            job.group = None

    def _expire(self) -> None:
        """Answer for the script what has waited too long, and break it off."""
        self._timer = None
        now = time.monotonic()
        while self._unanswered and (job := next(iter(self._unanswered))).deadline <= now:
            self._settle(job, Failed(DeadlineError()))
            if job.group is None:
                self._drop(job)
            self._break_off(job)
        if self._unanswered:
            oldest = next(iter(self._unanswered))
            self._timer = self._loop.call_later(max(0.001, oldest.deadline - now), self._expire)

    def _break_off(self, job: Job) -> None:
        group = job.group
        if isinstance(group, Group):
            # The others of a batch still want their answers.
            if all(member.settled for member in group.jobs):
                group.worker.interrupt(group)
                self._loop.call_later(_STUCK_SECONDS, self._look_whether_stuck, group)
        elif self._scorer is not None and self._scorer.loop is not None and self._scorer.is_async:
            turned: list[bool] = []
            self._scorer.loop.call_soon_threadsafe(_cancel, group, turned)
            self._loop.call_later(_STUCK_SECONDS, self._look_whether_it_turned, turned)

    def _look_whether_stuck(self, group: Group) -> None:
        self.is_stuck = self.is_stuck or group in self._running

    def _look_whether_it_turned(self, turned: list[bool]) -> None:
        self.is_stuck = self.is_stuck or not turned

    def _settle(self, job: Job, outcome: Outcome) -> None:
        is_wanted, job.settled = not job.settled, True
        # Whoever is told knows the job: a circle, which would keep bodies until the collector comes.
        tell, job.tell = job.tell, None
        self._forget(job)
        if is_wanted and tell is not None:
            try:
                tell(job, outcome)
            except Exception:  # noqa: BLE001 - the others still want to be told
                _log.exception("internal error")

    def _drop(self, job: Job) -> None:
        """Forget a call that still waits: its place in the line must not keep its body."""
        self._forget(job)
        job.tell = None
        job.request = _NOTHING

    def _forget(self, job: Job) -> None:
        if job in self._unanswered:
            del self._unanswered[job]
            self.held_bytes -= job.size
        if self._closing:
            self._stop_when_empty()

    def _stop_when_empty(self) -> None:
        if self._closing and not self._unanswered and self._scorer is not None:
            self._closing = False
            if self._timer is not None:
                self._timer.cancel()
            if self._scorer.is_async and self._scorer.loop is not None:
                self._scorer.loop.call_soon_threadsafe(self._scorer.loop.stop)
                return
            self._waiting.end()
            self._arrived.set()

    def _leave(self) -> None:
        """Count a thread that has ended; the last one leaves nothing behind."""
        self._alive -= 1
        if not self._alive:
            self._deliver()
            self._waiting.close()
            self._bell.close()


def _cancel(task: asyncio.Task[None] | None, turned: list[bool]) -> None:
    turned.append(True)
    if task is not None:
        task.cancel()


def _answer(scorer: Scorer, group: Group) -> None:
    # A caller may be gone, or have been told of a missed deadline. Looked at where it can be interrupted:
    # a deadline that passes after this look breaks the call off.
    wanted = [job for job in group.jobs if not job.settled]
    if len(wanted) == 1:
        wanted[0].arguments = scorer.score(wanted[0])
    elif wanted:
        scorer.score_batch(wanted)
