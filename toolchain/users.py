"""Which checkouts use the services: the last one that stops takes them down."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain.cache import write_atomically

if TYPE_CHECKING:
    from toolchain.cache import Cache


class Users:
    """The checkouts that use one cache's services: a file for each, so that no two of them write the same one."""

    def __init__(self, cache: Cache) -> None:
        """List the users of `cache`."""
        self._folder = cache.run / "users"

    def _file(self, root: Path) -> Path:
        return self._folder / hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]

    def add(self, root: Path) -> None:
        """Note that a checkout uses the services."""
        path = self._file(root)
        text = str(root.resolve())
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text)

    def remove(self, root: Path) -> None:
        """Note that a checkout does not use them any more."""
        self._file(root).unlink(missing_ok=True)

    def all(self) -> list[Path]:
        """Return the checkouts that use the services; those that were deleted are forgotten."""
        if not self._folder.is_dir():
            return []
        found = []
        for path in sorted(self._folder.iterdir()):
            if path.name.startswith("."):
                continue
            root = Path(path.read_text(encoding="utf-8"))
            if root.is_dir():
                found.append(root)
            else:
                path.unlink(missing_ok=True)
        return sorted(found)
