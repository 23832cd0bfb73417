"""Store and forward: what goes to the cloud or to a module waits on disk until it is there."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Message = dict[str, Any]

_TOGETHER = 100
_IDLE_SECONDS = 0.5
_RETRY_SECONDS = 1.0


class Waiting:
    """Messages on their way to one place, in the order of their priority, then of their coming.

    Attributes:
        expired: How many were dropped because they became too old.
    """

    def __init__(self, path: Path, send: Callable[[list[Message]], None]) -> None:
        """Open the queue.

        Args:
            path: Its file.
            send: Sends messages; raises OSError while they cannot be had there.
        """
        self._send = send
        self._lock = threading.RLock()
        self._wakes, self._stops = threading.Event(), threading.Event()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS queue "
            "(number INTEGER PRIMARY KEY AUTOINCREMENT, priority INTEGER, until REAL, message TEXT)"
        )
        self.expired = 0
        self._thread = threading.Thread(target=self._forward, name=f"to-{path.stem}", daemon=True)
        self._thread.start()

    def put(self, message: Message, priority: int, seconds: float) -> None:
        """Keep a message, and send it when that place takes it."""
        with self._lock:
            self._db.execute(
                "INSERT INTO queue (priority, until, message) VALUES (?, ?, ?)",
                (priority, time.time() + seconds, json.dumps(message)),
            )
        self._wakes.set()

    @property
    def count(self) -> int:
        """How many wait."""
        with self._lock:
            return int(self._db.execute("SELECT COUNT(*) FROM queue").fetchone()[0])

    def close(self) -> None:
        """Stop sending; what waits stays."""
        self._stops.set()
        self._wakes.set()
        self._thread.join(5)
        with self._lock:
            self._db.close()

    def _forward(self) -> None:
        while not self._stops.is_set():
            self._wakes.clear()
            with self._lock:
                old = self._db.execute("DELETE FROM queue WHERE until < ? RETURNING number", (time.time(),)).fetchall()
                self.expired += len(old)
                rows = self._db.execute(
                    "SELECT number, message FROM queue ORDER BY priority, number LIMIT ?", (_TOGETHER,)
                ).fetchall()
            if not rows:
                self._wakes.wait(_IDLE_SECONDS)
                continue
            try:
                self._send([json.loads(message) for _, message in rows])
            except OSError:
                self._stops.wait(_RETRY_SECONDS)
                continue
            with self._lock:
                self._db.executemany("DELETE FROM queue WHERE number = ?", [(number,) for number, _ in rows])
