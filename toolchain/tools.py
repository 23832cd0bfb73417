"""Built and downloaded tools in the cache: complete or absent, checked against their checksums before use."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain.cache import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from toolchain.cache import Cache

MANIFEST = "MANIFEST.json"
CHUNK = 1 << 20


def digest_of(paths: Iterable[Path]) -> str:
    """Return a short hash of some files' content, in the given order."""
    whole = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        whole.update(f"{path.name} {len(content)}\n".encode())
        whole.update(content)
    return whole.hexdigest()[:12]


def sha256(path: Path) -> str:
    """Return a file's SHA-256."""
    whole = hashlib.sha256()
    with path.open("rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            whole.update(chunk)
    return whole.hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)


def _stamp(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ino]


class Tools:
    """The tools of one cache."""

    def __init__(self, cache: Cache) -> None:
        """Use the tools of `cache`."""
        self._home = cache.tools
        # Hashing 300 MB takes longer than a whole warm run may: a file is hashed again only when it was touched.
        self._seen_at = cache.home / "verified.json"

    def folder(self, name: str) -> Path:
        """Return where a tool is, or will be."""
        return self._home / name

    def ready(self, name: str) -> bool:
        """Tell whether a tool is there and is what was put there."""
        folder = self.folder(name)
        listed = read_json(folder / MANIFEST).get("files")
        if not isinstance(listed, dict) or not listed:
            return False
        seen = read_json(self._seen_at)
        learned = dict(seen)
        for relative, checksum in listed.items():
            path = folder / relative
            try:
                mark = [checksum, *_stamp(path)]
                if seen.get(str(path)) != mark:
                    if sha256(path) != checksum:
                        return False
                    learned[str(path)] = mark
            except OSError:
                return False
        if learned != seen:
            write_json(self._seen_at, {path: mark for path, mark in learned.items() if Path(path).exists()})
        return True

    def damaged(self, name: str) -> bool:
        """Tell whether a tool is there but is not what was put there."""
        return self.folder(name).exists() and not self.ready(name)

    def install(self, name: str, make: Callable[[Path], None]) -> Path:
        """Make a tool in a folder of its own, and put it in place only when it is complete.

        An interrupted attempt leaves nothing that a later run could take for the tool. Call it with the cache locked.

        Args:
            name: The tool's folder.
            make: Fills the given empty folder.

        Returns:
            The tool's folder.
        """
        # A new folder each time: a killed set-up may have left a compiler behind that still writes to the last one.
        partial = Path(tempfile.mkdtemp(prefix=f".partial-{name}-", dir=self._home))
        try:
            make(partial)
            checksums = {path.relative_to(partial).as_posix(): sha256(path) for path in _files(partial)}
            partial.chmod(0o755)
            write_json(partial / MANIFEST, {"files": checksums})
            shutil.rmtree(self.folder(name), ignore_errors=True)
            os.replace(partial, self.folder(name))  # noqa: PTH105 - the folder as a whole, named by two paths.
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        return self.folder(name)
