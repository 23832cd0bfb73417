"""Hashes of large files, kept so that a preview need not read gigabytes of models again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from typing import TYPE_CHECKING, Any

from manifest.atomic import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_FORMAT = 1
_SMALLEST = 1024 * 1024
# A file changed this lately can change again without a new time, as clocks of file systems are coarse.
_SETTLE_NS = 2_000_000_000


class HashCache:
    """A file of hashes that knows by size, times and inode whether they still hold.

    Any number of processes may share the file: it is replaced as a whole, and what another one loses is only hashed
    again. A damaged file counts as empty.
    """

    def __init__(self, store: Path | None, clock: Callable[[], int] = time.time_ns) -> None:
        """Use a store; None keeps nothing. `clock` is the time in nanoseconds."""
        self._store = store
        self._clock = clock
        self._known: dict[str, list[Any]] | None = None
        self._new: dict[str, list[Any]] = {}

    @classmethod
    def beside(cls, folder: Path) -> HashCache:
        """Return the cache of the project that a folder is in: where Slipway keeps its other local state."""
        folder = folder.resolve()
        states = (parent / ".slipway" for parent in (folder, *folder.parents))
        state = next((one for one in states if one.is_dir()), None)
        return cls(state / "hashes.json" if state else None)

    def digest(self, path: Path) -> bytes:
        """Return the SHA-256 of a file.

        Raises:
            OSError: It cannot be read.
        """
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_size < _SMALLEST or self._store is None:
                return hashlib.file_digest(file, "sha256").digest()
            key = str(path.resolve())
            state = _state(status)
            known = self._load().get(key)
            if known and known[:-1] == state:
                return bytes.fromhex(known[-1])
            digest = hashlib.file_digest(file, "sha256").digest()
            settled = max(status.st_mtime_ns, status.st_ctime_ns) < self._clock() - _SETTLE_NS
            if settled and _state(os.fstat(file.fileno())) == state:
                self._new[key] = [*state, digest.hex()]
            return digest

    def save(self) -> None:
        """Write what is new; a store that cannot be written is no reason to fail."""
        if not self._new or self._store is None:
            return
        # Read again: another process may have added to it since.
        files = {**self._read(), **self._new}
        files = {path: entry for path, entry in files.items() if os.path.lexists(path)}
        with contextlib.suppress(OSError):
            write_atomically(self._store, json.dumps({"format": _FORMAT, "files": files}, separators=(",", ":")))
        self._known = None
        self._new = {}

    def _load(self) -> dict[str, list[Any]]:
        if self._known is None:
            self._known = self._read()
        return self._known

    def _read(self) -> dict[str, list[Any]]:
        try:
            stored: Any = json.loads(self._store.read_bytes()) if self._store else {}
            entries = stored["files"].items() if stored["format"] == _FORMAT else ()
            return {path: entry for path, entry in entries if _is_entry(entry)}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return {}


def _state(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _is_entry(entry: object) -> bool:
    match entry:
        case [int(), int(), int(), int(), str() as digest]:
            return len(digest) == hashlib.sha256().digest_size * 2 and set(digest) <= set("0123456789abcdef")
    return False
