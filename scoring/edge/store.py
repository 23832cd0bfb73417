"""The store on disk: inputs that wait to be scored, results that wait to be sent, through restarts and cut networks.

It is one SQLite file, bounded in bytes and in age. Where there is no room for all, what matters least and is oldest
goes first, and is counted: results that are no alerts, then inputs, then alerts.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import threading
import time
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

# What a row takes beside its texts and body.
_ROW_BYTES = 128
_ROOM_FOR_MORE = 64
# Clocks that are kept right are moved by less.
_JUMP_SECONDS = 3600.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT, rank INTEGER NOT NULL, id TEXT NOT NULL, endpoint TEXT NOT NULL,
    properties TEXT NOT NULL, body BLOB NOT NULL, size INTEGER NOT NULL, stored REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS messages_by_rank ON messages (rank, number);
CREATE INDEX IF NOT EXISTS messages_by_age ON messages (stored);
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""
_log = logging.getLogger("slipway")


class Rank(IntEnum):
    """What a message is, in the order of what matters most."""

    ALERT = 0
    INPUT = 1
    TELEMETRY = 2


OUTPUTS = (Rank.ALERT, Rank.TELEMETRY)


class StoreError(Exception):
    """The disk does not take a message, or give one; the message says why. It may, later."""


class DamagedError(StoreError):
    """The file is damaged. Opened anew it is put aside."""


@dataclass(frozen=True)
class Message:
    """A message that came in, or that is to go out.

    Attributes:
        id: By which whoever gets it twice knows it.
        endpoint: The name of the input or output.
        properties: Its properties, those of the system by their names on the wire, which begin with `$.`.
        body: Its body.
        rank: What it is.
        number: Its place in the store; 0 for one that is not in it.
    """

    id: str
    endpoint: str
    properties: dict[str, str]
    body: bytes
    rank: Rank
    number: int = 0


@dataclass(frozen=True)
class Counts:
    """What the store holds, and what it had to drop since it was made.

    Attributes:
        waiting: Messages by their rank.
        bytes: The size of all.
        dropped: Messages by why they were dropped: `alert`, `input` or `telemetry` for want of room, `expired`,
            `too large`, and `properties` where a result went without those that its message came with.
    """

    waiting: dict[Rank, int]
    bytes: int
    dropped: dict[str, int]


class Store:
    """Messages in the order in which they came; every method may be called in any thread."""

    def __init__(self, path: Path, *, max_bytes: int, max_age_seconds: float) -> None:
        """Open the store, or make it; one that cannot be read is put aside.

        Args:
            path: Its file; the folder must exist.
            max_bytes: How much it may hold.
            max_age_seconds: What is older is dropped.

        Raises:
            StoreError: There can be no store at that place.
        """
        self._lock = threading.RLock()
        self._path = path
        self._time = time.time(), _since_boot()
        self._max_bytes = max_bytes
        self._max_age = max_age_seconds
        with self._telling("opened"):
            try:
                self._db = self._open()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                aside = path.with_name(f"{path.name}.broken-{time.time_ns()}")
                path.replace(aside)
                for rest in ("-wal", "-shm"):
                    path.with_name(path.name + rest).unlink(missing_ok=True)
                _log.error("the store %s is damaged (%s): it is kept as %s, and a new one begins", path, error, aside)
                self._db = self._open()
            self._bytes: int = self._one("SELECT COALESCE(SUM(size), 0) FROM messages")

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            # A killed process loses nothing with this; a power cut may take the last moments, but never the file.
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.executescript(_SCHEMA)
            # Else a page in the middle would be found when a message of it is wanted, again after each restart.
            found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        except BaseException:
            db.close()
            raise
        if found != "ok":
            db.close()
            raise sqlite3.DatabaseError(" ".join(found.split()))
        return db

    def limit(self, *, max_bytes: int, max_age_seconds: float) -> None:
        """Bound it anew; what is beyond the bounds is dropped at once."""
        with self._lock:
            self._max_bytes, self._max_age = max_bytes, max_age_seconds
            with self._changing():
                self._drop()

    def put(self, messages: Iterable[Message]) -> None:
        """Keep messages, before their sender is told that they were taken.

        Raises:
            StoreError: The disk is full or broken, and making room did not help.
        """
        self.settle((), messages)

    def settle(self, done: Iterable[int], messages: Iterable[Message] = ()) -> None:
        """Forget messages and keep what came of them, both or neither.

        Args:
            done: The numbers of those that are done.
            messages: What is to be kept.

        Raises:
            StoreError: As in `put`.
        """
        done, messages = tuple(done), tuple(messages)
        try:
            self._settle(done, messages)
        except DamagedError:
            raise
        except StoreError as error:
            with self._changing():
                for _ in range(_ROOM_FOR_MORE + 4 * len(messages)):
                    self._drop_one()
            _log.warning("%s: made room in it", error)
            self._settle(done, messages)

    def _settle(self, done: Sequence[int], messages: Sequence[Message]) -> None:
        with self._changing():
            for number in done:
                self._forget(number)
            now = time.time()
            for one in messages:
                properties = json.dumps(one.properties)
                size = _ROW_BYTES + len(one.body) + len(properties) + len(one.id) + len(one.endpoint)
                if size > self._max_bytes:
                    self._count("too large")
                    continue
                row = (one.rank, one.id, one.endpoint, properties, one.body, size, now)
                self._db.execute(
                    "INSERT INTO messages (rank, id, endpoint, properties, body, size, stored)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    row,
                )
                self._bytes += size
            self._drop()

    def take(self, ranks: Sequence[Rank], limit: int) -> list[Message]:
        """Look at the first messages: those that matter most, then the oldest. They stay until they are settled.

        Args:
            ranks: Which to look at.
            limit: How many at most.
        """
        marks = ",".join("?" * len(ranks))
        with self._lock, self._telling("read"):
            rows = self._db.execute(
                f"SELECT number, rank, id, endpoint, properties, body FROM messages WHERE rank IN ({marks})"  # noqa: S608 - nothing but marks
                " ORDER BY rank, number LIMIT ?",
                (*ranks, limit),
            ).fetchall()
        return [
            Message(id_, endpoint, json.loads(properties), body, Rank(rank), number)
            for number, rank, id_, endpoint, properties, body in rows
        ]

    def count(self, why: str, times: int = 1) -> None:
        """Count what was lost elsewhere than here.

        Args:
            why: As in `Counts`.
            times: How often.

        Raises:
            StoreError: The disk is full or broken.
        """
        with self._changing():
            for _ in range(times):
                self._count(why)

    def note_attempt(self, number: int) -> int:
        """Note that a message is about to be scored, by a process that it may end.

        Returns:
            Which attempt it is, from 1.
        """
        with self._changing():
            self._db.execute("UPDATE messages SET attempts = attempts + 1 WHERE number = ?", (number,))
            return int(self._one("SELECT attempts FROM messages WHERE number = ?", number))

    def expire(self) -> None:
        """Drop what has become too old, also when nothing comes."""
        with self._changing():
            self._drop()

    def begin(self) -> bool:
        """Note that a process works with it.

        Returns:
            Whether the one before did not come to its end.
        """
        with self._changing():
            was_working = self._one("SELECT COALESCE(MAX(value), 0) FROM counts WHERE name = ?", "working")
            self._db.execute("INSERT OR REPLACE INTO counts VALUES ('working', 1)")
            return bool(was_working)

    def close(self) -> None:
        """Note that the process comes to its end, and close the file."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._db.execute("DELETE FROM counts WHERE name = 'working'")
            self._db.close()

    def counts(self) -> Counts:
        """Tell what it holds."""
        with self._lock, self._telling("read"):
            waiting = dict(self._db.execute("SELECT rank, COUNT(*) FROM messages GROUP BY rank").fetchall())
            dropped = dict(self._db.execute("SELECT name, value FROM counts WHERE name != 'working'").fetchall())
            return Counts({rank: waiting.get(rank, 0) for rank in Rank}, self._bytes, dropped)

    @contextlib.contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        """Tell in words what SQLite says."""
        try:
            yield
        except sqlite3.Error as error:
            kind = DamagedError if _is_damage(error) else StoreError
            raise kind(f"the store {self._path} cannot be {what}: {error}") from error

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """A transaction: all of it or nothing, whatever happens."""
        with self._lock, self._telling("written to"):
            before = self._bytes, self._time
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._follow_clock()
                yield
                self._db.execute("COMMIT")
            except BaseException:
                self._bytes, self._time = before
                # A full disk ends the transaction by itself.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _follow_clock(self) -> None:
        """Keep ages right where the clock is set, as on devices that begin each time in 1970 until they ask others."""
        (wall, steady), self._time = self._time, (time.time(), _since_boot())
        now = self._time[0]
        jump = (now - wall) - (self._time[1] - steady)
        if jump > _JUMP_SECONDS:
            # What was stored with the right time, before the device began with a wrong one, keeps it.
            self._db.execute("UPDATE messages SET stored = stored + ? WHERE stored <= ?", (jump, wall))
        elif jump < -_JUMP_SECONDS:
            self._db.execute("UPDATE messages SET stored = ? WHERE stored > ?", (now, now))

    def _drop(self) -> None:
        old = time.time() - self._max_age
        while (number := self._first("WHERE stored < ? ORDER BY stored LIMIT 1", old)) is not None:
            self._forget(number)
            self._count("expired")
        while self._bytes > self._max_bytes and self._drop_one():
            pass

    def _drop_one(self) -> bool:
        """Drop the oldest of what matters least; tell whether there was any."""
        found = self._db.execute("SELECT MAX(rank) FROM messages").fetchone()[0]
        if found is None:
            return False
        number = self._first("WHERE rank = ? ORDER BY number LIMIT 1", found)
        if number is not None:
            self._forget(number)
            self._count(Rank(found).name.lower())
        return True

    def _first(self, condition: str, value: float) -> int | None:
        row = self._db.execute(f"SELECT number FROM messages {condition}", (value,)).fetchone()  # noqa: S608 - conditions of this file
        return int(row[0]) if row else None

    def _forget(self, number: int) -> None:
        row = self._db.execute("DELETE FROM messages WHERE number = ? RETURNING size", (number,)).fetchall()
        self._bytes -= sum(size for (size,) in row)

    def _count(self, name: str) -> None:
        self._db.execute("INSERT INTO counts VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1", (name,))

    def _one(self, query: str, *values: Any) -> Any:
        row = self._db.execute(query, values).fetchone()
        return row[0] if row else 0


def _since_boot() -> float:
    """The time that nobody sets; with what a device sleeps, where the system counts that."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def _is_damage(error: sqlite3.Error) -> bool:
    # Full and broken disks, locks and rights have classes of their own, which are derived from this one.
    return type(error) is sqlite3.DatabaseError
