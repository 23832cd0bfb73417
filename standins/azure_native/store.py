"""What there is in the stand-in's Azure: a database in a file, which any number of plugin processes share.

It lies in `.slipway/azure` of the project, or where SLIPWAY_AZURE_STORE says. Write-only values (keys, passwords) are
not in it. A process may be killed anywhere: each change is one transaction.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import sqlite3
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_BUSY_SECONDS = 60
_FORM = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS resources (
    key TEXT PRIMARY KEY, id TEXT NOT NULL, token TEXT NOT NULL, body TEXT NOT NULL, computed TEXT NOT NULL,
    state TEXT NOT NULL, ready_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS names (kind TEXT, name TEXT, key TEXT NOT NULL, PRIMARY KEY (kind, name));
CREATE TABLE IF NOT EXISTS deleted (key TEXT PRIMARY KEY, token TEXT NOT NULL, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS addresses (address TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS faults (fault TEXT PRIMARY KEY, seen INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass
class Record:
    """One resource as Azure would hold it.

    Attributes:
        id: Its id.
        token: Its type, such as "storage:StorageAccount".
        body: What was asked for, without write-only values.
        computed: What Azure added.
        state: Its provisioning state.
        ready_at: When it is to be provisioned; until then `state` is Creating or Updating.
    """

    id: str
    token: str
    body: dict[str, Any]
    computed: dict[str, Any]
    state: str = "Succeeded"
    ready_at: float = 0.0

    @property
    def name(self) -> str:
        """The last part of its id."""
        return self.id.rpartition("/")[2]

    @property
    def provisioning_state(self) -> str:
        """Its state by now: Azure goes on without the plugin."""
        busy = self.state in {"Creating", "Updating"}
        return "Succeeded" if busy and 0 < self.ready_at <= time.time() else self.state


def store_folder(environ: Mapping[str, str], start: Path) -> Path:
    """Find the store's folder.

    Args:
        environ: SLIPWAY_AZURE_STORE names one.
        start: Else it is in the project that this folder is in.

    Returns:
        The folder, which need not exist.
    """
    if own := environ.get("SLIPWAY_AZURE_STORE"):
        return Path(own).expanduser().resolve()
    projects = (folder for folder in (start, *start.parents) if (folder / "Pulumi.yaml").is_file())
    return next(projects, start) / ".slipway" / "azure"


class Store:
    """The database, opened anew for each transaction: threads and processes come and go."""

    def __init__(self, folder: Path | None = None) -> None:
        """Use a folder, by default that of the working folder's project."""
        self._folder = folder

    @property
    def folder(self) -> Path:
        """The folder; made when first needed, for its owner only."""
        if self._folder is None:
            self._folder = store_folder(os.environ, Path.cwd())
        if not self._folder.is_dir():
            self._folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        return self._folder

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Do all of it, or nothing; others wait meanwhile.

        Yields:
            The database.
        """
        db = sqlite3.connect(self.folder / "azure.db", timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            if db.execute("PRAGMA user_version").fetchone()[0] != _FORM:
                with self.lock("the tables"):
                    db.execute("PRAGMA journal_mode = WAL")
                    db.executescript(f"{_TABLES} PRAGMA user_version = {_FORM};")
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")
        finally:
            db.close()

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Be the only one, of all processes, to work on something; a killed process holds nothing."""
        folder = self.folder / "locks"
        folder.mkdir(exist_ok=True)
        digest = hashlib.sha256(name.lower().encode()).hexdigest()[:24]
        with (folder / digest).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @property
    def mark(self) -> str:
        """The store's own name, on what it makes elsewhere."""
        with self.transaction() as db:
            db.execute("INSERT OR IGNORE INTO settings VALUES ('mark', ?)", (uuid.uuid4().hex[:12],))
            return str(db.execute("SELECT value FROM settings WHERE name = 'mark'").fetchone()[0])

    def get(self, resource: str) -> Record | None:
        """Look a resource up by its id, whatever its case."""
        with self.transaction() as db:
            return fetch(db, resource)

    def all(self, token: str | None = None) -> list[Record]:
        """List the resources, of one type or all."""
        with self.transaction() as db:
            return listed(db, token)


def fetch(db: sqlite3.Connection, resource: str) -> Record | None:
    """Look a resource up within a transaction."""
    row = db.execute(f"SELECT {_COLUMNS} FROM resources WHERE key = ?", (resource.lower(),)).fetchone()  # noqa: S608 - no input
    return _record(row) if row else None


def listed(db: sqlite3.Connection, token: str | None = None, *, under: str | None = None) -> list[Record]:
    """List resources within a transaction: of one type, or in and below one."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM resources ORDER BY key").fetchall()  # noqa: S608 - no input
    records = [_record(row) for row in rows]
    below = f"{under.lower()}/" if under else ""
    return [
        one for one in records if token in (None, one.token) and (not below or f"{one.id.lower()}/".startswith(below))
    ]


def save(db: sqlite3.Connection, record: Record) -> None:
    """Write a resource within a transaction."""
    db.execute(
        "INSERT OR REPLACE INTO resources VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            record.id.lower(),
            record.id,
            record.token,
            json.dumps(record.body),
            json.dumps(record.computed),
            record.state,
            record.ready_at,
        ),
    )


def forget(db: sqlite3.Connection, resource: str) -> None:
    """Remove a resource, its names and its address within a transaction."""
    for table in ("resources", "names", "addresses"):
        db.execute(f"DELETE FROM {table} WHERE key = ?", (resource.lower(),))  # noqa: S608 - one of the three above


_COLUMNS = "id, token, body, computed, state, ready_at"


def _record(row: tuple[Any, ...]) -> Record:
    return Record(row[0], row[1], json.loads(row[2]), json.loads(row[3]), row[4], row[5])
