"""The link to the device's hub: one connection after the other, with a store before and behind them.

Inputs are stored before they are acknowledged, and results stay stored until the hub has acknowledged them: at least
once, in order.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scoring.edge.client import Connection
from scoring.edge.messages import LONGEST_PROPERTIES, from_topic, properties_length
from scoring.edge.store import OUTPUTS, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scoring.edge.store import Message, Store

# How many messages may be on their way: alerts that come now go behind these.
_WINDOW = 32
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.25, 10.0
_IDLE_SECONDS = 1.0
# Of an errand, each after twice the wait: 8 seconds, where callers of methods wait for 30.
_TRIES = 5
# From one try to the next, while the disk takes nothing.
_DISK_SECONDS = 1.0
_log = logging.getLogger("slipway")


class Link:
    """Keeps up the connection, and two threads: one connects and sends, one does all that waits for answers.

    Attributes:
        error: Why the hub is not there; empty where nothing is known to be wrong.
        sent: How many results the hub has acknowledged.
        owes_report: Whether the hub did not take a report; whoever reports says it all again, and takes this back.
    """

    def __init__(
        self,
        store: Store,
        *,
        on_input: Callable[[], None],
        on_twin: Callable[[dict[str, Any], bool], None],
        on_method: Callable[[str, Any, Callable[[int, Any], None]], None],
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            store: Where messages wait.
            on_input: Called when the store has a further input.
            on_twin: Called with desired properties, and whether they are all of them.
            on_method: Called with a direct method's name and payload, and what to call with status and answer.
        """
        self._store = store
        self._on_input = on_input
        self._on_twin = on_twin
        self._on_method = on_method
        self._connection: Connection | None = None
        # From one connection to the next, if no message was acknowledged over it.
        self._wait = _FIRST_WAIT_SECONDS
        self._not_before = 0.0
        self._wakes = threading.Event()
        self._stops = threading.Event()
        self._errands: queue.Queue[_Errand | None] = queue.Queue()
        self._threads = [
            threading.Thread(target=target, name=f"edge-{name}", daemon=True)
            for name, target in (("sender", self._send_all), ("errands", self._run_errands))
        ]
        self.error = ""
        self.sent = 0
        self.owes_report = False
        # Of what the hub has acknowledged, the numbers that the store still has.
        self._acknowledged: list[int] = []

    @property
    def is_connected(self) -> bool:
        """Whether the hub is there."""
        return self._usable() is not None

    def start(self) -> None:
        """Connect, and go on trying."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Tell that there are results to be sent."""
        self._wakes.set()

    def report(self, properties: dict[str, Any]) -> None:
        """Report properties, when the hub is there."""

        def owe() -> None:
            self.owes_report = True

        self._errands.put(_Errand(lambda connection: connection.report(properties), owe))

    def stop(self, seconds: float) -> None:
        """Send and tell what waits while the hub takes it, for so long; then leave the hub. Blocks.

        Args:
            seconds: How long it may take.
        """
        until = time.monotonic() + seconds
        while self.is_connected and time.monotonic() < until and self._has_work():
            time.sleep(0.02)
        self._stops.set()
        self._wakes.set()
        self._errands.put(None)
        if self._connection is not None:
            # It waits for answers that may never come.
            leaving = threading.Thread(target=self._connection.close, daemon=True)
            leaving.start()
            leaving.join(max(0.5, until - time.monotonic()))

    def _has_work(self) -> bool:
        try:
            return bool(self._errands.unfinished_tasks or self._store.take(OUTPUTS, 1))
        except StoreError:
            return False

    def _usable(self) -> Connection | None:
        connection = self._connection
        return None if connection is None or connection.is_over else connection

    # On the sender's thread

    def _send_all(self) -> None:
        while not self._stops.is_set():
            connection = self._usable()
            if connection is None or connection.is_old:
                self._connect()
                continue
            self._wakes.clear()
            try:
                # First, so that a disk that takes nothing has none of them sent again and again.
                self._settle()
                waiting = self._store.take(OUTPUTS, _WINDOW)
                if waiting:
                    self._send(connection, waiting)
                elif not connection.is_over:
                    self._wakes.wait(_IDLE_SECONDS)
            except StoreError as error:
                if not self._stops.is_set():
                    self._wait_for_disk(error, "results wait")
            except Exception:  # noqa: BLE001 - what it may be is retried, and seen
                if not self._stops.is_set():
                    _log.exception("sending to the hub failed")
                    self._stops.wait(_IDLE_SECONDS)

    def _connect(self) -> None:
        """Try to connect, once, in its time."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._stops.wait(max(0.0, self._not_before - time.monotonic())):
            return
        self._not_before = time.monotonic() + self._wait
        self._wait = min(2 * self._wait, _LONGEST_WAIT_SECONDS)
        connection = None
        try:
            connection = Connection(
                on_input=self._keep, on_twin=self._on_twin, on_method=self._answer_method, on_lost=self._lost
            )
            connection.open()
        except Exception as error:  # noqa: BLE001 - the client raises what it likes; all of it may pass
            if connection is not None:
                connection.close()
            cause = error.__cause__
            text = _said(error) if cause is None else f"{_said(error)} ({_said(cause)})"
            if text != self.error:
                _log.warning("the hub is not there: %s", text)
            self.error = text
            return
        self.error = ""
        self._connection = connection
        _log.info("connected to the hub")
        self._put_synchronize()

    def _lost(self) -> None:
        self.error = "the connection was lost"
        if not self._stops.is_set():
            _log.warning("the connection to the hub was lost")
        self._wakes.set()

    def _send(self, connection: Connection, waiting: Sequence[Message]) -> None:
        """Send messages, and forget those that the hub has acknowledged."""
        fitting = [one for one in waiting if properties_length(one) <= LONGEST_PROPERTIES]
        if len(fitting) < len(waiting):
            # Stored by a version that did not see to it. No hub would ever take them, and all would wait behind them.
            lost = [one for one in waiting if one not in fitting]
            for one in lost:
                _log.error("result %s is dropped: its properties are longer than can be sent", one.id)
            self._store.settle([one.number for one in lost])
            self._store.count("too large", len(lost))
            return
        acknowledged, error = connection.send(waiting)
        self.sent += len(acknowledged)
        self._acknowledged += acknowledged
        self._settle()
        if acknowledged:
            self._wait, self._not_before = _FIRST_WAIT_SECONDS, 0.0
        if connection.is_over:
            return
        if error is not None:
            # Else there would be nothing but sending: what is refused now may be taken later.
            _log.warning("the hub did not take a message: %r", error)
            self._stops.wait(_FIRST_WAIT_SECONDS)
        elif not acknowledged:
            # Over the same connection they would only queue behind themselves.
            _log.warning("the hub acknowledges nothing: connecting anew")
            connection.close()

    def _settle(self) -> None:
        if self._acknowledged:
            self._store.settle(self._acknowledged)
            self._acknowledged = []
            self.error = ""

    # On the MQTT library's thread

    def _keep(self, topic: str, payload: bytes) -> None:
        """Store an input, which is acknowledged when this returns, and not before.

        So it does not return while the disk takes nothing. If that lasts, the hub gives up the connection, and sends
        what was not acknowledged with the next one.
        """
        message = from_topic(topic, payload)
        while True:
            try:
                self._store.put([message])
            except StoreError as error:
                self._wait_for_disk(error, "inputs wait with the hub")
            else:
                break
        self.error = ""
        self._on_input()

    def _wait_for_disk(self, error: StoreError, what_waits: str) -> None:
        if str(error) != self.error:
            _log.error("%s: %s", what_waits, error)
        self.error = str(error)
        time.sleep(_DISK_SECONDS)

    # On the errands' thread

    def _run_errands(self) -> None:
        while (errand := self._errands.get()) is not None:
            self._run(errand)
            self._errands.task_done()

    def _run(self, errand: _Errand) -> None:
        """Try a few times: what the hub refuses must not keep back what comes behind it."""
        wait = _FIRST_WAIT_SECONDS
        for _ in range(_TRIES):
            connection = self._usable()
            # The next connection fetches the twin and reports anew.
            if connection is None or self._stops.is_set():
                return
            try:
                errand.run(connection)
            except Exception as error:  # noqa: BLE001 - as in _connect
                failed = error
            else:
                return
            if self._stops.wait(wait):
                return
            wait *= 2
        _log.warning("the hub did not take what it was told or asked, %d times: %r", _TRIES, failed)
        errand.given_up()

    def _put_synchronize(self) -> None:
        # Without the twin nothing is scored: it is asked for again, behind the others.
        self._errands.put(_Errand(lambda connection: connection.synchronize(), self._put_synchronize))

    def _answer_method(self, request: Any) -> None:
        def answer(status: int, payload: Any) -> None:
            self._errands.put(_Errand(lambda connection: connection.answer(request, status, payload)))

        self._on_method(request.name, request.payload, answer)


@dataclass(frozen=True)
class _Errand:
    """Something to be told to the hub or asked of it.

    Attributes:
        run: Does it, over a connection, and waits for the answer.
        given_up: Called where the hub did not take it, again and again.
    """

    run: Callable[[Connection], None]
    given_up: Callable[[], None] = lambda: None


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
