"""A worker: one process with an event loop that answers requests, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

try:
    from uvloop import run as run_loop
except ModuleNotFoundError:
    # It has no wheel for linux/arm/v7.
    from asyncio import run as run_loop  # type: ignore[assignment]  # it takes more than is given here

from scoring.process import exit_at_once
from scoring.reload import load_and_watch
from scoring.server.app import App
from scoring.server.connection import Connection, sweep
from scoring.server.features import Instruments
from scoring.service import Service

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine

    from scoring.edge.bridge import Bridge
    from scoring.edge.settings import EdgeSettings
    from scoring.scorer import Scorer
    from scoring.server.board import Board
    from scoring.server.features import Features
    from scoring.settings import Settings

BACKLOG = 2048
# Requests that were on their way on open connections when SIGTERM came.
_SETTLE_SECONDS = 0.1
_SWEEP_SECONDS = 1.0
# Between two looks at the state: while it can change by itself, and while only a request changes it.
_TELL_SECONDS, _IDLE_SECONDS = 0.05, 0.5
_EXIT_SECONDS = 2.0
# How long a thread in Python code may keep others from running. With Python's own 5 ms, an answer that is ready while
# the script is at the next request waits as long.
_TURN_SECONDS = 0.0005
_log = logging.getLogger("slipway")


class Worker:
    """One worker process's work."""

    def __init__(
        self,
        settings: Settings,
        features: Features,
        listener: socket.socket | None,
        board: Board,
        slot: int,
        *,
        holds: bool,
    ) -> None:
        """Prepare, in the new process.

        Args:
            settings: What to serve.
            features: What the service has beside its script.
            listener: The socket that all workers share; None where nothing can listen.
            board: Where to tell the state.
            slot: Which of the workers it is.
            holds: Whether it takes the place of a worker that answered, so that requests wait until it is ready.
        """
        self._settings = settings
        self._features = features
        self._listener = listener
        self._board = board
        self._slot = slot
        self._master = os.getppid()
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._bridge: Bridge | None = None
        self.service = Service(settings, board, slot, holds=holds)

    def run(self, load: Callable[[], Scorer] | None, *, listens_at_once: bool) -> None:
        """Serve until told to stop.

        Args:
            load: Gives a scorer; None for a process that only tells the state while the master loads.
            listens_at_once: Whether it answers while it loads: there is no other worker that could tell the state.
        """
        sys.setswitchinterval(_TURN_SECONDS)
        run_loop(self._live(load, listens_at_once=listens_at_once))
        if not self.service.is_idle:
            # A thread in the script's code would crash while Python takes itself apart.
            exit_at_once(0)
        # What the script registered with atexit gets its time, but threads that never end do not.
        timer = threading.Timer(_EXIT_SECONDS, exit_at_once, (0,))
        timer.daemon = True
        timer.start()

    async def _live(self, load: Callable[[], Scorer] | None, *, listens_at_once: bool) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        instruments = Instruments(self._features, self._slot, loop)
        self._tell()
        if listens_at_once:
            await self._listen(instruments)
        if load is not None:
            self._spawn(self._load(load, instruments))
            if self._features.edge is not None:
                self._spawn(self._bridged(self._features.edge, load))
        self._spawn(self._look_after(instruments))
        await self._ended.wait()
        for connection in tuple(self._connections):
            connection.expire()
        instruments.stop()

    async def _listen(self, instruments: Instruments) -> None:
        if self._listener is not None and self._server is None and not self.service.is_draining:
            loop = asyncio.get_running_loop()
            app = App(self.service, self._settings, self._features, instruments)
            certificate = self._features.certificate
            self._server = await loop.create_server(
                lambda: Connection(app, self._connections, loop),
                sock=self._listener,
                backlog=BACKLOG,
                ssl=certificate.context() if certificate is not None else None,
            )

    async def _load(self, load: Callable[[], Scorer], instruments: Instruments) -> None:
        if self._settings.reload:
            await load_and_watch(self.service, load, self._settings.root)
        # Where it fails the master decides what to do: there may be others that answer.
        elif await self.service.load(load):
            instruments.metrics.init(self.service.init_seconds)
            await self._listen(instruments)
        self._tell()

    async def _bridged(self, edge: EdgeSettings, load: Callable[[], Scorer]) -> None:
        """Be a module of IoT Edge."""
        from scoring.edge.bridge import Bridge  # noqa: PLC0415 - not in every image, and slow to import
        from scoring.edge.store import StoreError  # noqa: PLC0415 - as above

        bridge = self._bridge = Bridge(edge, self._settings, self.service, load)
        self.service.edge_status = bridge.status
        try:
            await bridge.run()
        except Exception as error:  # noqa: BLE001 - whatever it is: a module that takes no messages is no module
            if not self.service.is_draining:
                trace = None if isinstance(error, StoreError) else error
                _log.error("the module ends, to be started anew: %s", error, exc_info=trace)
                exit_at_once(1)

    async def _look_after(self, instruments: Instruments) -> None:
        """Tell the state soon after it changes, and each second that the event loop turns."""
        loop = asyncio.get_running_loop()
        told, last = loop.time(), self.service.own_state
        while True:
            is_idle = last == "ready" and not self.service.unanswered
            await asyncio.sleep(_IDLE_SECONDS if is_idle else _TELL_SECONDS)
            if os.getppid() != self._master:
                # Killed: nobody would ever stop this process. Linux ends it by itself (crew.py), other systems do not.
                exit_at_once(1)
            now, state = loop.time(), self.service.own_state
            if state != last or now - told >= _SWEEP_SECONDS:
                self._tell()
                told, last = now, state
                sweep(self._connections, now)
                instruments.tick(self.service.unanswered)

    def _tell(self) -> None:
        service = self.service
        self._board.tell(self._slot, service.own_state, os.getpid(), service.error)

    def _stop(self) -> None:
        if not self.service.is_draining:
            self.service.begin_drain()
            self._tell()
            self._spawn(self._drain())

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.drain_seconds
        # What has reached this machine is accepted: one turn of the loop takes it from the kernel's queue.
        await asyncio.sleep(0)
        if self._server is not None:
            self._server.close()
        if self._connections:
            await asyncio.sleep(min(_SETTLE_SECONDS, self._settings.drain_seconds))
        if self._bridge is not None:
            await self._bridge.stop(deadline - loop.time())
        given_up = await self.service.finish(deadline)
        if given_up:
            _log.warning("requests given up after %d s: %d", self._settings.drain_seconds, given_up)
        for connection in tuple(self._connections):
            connection.drain()
        # Connections with half a request, or an answer that is not taken, have the rest of the time.
        deadline = max(deadline, loop.time() + 1.0)
        while self._connections and loop.time() < deadline:
            await asyncio.sleep(0.02)
            sweep(self._connections, loop.time())
        self._ended.set()

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        """Keep a reference to the task: the loop itself has a weak one only."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("internal error", exc_info=error)
            sys.stdout.flush()
