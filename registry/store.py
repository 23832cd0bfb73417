"""Where a registry keeps its files: records, as the storage has them, and the models' own files, which may be large."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, Protocol

from registry.errors import RegistryError
from storage import REMOTE, FolderStore, ObjectStore, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK = 8 * 1024 * 1024
# What a package's upload holds in memory: two of these.
_PART = 16 * 1024 * 1024


class ModelStore(Store, Protocol):
    """A storage that takes large files too."""

    def has(self, key: str, size: int) -> bool:
        """Tell whether a file is there, of that many bytes."""
        ...

    def put(self, key: str, file: Path, sha256: str, *, shared: bool) -> None:
        """Copy a large file in; `shared` ones are never written again and may be linked.

        Raises:
            RegistryError: The file's content is not what its checksum says.
        """
        ...

    def chunks(self, key: str, size: int) -> Iterator[bytes]:
        """Return a large file's content, piece by piece."""
        ...


def open_store(location: str, root: Path) -> ModelStore:
    """Return the store at a location.

    Args:
        location: A URL, or a folder relative to `root`.
        root: The project's folder.

    Raises:
        RegistryError: The URL's scheme is none that keeps a registry safely.
        StorageError: Its package is missing.
    """
    scheme, separator, _ = location.partition("://")
    if not separator:
        return ModelFolder(root / location)
    if scheme not in REMOTE:
        allowed = ", ".join(f"{one}://" for one in REMOTE)
        raise RegistryError(f"a model registry can be a folder or at {allowed}; not at {scheme}://")
    return ModelObjects(location)


class ModelFolder(FolderStore):
    """Files of this machine."""

    def has(self, key: str, size: int) -> bool:
        """Tell whether a file is there."""
        try:
            return (self._root / key).stat().st_size == size
        except FileNotFoundError:
            return False

    def put(self, key: str, file: Path, sha256: str, *, shared: bool) -> None:
        """Copy or link a large file in. A damaged one may be there: the right one takes its place."""
        with self._temporary() as temporary:
            if not (shared and _linked(file, temporary)):
                _copy(file, temporary, sha256)
            self._place(temporary, key)

    def chunks(self, key: str, size: int) -> Iterator[bytes]:
        """Return a file's content."""
        del size
        with (self._root / key).open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk


def _copy(source: Path, target: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    with source.open("rb") as reader, target.open("xb") as writer:
        while chunk := reader.read(CHUNK):
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    if digest.hexdigest() != sha256:
        raise _changed(source)
    # It is what a checksum says it is, and shared: see `_linked`.
    target.chmod(0o444)


def _changed(file: Path) -> RegistryError:
    """Return the error for a file that somebody writes to at the moment."""
    return RegistryError(f"{file} changed while it was being registered; run it again")


def _linked(source: Path, target: Path) -> bool:
    try:
        target.hardlink_to(source)
    except OSError:
        # Another file system, or one without links.
        return False
    return True


class ModelObjects(ObjectStore):
    """Objects of a cloud store."""

    # A bucket with a wrong name is told, not made: models are large.
    makes_folders = False

    def __init__(self, url: str) -> None:
        """Use what is below a URL.

        Raises:
            StorageError: A package is missing.
        """
        super().__init__(url)
        parts = {"chunksize": _PART} if url.startswith("s3:") else {}
        self._upload: dict[str, Any] = {"max_concurrency": 2, **parts}

    def has(self, key: str, size: int) -> bool:
        """Tell whether an object is there."""
        try:
            return bool(self._system.info(f"{self._root}/{key}")["size"] == size)
        except FileNotFoundError:
            return False

    def put(self, key: str, file: Path, sha256: str, *, shared: bool) -> None:
        """Upload a large file."""
        del shared
        with file.open("rb") as reader:
            if hashlib.file_digest(reader, "sha256").hexdigest() != sha256:
                raise _changed(file)
        self._system.put_file(str(file), f"{self._root}/{key}", **self._upload)
        if not self.has(key, file.stat().st_size):
            raise RegistryError(f"{self._url}/{key} did not arrive as a whole; run it again")

    def chunks(self, key: str, size: int) -> Iterator[bytes]:
        """Return an object's content."""
        for start in range(0, size, _PART):
            yield self._system.cat_file(f"{self._root}/{key}", start=start, end=min(start + _PART, size))
