"""The master: keeps the workers, replaces those that die, hang, leak or fail, and ends them in order."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import time
from functools import partial
from typing import TYPE_CHECKING

from scoring.process import allow_files, exit_at_once, private_memory
from scoring.server import preload
from scoring.server.board import Board
from scoring.server.crew import HANDLED, Child, Crew
from scoring.server.features import SLOTS_PER_WORKER
from scoring.server.worker import Worker
from scoring.service import load_scorer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from scoring.scorer import Scorer
    from scoring.server.features import Features
    from scoring.settings import Settings

# What Azure ML's server, and gunicorn under it, exit with when a worker cannot start.
START_FAILED = 3
# Long enough for a health check or a person to see the state before the process is gone.
_FAILED_SECONDS = 1.0
# Between two looks at the workers: while one of them begins or ends, and while all answer.
_TICK_SECONDS, _STEADY_TICK_SECONDS = 0.05, 0.5
_LOOK_SECONDS = 2.0
# A forked copy that does not answer the sample by then has lost a thread or a lock in the fork.
_FORK_SECONDS = 30.0
# After a drain's own end: for what the script does at exit.
_EXIT_SECONDS = 15.0
# A worker whose thread never comes back has nothing to drain.
_STUCK_SECONDS = 2.0
_MAX_ATTEMPTS = 5
_LONGEST_WAIT_SECONDS = 10.0
_MOST_DOUBLINGS = 5
# A worker that lived so long does not end because it was started.
_STEADY_SECONDS = 10.0
_ANSWERING = {"ready", "busy"}
_log = logging.getLogger("slipway")


class Master:
    """The first process of the service."""

    def __init__(self, settings: Settings, features: Features, listener: socket.socket | None) -> None:
        """Prepare, before the first fork.

        Args:
            settings: What to serve.
            features: What the service has beside its script.
            listener: The socket that listens already; None where nothing can listen.
        """
        slots = SLOTS_PER_WORKER * settings.workers
        self._settings = settings
        self._features = features
        self._listener = listener
        # The last one is the master's own, for a load before the fork.
        self._board = Board(slots + 1)
        self._own_slot = slots
        self._crew = Crew(slots)
        self._load: Callable[[], Scorer] = partial(load_scorer, settings, features.tracing)
        # When the model was forked that this process loaded; None where each worker loads its own.
        self._forked_at: float | None = None
        self._was_ready = False
        self._failures = 0
        self._quick_ends = 0
        self._not_before = 0.0
        self._looked = 0.0
        self._signals: list[int] = []
        # What a signal wakes the loop with.
        self._woken, self._wakes = os.pipe()

    def run(self) -> int:
        """Serve until SIGTERM, or until the model has failed to load.

        Returns:
            The exit code: 0 after SIGTERM, 3 when the service could not start.
        """
        allow_files(self._settings.connections)
        for end in (self._woken, self._wakes):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        if preload.is_wanted(self._settings) and not self._preload():
            return self._failed()
        for number in HANDLED:
            signal.signal(number, self._note)
        while not self._signals:
            if not self._keep():
                return self._failed()
            self._rest(_STEADY_TICK_SECONDS if self._is_steady() else _TICK_SECONDS)
        return self._end()

    def _keep(self) -> bool:
        """Bring the workers to what is wanted.

        Returns:
            Whether the service can go on.
        """
        now = time.monotonic()
        self._bury()
        self._crew.kill_overdue()
        for child in self._crew:
            state = self._board.state(child.slot)
            if not child.was_ready and state in _ANSWERING:
                self._note_ready(child)
            # In reload mode a script that cannot be loaded is waited for until it is edited.
            elif state == "failed" and child.deadline is None and (child.was_ready or not self._settings.reload):
                self._replace_failed(child)
        if now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            self._look_at_health(now)
        if self._forked_at is not None and not self._was_ready and now - self._forked_at > _FORK_SECONDS:
            self._load_in_workers("does not answer its sample")
        if self._failures >= _MAX_ATTEMPTS and not self._is_answered():
            return False
        if now >= self._not_before:
            for _ in range(self._settings.workers - sum(not child.is_replaced for child in self._crew)):
                self._spawn()
        return True

    def _spawn(self) -> None:
        slot = self._crew.free_slot()
        if slot is None:
            # Those that end have not gone yet.
            return
        # While another one listens it answers for all; without one, somebody has to tell the state.
        alone = all(child.deadline is not None for child in self._crew)
        self._fork(slot, self._load, listens_at_once=alone, holds=self._was_ready)

    def _fork(self, slot: int, load: Callable[[], Scorer] | None, *, listens_at_once: bool, holds: bool) -> Child:
        # Told for the child, so that none counts as gone that has only begun.
        self._board.tell(slot, "starting", 0, None)

        def work() -> None:
            for end in (self._woken, self._wakes):
                os.close(end)
            worker = Worker(self._settings, self._features, self._listener, self._board, slot, holds=holds)
            worker.run(load, listens_at_once=listens_at_once)

        child = self._crew.fork(slot, work)
        child.is_copy = self._forked_at is not None
        return child

    def _is_steady(self) -> bool:
        """Whether there are all the workers that are wanted, and none that begins or ends."""
        children = tuple(self._crew)
        return len(children) == self._settings.workers and all(
            child.was_ready and child.deadline is None and not child.is_replaced for child in children
        )

    def _is_answered(self) -> bool:
        return any(self._board.state(child.slot) in _ANSWERING for child in self._crew)

    def _note_ready(self, child: Child) -> None:
        child.was_ready = self._was_ready = True
        self._failures = 0
        for other in self._crew:
            if other.is_replaced and other.deadline is None:
                self._stop(other)

    # What goes wrong

    def _bury(self) -> None:
        for child, code in self._crew.bury():
            # It may have been ready between two looks.
            if self._board.state(child.slot) in _ANSWERING:
                child.was_ready = self._was_ready = True
            self._board.clear(child.slot)
            self._features.counters.retire(child.slot, restarts=child.was_ready)
            if child.deadline is None:
                self._count_death(child, code)

    def _count_death(self, child: Child, code: int) -> None:
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended itself with code {code}"
        _log.error("a worker (process %d) %s; requests that it had in hand are lost", child.process, how)
        if child.is_copy and not self._was_ready:
            if self._forked_at is not None:
                self._load_in_workers(how)
        elif not child.was_ready:
            self._count_failure()
        elif time.monotonic() - child.began < _STEADY_SECONDS:
            self._wait()

    def _count_failure(self) -> None:
        """Count a worker that never answered; a service that never did is not tried again."""
        self._failures += 1 if self._was_ready else _MAX_ATTEMPTS
        self._wait()

    def _wait(self) -> None:
        """Wait longer from one worker to the next that ends soon."""
        seconds = 0.5 * 2 ** min(self._quick_ends, _MOST_DOUBLINGS)
        self._quick_ends += 1
        self._not_before = time.monotonic() + min(seconds, _LONGEST_WAIT_SECONDS)

    def _replace_failed(self, child: Child) -> None:
        """Take a worker away that says itself that it failed."""
        if child.was_ready:
            _log.error("a worker (process %d) is stuck in compiled code and is replaced", child.process)
            child.is_replaced = True
            self._crew.stop(child, _STUCK_SECONDS)
        elif self._forked_at is not None and not self._was_ready:
            self._load_in_workers(f"failed: {self._board.error(child.slot)}")
        else:
            self._count_failure()
            # The only one goes on telling why.
            if self._was_ready:
                child.is_replaced = True
                self._stop(child)

    def _look_at_health(self, now: float) -> None:
        settings = self._settings
        for child in self._crew:
            if child.was_ready and now - child.began > _STEADY_SECONDS:
                self._quick_ends = 0
            silent = now - (self._board.heartbeat(child.slot) or now)
            if settings.worker_timeout and silent > settings.worker_timeout:
                _log.error("a worker (process %d) did nothing for %d s and is replaced", child.process, silent)
                self._crew.kill(child)
            elif settings.worker_memory and child.was_ready and not child.is_replaced:
                used = private_memory(child.process)
                if used > settings.worker_memory:
                    more = f"{used} bytes of memory, more than {settings.worker_memory}"
                    _log.warning("a worker (process %d) uses %s, and is replaced", child.process, more)
                    child.is_replaced = True

    # Loading before the fork

    def _preload(self) -> bool:
        """Load the model in this process, so that the workers share its memory.

        Returns:
            Whether it could be loaded.
        """
        self._board.tell(self._own_slot, "starting", os.getpid(), None)
        front = self._fork(self._own_slot - 1, None, listens_at_once=True, holds=False)
        # It answers until the first worker is ready.
        front.is_replaced = True
        try:
            with preload.interruptible(front.process):
                load = preload.load(self._settings, self._features)
        except preload.LoadError as error:
            self._board.tell(self._own_slot, "failed", os.getpid(), str(error))
            return False
        if load is not None:
            self._load = load
            self._forked_at = time.monotonic()
        self._board.clear(self._own_slot)
        return True

    def _load_in_workers(self, why: str) -> None:
        _log.warning("a forked copy of the model %s: each worker loads its own", why)
        self._forked_at = None
        self._load = partial(load_scorer, self._settings, self._features.tracing)
        self._failures = 0
        self._not_before = 0.0
        for child in self._crew:
            if not child.is_replaced:
                child.is_replaced = True
                self._crew.kill(child)

    # The end

    def _failed(self) -> int:
        """End because the model cannot be served."""
        time.sleep(_FAILED_SECONDS)
        for child in self._crew:
            self._stop(child)
        while tuple(self._crew):
            self._crew.bury()
            self._crew.kill_overdue()
            time.sleep(_TICK_SECONDS)
        return START_FAILED

    def _end(self) -> int:
        """End because it was told to."""
        _log.info("draining: %s", signal.Signals(self._signals[0]).name)
        if self._listener is not None:
            self._listener.close()
        for child in self._crew:
            self._stop(child)
        while tuple(self._crew):
            self._rest(_TICK_SECONDS)
            self._crew.bury()
            self._crew.kill_overdue()
            if len(self._signals) > 1:
                _log.warning("stopped: told twice")
                for child in self._crew:
                    self._crew.kill(child)
                exit_at_once(128 + self._signals[1])
        _log.info("stopped")
        return 0

    def _stop(self, child: Child) -> None:
        self._crew.stop(child, self._settings.drain_seconds + _EXIT_SECONDS)

    def _note(self, number: int, _frame: object) -> None:
        if number != signal.SIGCHLD:
            self._signals.append(number)

    def _rest(self, seconds: float) -> None:
        """Wait for a signal, or for some seconds."""
        select.select([self._woken], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)
