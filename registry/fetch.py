"""A model's bytes on this machine: fetched once, continued after a break, verified, and kept by their content.

What is fetched lies in `.slipway/models/TREE/`, where TREE is a hash of names and contents that is known without the
bytes; an image is built from there. A folder of that name is complete: it is fetched beside it and renamed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from manifest.listing import File, Listing, list_files
from registry.errors import RegistryError
from registry.opening import open_source
from registry.source import CutError, Reading, RemoteFile, file_name, is_folder
from registry.store import CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from registry.record import ModelVersion
    from registry.source import Source
    from registry.versions import Registry

    # Told a file's name, how many bytes of it are there, and how many there will be if that is known.
    Progress = Callable[[str, int, int | None], None]

_T = TypeVar("_T")
_MODELS = ".slipway/models"
# In a row, without a byte in between.
_ATTEMPTS = 6
_FIRST_PAUSE = 0.5


def context_folder(url: str, sha256: str) -> str:
    """Return where a model is kept once it is fetched, relative to the project's folder.

    Args:
        url: Where it comes from.
        sha256: Its checksum.
    """
    tree = sha256 if is_folder(url) else Listing((File(file_name(url), 0, sha256),), single=True).tree
    return f"{_MODELS}/{tree}"


def bytes_of(
    url: str,
    sha256: str,
    root: Path,
    *,
    registered: tuple[Registry, ModelVersion] | None = None,
    progress: Progress | None = None,
) -> Listing:
    """Have a model's bytes in its folder, from a registry that has them, else from its source.

    Args:
        url: Where it comes from.
        sha256: Its checksum.
        root: The project's folder.
        registered: A registry, and the version of these bytes in it.
        progress: Told how far it is.

    Returns:
        The files in `context_folder`.

    Raises:
        RegistryError: They cannot be had, or are others than the checksum says.
    """
    folder = root / context_folder(url, sha256)
    if there := _complete(folder, sha256, single=not is_folder(url)):
        return there
    with _alone(folder, progress):
        # Whoever held the lock may have fetched it.
        if there := _complete(folder, sha256, single=not is_folder(url)):
            return there
        shutil.rmtree(folder, ignore_errors=True)
        partial = folder.with_name(f"{folder.name}.partial")
        if registered:
            with suppress(RegistryError):
                listing = _fetched(_Registered(*registered), partial, progress, url)
                if listing.digest == f"sha256:{sha256}":
                    partial.rename(folder)
                    return listing
            shutil.rmtree(partial, ignore_errors=True)
        continued = partial.exists()
        listing = _fetched(_patiently(lambda: open_source(url), url), partial, progress, url)
        if listing.digest != f"sha256:{sha256}" and continued:
            # What was there may have been of another file.
            shutil.rmtree(partial)
            listing = _fetched(_patiently(lambda: open_source(url), url), partial, progress, url)
        if listing.digest != f"sha256:{sha256}":
            shutil.rmtree(partial)
            raise RegistryError(
                f"{url} has other bytes than the manifest says: it has {listing.digest.removeprefix('sha256:')}, and "
                f"`sha256` is {sha256}. If it was changed on purpose, write the new checksum and a new version."
            )
        partial.rename(folder)
        return listing


def digest_of(url: str, root: Path, progress: Progress | None = None) -> Listing:
    """Fetch a model whose checksum is not known yet, and keep it where the next deployment looks for it.

    Args:
        url: Where it comes from.
        root: The project's folder.
        progress: Told how far it is.

    Raises:
        RegistryError: It cannot be had.
    """
    name = hashlib.sha256(url.encode()).hexdigest()
    with _alone(root / _MODELS / name, progress):
        partial = root / _MODELS / f"{name}.unknown"
        # Nothing could tell whether an older part is of the same file.
        shutil.rmtree(partial, ignore_errors=True)
        try:
            listing = _fetched(_patiently(lambda: open_source(url), url), partial, progress, url)
            folder = root / context_folder(url, listing.digest.removeprefix("sha256:"))
            if not folder.exists():
                partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return listing


def _complete(folder: Path, sha256: str, *, single: bool) -> Listing | None:
    """The files of a folder, if they are what they should be; large ones are only hashed again when they changed."""
    if not folder.is_dir():
        return None
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    if single and len(names) != 1:
        return None
    listing = list_files(folder, names, single=single)
    return listing if listing.digest == f"sha256:{sha256}" else None


@contextmanager
def _alone(folder: Path, progress: Progress | None) -> Iterator[None]:
    """Let only one process fetch the same; the system releases the lock when the process ends, however that happens."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with folder.with_name(f"{folder.name}.lock").open("a") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if progress:
                        progress("waiting for another process that fetches it", 0, None)
                    time.sleep(0.2)
            yield
    except OSError as error:
        raise RegistryError(f"{folder.parent} cannot keep the model: {error.strerror or error}") from None


def _fetched(source: Source, folder: Path, progress: Progress | None, url: str) -> Listing:
    """Fetch what is missing in a folder."""
    files = _patiently(source.files, url)
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.relative_to(folder).as_posix() not in {one.name for one in files}:
            path.unlink()
    done = []
    for file in files:
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        done.append(_fetch_file(source, file, path, progress, url))
    for file in files:
        # The registry may link them.
        (folder / file.name).chmod(0o444)
    return Listing(tuple(sorted(done, key=lambda one: one.name)), source.single)


def _fetch_file(source: Source, file: RemoteFile, path: Path, progress: Progress | None, url: str) -> File:
    digest = hashlib.sha256()
    if path.exists():
        # A run that was killed between the last two steps has left it read-only.
        path.chmod(0o644)
    with path.open("a+b") as output:
        output.seek(0)
        while chunk := output.read(CHUNK):
            digest.update(chunk)
        failures = 0
        while True:
            offset = output.tell()
            try:
                reading = source.read(file, offset)
                if reading.offset != offset:
                    output.truncate(0)
                    output.seek(0)
                    digest = hashlib.sha256()
                for chunk in reading.chunks:
                    output.write(chunk)
                    digest.update(chunk)
                    failures = 0
                    if progress:
                        progress(file.name, output.tell(), reading.size)
                break
            except CutError as error:
                failures += 1
                # What is on its way to the file counts as there.
                output.flush()
                _pause(failures, url, error)
        size = output.tell()
        output.flush()
        os.fsync(output.fileno())
    return File(file.name, size, digest.hexdigest())


def _patiently(ask: Callable[[], _T], url: str) -> _T:
    failures = 0
    while True:
        try:
            return ask()
        except CutError as error:
            failures += 1
            _pause(failures, url, error)


def _pause(failures: int, url: str, error: CutError) -> None:
    if failures >= _ATTEMPTS:
        raise RegistryError(
            f"{url} cannot be fetched: {error} ({failures} attempts). What came so far is kept; run it again to go on."
        ) from None
    time.sleep(_FIRST_PAUSE * 2 ** (failures - 1))


class _Registered:
    """A registered version as a source: its bytes come from the registry."""

    def __init__(self, registry: Registry, version: ModelVersion) -> None:
        self._registry = registry
        self._version = version
        self._files = {one.name: one for one in version.files}
        self.single = version.single

    def files(self) -> list[RemoteFile]:
        return [RemoteFile(one.name, one.sha256, one.size) for one in self._version.files]

    def read(self, file: RemoteFile, offset: int) -> Reading:
        del offset
        return Reading(0, file.size, self._registry.fetch(self._version, self._files[file.name]))
