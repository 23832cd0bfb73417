"""Files in a folder of this machine, by way of temporary ones that appear under their names when they are whole."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_STALE_SECONDS = 3600
_TEMPORARY = re.compile(r"\d+-[0-9a-f]{16}")


class FolderStore:
    """Files of a folder."""

    def __init__(self, root: Path) -> None:
        """Use a folder; it is made by the first file."""
        self._root = root

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder."""
        try:
            return sorted(one for one in os.listdir(self._root / folder) if not one.startswith("."))  # noqa: PTH208 - names
        except (FileNotFoundError, NotADirectoryError):
            return []

    def read(self, key: str) -> bytes | None:
        """Return a file's content."""
        try:
            return (self._root / key).read_bytes()
        except FileNotFoundError:
            return None

    def create(self, key: str, content: bytes) -> bool:
        """Write a file that is not there yet."""
        with self._temporary() as temporary:
            _write(temporary, content)
            self._parent(key)
            try:
                # A rename would replace what is there; a link refuses.
                (self._root / key).hardlink_to(temporary)
            except FileExistsError:
                return False
            _sync(self._root / key)
            return True

    def replace(self, key: str, content: bytes) -> None:
        """Write a file."""
        with self._temporary() as temporary:
            _write(temporary, content)
            self._place(temporary, key)

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[Path]:
        folder = self._root / "incomplete"
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        temporary = folder / f"{os.getpid()}-{secrets.token_hex(8)}"
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def _place(self, temporary: Path, key: str) -> None:
        """Give a whole file its name, whatever had it."""
        self._parent(key)
        temporary.replace(self._root / key)
        _sync(self._root / key)

    def _parent(self, key: str) -> None:
        (self._root / key).parent.mkdir(parents=True, exist_ok=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    """Have the name on the disk too, so that a power cut leaves the old or the new."""
    # Some file systems cannot; they have other ways, or none.
    with contextlib.suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _sweep(folder: Path) -> None:
    """Remove what killed processes left; a living one writes to its file all the time."""
    oldest = time.time() - _STALE_SECONDS
    with os.scandir(folder) as entries:
        for entry in entries:
            # The folder may be somebody's own: a stack may have its name.
            if _TEMPORARY.fullmatch(entry.name) is None:
                continue
            with contextlib.suppress(OSError):
                if entry.stat(follow_symlinks=False).st_ctime < oldest:
                    Path(entry.path).unlink()
