"""Where a job's input is: folders and storages, listed, opened and tried again when they fail."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import re
import stat
from collections import deque
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from scoring.storage import connect, masked

if TYPE_CHECKING:
    from collections.abc import Iterator

_WILD = re.compile(r"[*?\[]")
_LONGEST_ERROR = 300
# What a folder says that no other try changes; names grow by their ranges, so the input's may have been short enough.
_LASTING = {errno.ENAMETOOLONG, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}


class InputError(Exception):
    """An input that cannot be used as it was given; the message says which and why."""


class StorageError(Exception):
    """A storage that does not do its work at the moment, or never will; the message says what it answered."""

    def __init__(self, what: str, error: BaseException) -> None:
        """Tell what was tried, and what became of it."""
        said = masked((str(error).splitlines() or [""])[0])[:_LONGEST_ERROR]
        super().__init__(f"{what}: {type(error).__name__}: {said}")
        self.is_lasting = isinstance(error, PermissionError) or getattr(error, "errno", None) in _LASTING


class Places:
    """Opens and lists files; remembers a connection for each kind of storage."""

    def __init__(self) -> None:
        """No connection so far."""
        self._connections: dict[str, Any] = {}

    def find(self, given: str) -> Iterator[tuple[str, str, int]]:
        """List what an input names, sorted.

        Args:
            given: Files, folders, globs or URLs of them, one a line; `@FILE` for a file of such lines.

        Yields:
            Each file's path or URL, its path below the input's folder, and its size in bytes.

        Raises:
            InputError: There is no such file.
            StorageError: It cannot be listed.
        """
        seen: set[str] = set()
        for line in self._lines(given):
            count = 0
            for path, relative, size in sorted(self._find_one(line)):
                count += 1
                if path not in seen:
                    seen.add(path)
                    yield path, relative, size
            if not count:
                raise InputError(
                    f"the input {line} has no files: name a file, a folder or a glob such as data/**/*.csv"
                )

    def open(self, path: str) -> IO[bytes]:
        """Open a file to read.

        Raises:
            FileNotFoundError: It is not there.
            StorageError: The storage fails.
            InputError: The environment does not lead to the storage.
        """
        if not _is_url(path):
            return Path(path).open("rb")
        connection, inner = self._connection(path)
        try:
            opened: IO[bytes] = connection.open(inner, "rb", cache_type="readahead", block_size=4 * 1024 * 1024)
        except FileNotFoundError:
            raise
        except Exception as error:
            raise StorageError(f"{path} cannot be opened", error) from error
        return opened

    def is_readable(self, path: str) -> bool:
        """Return whether a file's bytes can be had: then an error that it caused is its own."""
        try:
            with self.open(path) as stream:
                stream.read(1)
        except Exception:  # noqa: BLE001 - any of them means no
            return False
        return True

    def download(self, path: str, folder: Path) -> str:
        """Return a local path of a file, copied to a folder if it is elsewhere.

        Raises:
            FileNotFoundError: It is not there.
            StorageError: The storage fails.
            InputError: The environment does not lead to the storage.
        """
        if not _is_url(path):
            if not Path(path).is_file():
                raise FileNotFoundError(path)
            return path
        connection, inner = self._connection(path)
        # Its own name, in a folder that no other file has: what a key in a storage may be is no path here.
        name = path.rpartition("/")[2]
        if name in {"", ".", ".."}:
            raise FileNotFoundError(path)
        target = folder / hashlib.sha256(path.encode()).hexdigest()[:16] / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection.get_file(inner, str(target))
        except FileNotFoundError:
            raise
        except Exception as error:
            raise StorageError(f"{path} cannot be read", error) from error
        return str(target)

    def _lines(self, given: str) -> Iterator[str]:
        for line in filter(None, map(str.strip, given.splitlines())):
            if not line.startswith("@"):
                yield line
                continue
            try:
                with self.open(line[1:]) as stream:
                    listed = stream.read().decode("utf-8")
            except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError) as error:
                raise InputError(f"the list of inputs {line[1:]} cannot be read: {error}") from None
            except (InputError, StorageError):
                raise
            except Exception as error:
                raise StorageError(f"the list of inputs {line[1:]} cannot be read", error) from error
            yield from filter(None, map(str.strip, listed.splitlines()))

    def _find_one(self, given: str) -> Iterator[tuple[str, str, int]]:
        if _is_url(given):
            yield from self._find_remote(given)
            return
        path = given.removeprefix("file://")
        base = Path(os.path.realpath(_base(path)))
        if not _WILD.search(path):
            files = list(_walked(base)) if os.path.isdir(base) else [str(base)]  # noqa: PTH112 - raises nothing
        else:
            _check_folders(path)
            files = [os.path.realpath(name) for name in glob.iglob(path, recursive=True)]  # noqa: PTH207 - takes absolute patterns too
        for name in files:
            file = Path(name)
            inside = file.relative_to(base).as_posix() if base in file.parents else file.name
            if any(map(_is_hidden, Path(inside).parts)):
                continue
            size = _size_of(file, base)
            if size is not None:
                yield name, inside, size

    def _find_remote(self, given: str) -> Iterator[tuple[str, str, int]]:
        connection, inner = self._connection(given)
        scheme, _, rest = given.partition("://")
        authority = rest.partition("/")[0]
        container = authority.partition("@")[0]
        base = connection._strip_protocol(_base(given)).rstrip("/")  # noqa: SLF001 - the way its own tools do it
        try:
            found = (connection.glob if _WILD.search(inner) else connection.find)(inner, detail=True)
            if not found and connection.exists(inner):
                found = {inner: connection.info(inner)}
        except FileNotFoundError:
            return
        except Exception as error:
            raise StorageError(f"{given} cannot be listed", error) from error
        for name, entry in found.items():
            inside = name[len(base) :].strip("/") if name.startswith(f"{base}/") else name.rpartition("/")[2]
            if entry["type"] == "file" and not any(map(_is_hidden, inside.split("/"))):
                # What is found has no account in its name; which it is of must not be forgotten.
                whole = name if container == authority else authority + name.removeprefix(container)
                yield f"{scheme}://{whole}", inside, int(entry["size"])

    def _connection(self, url: str) -> tuple[Any, str]:
        scheme = url.partition("://")[0]
        # An account may stand in the URL: abfss://container@account.dfs.core.windows.net/path.
        container, _, account = url.partition("://")[2].partition("/")[0].rpartition("@")
        key = f"{scheme}://{account if container else ''}"
        try:
            if key not in self._connections:
                self._connections[key], _ = connect(url)
        except ImportError as error:
            raise InputError(f"{scheme}:// needs {error.name}, which this image has not: {_EXTRA}") from None
        except ValueError as error:
            raise InputError(f"{url} cannot be used: {error}") from None
        connection = self._connections[key]
        return connection, connection._strip_protocol(url)  # noqa: SLF001 - as above


