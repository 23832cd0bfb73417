"""What there is on the data plane: documents in a database in a file. One process has it; it may be killed anywhere."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TABLE = """CREATE TABLE IF NOT EXISTS documents (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, parent TEXT NOT NULL, key TEXT NOT NULL,
    shown TEXT NOT NULL, own TEXT NOT NULL, UNIQUE (kind, parent, key)
)"""


@dataclass
class Document:
    """A job, a task, a node or a schedule.

    Attributes:
        kind: Which of them.
        parent: What it is in: an account, a job or a pool.
        shown: What Batch's API shows of it.
        own: What only the stand-in knows.
    """

    kind: str
    parent: str
    shown: dict[str, Any]
    own: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Its id, as it was given."""
        return str(self.shown["id"])

    @property
    def key(self) -> str:
        """What it is as a parent: ids are unique whatever their case."""
        return f"{self.parent}/{self.id.lower()}"

    @property
    def state(self) -> str:
        """Its state."""
        return str(self.shown["state"])

    def turn(self, state: str) -> None:
        """Give it another state."""
        if state != self.shown.get("state"):
            if "state" in self.shown:
                self.shown["previousState"] = self.shown["state"]
                self.shown["previousStateTransitionTime"] = self.shown["stateTransitionTime"]
            self.shown["state"], self.shown["stateTransitionTime"] = state, now()
        self.touch()

    def touch(self) -> None:
        """Note that it has changed."""
        self.shown["lastModified"] = now()
        self.shown["eTag"] = f"0x{abs(hash((self.shown['lastModified'], id(self)))):015X}"


def now() -> str:
    """Return the time, as Batch writes it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class State:
    """The documents. Whoever reads to write holds the lock meanwhile."""

    def __init__(self, folder: Path) -> None:
        """Open the database of a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(folder / "batch.db", check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(_TABLE)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only one to change anything; all of it is done, or nothing."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def get(self, kind: str, parent: str, id_: str) -> Document | None:
        """Look one up."""
        with self._lock:
            query = "SELECT kind, parent, shown, own FROM documents WHERE kind = ? AND parent = ? AND key = ?"
            row = self._db.execute(query, (kind, parent, id_.lower())).fetchone()
        return _document(row) if row else None

    def all(self, kind: str, parent: str | None = None) -> list[Document]:
        """List those of a kind, of one parent or all, in the order that they were made in."""
        with self._lock:
            query = (
                "SELECT kind, parent, shown, own FROM documents WHERE kind = ? AND ? IN ('', parent) ORDER BY number"
            )
            rows = self._db.execute(query, (kind, parent or "")).fetchall()
        return [_document(row) for row in rows]

    def save(self, document: Document) -> None:
        """Write one."""
        values = (
            document.kind,
            document.parent,
            document.id.lower(),
            json.dumps(document.shown),
            json.dumps(document.own),
        )
        with self._lock:
            self._db.execute(
                "INSERT INTO documents (kind, parent, key, shown, own) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (kind, parent, key) DO UPDATE SET shown = excluded.shown, own = excluded.own",
                values,
            )

    def remove(self, document: Document) -> None:
        """Remove one."""
        with self._lock:
            query = "DELETE FROM documents WHERE kind = ? AND parent = ? AND key = ?"
            self._db.execute(query, (document.kind, document.parent, document.id.lower()))


def _document(row: tuple[str, str, str, str]) -> Document:
    return Document(row[0], row[1], json.loads(row[2]), json.loads(row[3]))
