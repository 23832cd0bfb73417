"""Contents by name, in a folder or a storage that fsspec reaches: each is there as a whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import time
import uuid
from pathlib import Path
from typing import Any, Protocol

_STALE_SECONDS = 3600.0
_OF_AZURE = {"abfs", "abfss", "az"}
_SHARES = "azfiles://"
# Only Azure's library takes them.
_PATIENCE = {"connection_timeout": 10, "read_timeout": 30}
_SECRET = re.compile(r"(?i)(sig|accountkey|sharedaccesssignature|code|secret|password)=[^&;\s]+")
_NOT_IN_SHARES = re.compile(r'["\\:|<>*?\x00-\x1f]')


class Store(Protocol):
    """Named contents; names are relative and have slashes."""

    def put(self, name: str, content: bytes) -> None:
        """Write a content whole, in place of what was there; any error leaves what was there, or the whole."""

    def create(self, name: str, content: bytes) -> bool:
        """Write a content whole unless the name is taken; tell whether it was free."""

    def get(self, name: str) -> bytes:
        """Return a content; FileNotFoundError where there is none."""

    def sizes(self, under: str) -> dict[str, int]:
        """Return the size in bytes of every content below a folder, by its name."""

    def delete(self, name: str) -> None:
        """Remove a content, if it is there."""


def open_store(to: str) -> Store:
    """Return the store at a folder or a URL."""
    return ObjectStore(to) if "://" in to else FolderStore(Path(to))


def connect(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the URL's path in it; credentials are those of the environment.

    Args:
        url: Such as abfs://container/path, azfiles://share@account/path or s3://bucket/path.

    Raises:
        ImportError: Its library is not in this environment.
        ValueError: It is no URL of a storage.
    """
    if url.startswith(_SHARES):
        # An extra, and slow to import, as the next one.
        from scoring.azure_files import open_share  # noqa: PLC0415

        return open_share(url, **_PATIENCE)
    # Without types.
    import fsspec  # type: ignore[import-untyped] # noqa: PLC0415

    found: tuple[Any, str] = fsspec.url_to_fs(
        url,
        # An instance of our own: a listing that another user of the library cached would hide what is new.
        skip_instance_cache=True,
        use_listings_cache=False,
        **(_PATIENCE if _is_azure(url) else {}),
    )
    return found


def name_in(to: str, name: str) -> str:
    """Return a name as the store at a folder or a URL can have it: Azure Files knows fewer than others."""
    return _NOT_IN_SHARES.sub(lambda found: f"%{ord(found[0]):02X}", name) if to.startswith(_SHARES) else name


def masked(text: str) -> str:
    """Return what a storage said, for a log, without the secrets of an address in it."""
    return _SECRET.sub(r"\1=***", text)


def _is_azure(url: str) -> bool:
    return url.partition("://")[0] in _OF_AZURE


class FolderStore:
    """A folder of this machine, or one that is mounted."""

    def __init__(self, root: Path) -> None:
        """Use a folder, which is made when it is first written to."""
        self._root = root

    def put(self, name: str, content: bytes) -> None:
        """Write beside the place, then rename."""
        partial = self._write_beside(name, content)
        try:
            partial.replace(self._root / name)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    def create(self, name: str, content: bytes) -> bool:
        """Write beside the place, then link: a rename would replace what another process just wrote."""
        partial = self._write_beside(name, content)
        try:
            os.link(partial, self._root / name)
        except FileExistsError:
            return False
        finally:
            partial.unlink(missing_ok=True)
        return True

    def get(self, name: str) -> bytes:
        """Return a file's content."""
        return (self._root / name).read_bytes()

    def sizes(self, under: str) -> dict[str, int]:
        """Return the files; unfinished ones of an hour ago were left by a process that was killed."""
        found = {}
        for folder, _, files in os.walk(self._root / under):
            for file in files:
                path = Path(folder, file)
                with contextlib.suppress(FileNotFoundError):
                    seen = path.stat()
                    if not file.endswith(".partial"):
                        found[path.relative_to(self._root).as_posix()] = seen.st_size
                    elif seen.st_mtime < time.time() - _STALE_SECONDS:
                        path.unlink()
        return found

    def delete(self, name: str) -> None:
        """Remove a file."""
        (self._root / name).unlink(missing_ok=True)

    def _write_beside(self, name: str, content: bytes) -> Path:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
        try:
            with partial.open("xb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        return partial


class ObjectStore:
    """Azure blob storage, or another storage of objects."""

    def __init__(self, url: str) -> None:
        """Use what is below a URL such as abfs://container/path."""
        self._files, self._root = connect(url)
        # No tries of its own: who writes has them, and waits less long.
        self._once = {"overwrite": True, "retry_total": 0} if _is_azure(url) else {}

    def put(self, name: str, content: bytes) -> None:
        """Upload: one request, or pieces that count together when the last one is there."""
        self._files.pipe_file(self._path(name), content, **self._once)

    def create(self, name: str, content: bytes) -> bool:
        """Upload on the condition that there is no such object."""
        try:
            self._files.pipe_file(self._path(name), content, mode="create")
        except FileExistsError:
            return False
        return True

    def get(self, name: str) -> bytes:
        """Download an object."""
        content: bytes = self._files.cat_file(self._path(name))
        return content

    def sizes(self, under: str) -> dict[str, int]:
        """Return the objects."""
        self._files.invalidate_cache()
        try:
            found = self._files.find(self._path(under), detail=True)
        except FileNotFoundError:
            return {}
        return {path[len(self._root) :].strip("/"): int(entry["size"]) for path, entry in found.items()}

    def delete(self, name: str) -> None:
        """Remove an object."""
        with contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"
