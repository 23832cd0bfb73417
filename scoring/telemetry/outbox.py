"""Sending things in the background: who hands them over never waits, and what cannot be sent is counted."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger("slipway.telemetry")


class Outbox:
    """A bounded queue, and the thread that empties it."""

    def __init__(
        self,
        send: Callable[[list[Any]], bool],
        dropped: Callable[[int], None],
        *,
        capacity: int,
        batch: int,
        delay: float,
    ) -> None:
        """Start the thread; after a fork, in the process that is to send.

        Args:
            send: Sends some, and tells whether they arrived; may wait and may raise.
            dropped: Is told how many were given up.
            capacity: How many may wait; further ones are given up.
            batch: How many are sent at once, and how many must wait to be sent before their time.
            delay: After how many seconds what waits is sent.
        """
        self._send = send
        self._dropped = dropped
        self._capacity = capacity
        self._batch = batch
        self._delay = delay
        self._waiting: deque[Any] = deque()
        self._wake = threading.Event()
        self._closing = self._given_up = False
        self._thread = threading.Thread(target=self._work, name="telemetry", daemon=True)
        self._thread.start()

    def put(self, item: Any) -> None:
        """Hand something over, in any thread."""
        if self._closing or len(self._waiting) >= self._capacity:
            self._dropped(1)
            return
        self._waiting.append(item)
        if len(self._waiting) >= self._batch:
            self._wake.set()

    def close(self, seconds: float) -> None:
        """Send what waits, and end.

        Args:
            seconds: How long that may take; what has not been sent by then is given up.
        """
        self._closing = True
        self._wake.set()
        self._thread.join(seconds)
        self._given_up = True
        if left := len(self._waiting):
            self._waiting.clear()
            self._dropped(left)

    def _work(self) -> None:
        while True:
            self._wake.wait(self._delay)
            self._wake.clear()
            # Looked at before: what is put after that was given up by `put`.
            closing = self._closing
            self._send_waiting()
            if closing:
                return

    def _send_waiting(self) -> None:
        while self._waiting and not self._given_up:
            some = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
            try:
                arrived = self._send(some)
            except Exception:  # noqa: BLE001 - an exporter may raise anything, and the next attempt may go well
                _log.exception("telemetry could not be sent")
                arrived = False
            if not arrived:
                self._dropped(len(some))
