"""The thread that reads what was recorded, cleans it, and writes parts: each whole, under one name, once."""

from __future__ import annotations

import logging
import pickle
import re
import threading
import time
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson

from scoring.answers import to_json
from scoring.collect import rows
from scoring.collect.privacy import Privacy
from scoring.collect.recorder import NOT_WRITTEN, UNNAMED, UNREADABLE
from scoring.collect.settings import REQUEST
from scoring.storage import masked, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scoring.collect.compactor import Compactor
    from scoring.collect.recorder import Body, Sink
    from scoring.collect.settings import CollectSettings
    from scoring.storage import Store

PART_BYTES = 4 * 1024 * 1024  # A part is closed at this size; one upload request takes it.
_OPEN_BYTES = 16 * 1024 * 1024  # What all open parts may hold together.
_LOOK_SECONDS = 0.25
_FIRST_PAUSE, _LONGEST_PAUSE, _CLOSING_PAUSE = 0.5, 30.0, 0.2
_LAST_CALL_SECONDS = 1.0
_LONGEST_ERROR = 300
_log = logging.getLogger(__name__)


class _Part:
    """Lines that will be one file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: list[bytes] = []
        self.bytes = 0
        self.items = 0
        self.since = time.monotonic()


class Writer:
    """Writes what a sink records.

    Attributes:
        rows: How many rows are in the storage, by collection.
        last_error: Why the last part was not taken, empty while parts are.
    """

    def __init__(self, settings: CollectSettings, compactor: Compactor | None = None) -> None:
        """Prepare to write; `start` does."""
        self.rows: Counter[str] = Counter()
        self.last_error = ""
        self._settings = settings
        self._compactor = compactor
        self._privacy = Privacy(settings.drop, settings.hash, settings.key)
        self._store: Store | None = None
        self._id = uuid.uuid4().hex
        self._sequence = 0
        self._parts: dict[tuple[str, str], _Part] = {}
        self._open_bytes = 0
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._until = float("inf")
        self._is_complete = True
        self._is_given_up = False
        self._pending = 0  # Items whose rows are in parts that are not in the storage.
        self._thread = threading.Thread(target=self._run, name="collect", daemon=True)

    def start(self, sink: Sink) -> None:
        """Start to write what `sink` records."""
        self._sink = sink
        self._thread.start()

    def wake(self) -> None:
        """Look at once: much waits."""
        self._wake.set()

    def finish(self, seconds: float) -> bool:
        """Write what is left, for so many seconds at most, and tell whether all of it was written."""
        self._until = time.monotonic() + seconds
        self._closing.set()
        self._wake.set()
        self._thread.join(seconds + _LAST_CALL_SECONDS)
        if self._thread.is_alive():
            # The storage hangs: the thread will not come to count them.
            self._is_given_up = True
            self._is_complete = False
            self._sink.drop(NOT_WRITTEN, self._pending + self._sink.waiting)
        return self._is_complete

    def _run(self) -> None:
        while True:
            is_last = self._closing.is_set()
            try:
                self._round(is_last=is_last)
            except Exception:  # noqa: BLE001 - the thread has to go on: without it nothing is written any more
                _log.exception("collection failed")
            if is_last:
                break
            self._wake.wait(_LOOK_SECONDS)
            self._wake.clear()
        if self._compactor is not None:
            self._compactor.stop()

    def _round(self, *, is_last: bool) -> None:
        while not self._is_given_up and (item := self._sink.take()) is not None:
            try:
                self._read(item)
            finally:
                self._sink.done(item)
            # Whoever answers requests goes first: else it would wait for the interpreter's next switch of threads.
            time.sleep(0)
            self._write_old(self._settings.seconds)
        self._write_old(0 if is_last else self._settings.seconds)
        if self._compactor is not None and not is_last:
            self._compactor.look()

    # Reading

    def _read(self, item: Body) -> None:
        """Add an item's rows to its collection's open part."""
        try:
            # All lines before the first is added: an item is in the storage whole, or counted as dropped.
            lines = list(self._lines(item))
        except rows.UnreadableError:
            self._sink.drop(UNREADABLE)
            return
        except _UnnamedError:
            self._sink.drop(UNNAMED)
            return
        except Exception as error:  # noqa: BLE001 - odd bodies and tables must not stop the others
            _log.debug("a body of %s cannot be read: %s", item.collection, type(error).__name__)
            self._sink.drop(UNREADABLE)
            return
        key = (item.collection, _folder(self._settings, item))
        for number, line in enumerate(lines):
            part = self._parts.get(key)
            if part is None:
                part = self._parts[key] = _Part(self._next_name(key[1]))
            part.lines.append(line)
            part.bytes += len(line)
            part.items += number == 0
            self._pending += number == 0
            self._open_bytes += len(line)
            if part.bytes >= PART_BYTES or len(part.lines) >= self._settings.rows:
                self._write(key)
        if self._open_bytes >= _OPEN_BYTES:
            self._write_old(0)

    def _lines(self, item: Body) -> Iterator[bytes]:
        added: dict[str, Any] = {
            "request_id": item.request_id,
            "correlation_id": item.correlation,
            "time": rows.timestamp(item.time),
            "model": self._settings.model,
            "version": self._settings.version,
        }
        if item.status:
            added["status"] = item.status
        if item.content_type is None:
            # Our own bytes, of this process.
            value = orjson.loads(to_json(pickle.loads(item.content)))  # noqa: S301
        else:
            try:
                value = rows.read_body(item.content, item.content_type, item.query)
            except rows.UnreadableError:
                if self._privacy.is_asked:
                    raise
                yield rows.line(rows.as_it_is(item.content or item.query), {**added, "row": 0})
                return
            if self._privacy.is_asked and item.collection == REQUEST and rows.is_unnamed(value):
                raise _UnnamedError
        yield from rows.cleaned_lines(value, added, self._privacy, self._settings.rows)

    # Writing

    def _next_name(self, folder: str) -> str:
        self._sequence += 1
        return f"{folder}/{self._id}-{self._sequence:06d}.jsonl"

    def _write_old(self, seconds: float) -> None:
        """Write the parts that have been open for so long."""
        now = time.monotonic()
        for key in [key for key, part in self._parts.items() if now - part.since >= seconds]:
            self._write(key)

    def _write(self, key: tuple[str, str]) -> None:
        """Write a part; while the storage does not take it nothing else is read, and the queue's bound holds."""
        part = self._parts.pop(key)
        self._open_bytes -= part.bytes
        content = b"".join(part.lines)
        pause = _FIRST_PAUSE
        while True:
            try:
                if self._store is None:
                    self._store = open_store(self._settings.to)
                self._store.put(part.name, content)
            except Exception as error:  # noqa: BLE001 - each library of a storage has its own errors
                if time.monotonic() < self._until:
                    self._tell(error)
            else:
                self.rows[key[0]] += len(part.lines)
                self._pending -= part.items
                if self.last_error:
                    _log.warning("collection: %s takes parts again", self._settings.to)
                    self.last_error = ""
                return
            if time.monotonic() >= self._until:
                if not self._is_given_up:
                    self._is_complete = False
                    self._pending -= part.items
                    self._sink.drop(NOT_WRITTEN, part.items)
                return
            if self._closing.is_set():
                time.sleep(_CLOSING_PAUSE)
            else:
                self._closing.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _tell(self, error: Exception) -> None:
        text = (str(error).splitlines() or [""])[0]
        text = masked(f"{type(error).__name__}: {text}")[:_LONGEST_ERROR]
        if not self.last_error:
            _log.warning("collection: %s does not take parts, which is tried again: %s", self._settings.to, text)
        self.last_error = text


class _UnnamedError(Exception):
    """Rows without names, where columns are to be dropped or hashed by their names."""


def _folder(settings: CollectSettings, item: Body) -> str:
    hour = time.strftime("%Y/%m/%d/%H", time.gmtime(item.time))
    return "/".join([*(segment(text) for text in (settings.model, settings.version, item.collection)), hour])


def segment(text: str) -> str:
    """Return a text as a part of a path: other characters than letters, digits, `-`, `.`, `_` become `_`."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]", "_", text)[:100]
    return cleaned if cleaned.strip(".") else "_"
