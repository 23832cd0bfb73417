"""What a hub knows: in memory of the one process that serves it, and in a database, written with each change.

A killed process loses nothing that it has answered; another one for the same folder is refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Record = dict[str, Any]
_KINDS = ("devices", "modules", "configurations", "manual")


class Store:
    """Records by kind and key.

    Attributes:
        changed: Held while something is read or changed; notified after each change.
    """

    changed: threading.Condition

    def __init__(self, folder: Path) -> None:
        """Open a folder's store.

        Raises:
            BlockingIOError: Another process serves it.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = (folder / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.changed = threading.Condition()
        self._db = sqlite3.connect(folder / "hub.db", check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS records (kind TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY (kind, key))"
        )
        self._records: dict[str, dict[str, Record]] = {kind: {} for kind in _KINDS}
        for kind, key, value in self._db.execute("SELECT kind, key, value FROM records"):
            self._records[kind][key] = json.loads(value)
        self._written: list[tuple[str, str]] = []

    def close(self) -> None:
        """Let another process have it."""
        self._db.close()
        self._lock.close()

    def all(self, kind: str) -> dict[str, Record]:
        """Return all records of a kind by their keys."""
        return self._records[kind]

    def get(self, kind: str, key: str) -> Record | None:
        """Return a record."""
        return self._records[kind].get(key)

    def put(self, kind: str, key: str, value: Record) -> None:
        """Write a record; it is kept when the change ends."""
        self._records[kind][key] = value
        self._written.append((kind, key))

    def delete(self, kind: str, key: str) -> None:
        """Remove a record."""
        self._records[kind].pop(key, None)
        self._written.append((kind, key))

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """Make one change: nobody sees half of it, and it is written as a whole."""
        with self.changed:
            self._written = []
            try:
                yield
            finally:
                # A refusal comes before anything is changed, so there is nothing to take back.
                self._write()
                self.changed.notify_all()

    def _write(self) -> None:
        if not self._written:
            return
        self._db.execute("BEGIN IMMEDIATE")
        for kind, key in dict.fromkeys(self._written):
            value = self._records[kind].get(key)
            if value is None:
                self._db.execute("DELETE FROM records WHERE kind = ? AND key = ?", (kind, key))
            else:
                self._db.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", (kind, key, json.dumps(value)))
        self._db.execute("COMMIT")