_EXTRA = "the extra `batch` brings it, or the model's requirements"


def _is_url(path: str) -> bool:
    return "://" in path and not path.startswith("file://")


def _is_hidden(name: str) -> bool:
    # Another program's: unfinished files, marks of a job.
    return name.startswith((".", "_"))


def _walked(base: Path) -> Iterator[str]:
    """All files below a folder that are not hidden."""
    for folder, folders, names in os.walk(base, onerror=_refuse):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        yield from (str(Path(folder, name)) for name in names)


def _check_folders(pattern: str) -> None:
    """Refuse a pattern for which a folder has to be listed that cannot be: glob passes over those."""
    parts = pattern.split("/")
    for at, part in enumerate(parts):
        if not _WILD.search(part):
            continue
        for folder in glob.iglob("/".join(parts[:at]) or ("/" if at else "."), recursive=True):  # noqa: PTH207 - as above
            if not os.path.isdir(folder):  # noqa: PTH112 - raises nothing
                continue
            if part == "**":
                # It needs all folders below.
                deque(_walked(Path(folder)), maxlen=0)
            else:
                next(os.walk(folder, onerror=_refuse), None)


def _refuse(error: OSError) -> None:
    # One that has gone meanwhile has no files.
    if not isinstance(error, FileNotFoundError):
        raise InputError(f"the input's folder {error.filename} cannot be listed: {error.strerror}")


def _size_of(file: Path, base: Path) -> int | None:
    """The size of a file; None where it is none, or a link that leads nowhere, or to where nothing may be read."""
    try:
        found = file.stat()
    except PermissionError as error:
        if file == base or (base in file.parents and not os.path.islink(file)):  # noqa: PTH114 - raises nothing
            raise InputError(f"the input {file} cannot be looked at: {error.strerror}") from None
        return None
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            return None
        raise StorageError(f"{file} cannot be looked at", error) from error
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _base(given: str) -> str:
    """The folder above the first part with a wildcard; the path itself where there is none."""
    match = _WILD.search(given)
    return given if match is None else given[: match.start()].rpartition("/")[0] or "."
