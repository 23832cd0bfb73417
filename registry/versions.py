"""The registry: which versions of which models there are, bound for ever to their bytes.

versions/NAME/VERSION.json      a version: written once
notes/NAME/VERSION.json         what is said about it, where that has changed since
blobs/sha256/AB/ABCDEF...       files, by their content
files/DIGEST/NAME/...           the same under their own names, where a Machine Learning workspace reads them too
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from pydantic import ValidationError

from registry.errors import RegistryError, VersionTakenError
from registry.record import ModelVersion, Notes, next_free
from registry.store import open_store
from storage import told
from storage.records import first_fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from manifest.listing import File
    from registry.store import ModelStore

DEFAULT_LOCATION = ".slipway/registry"
_AT_ONCE = 16
_SUFFIX = ".json"
# Before a location: files are under their own names.
BY_NAME = "azureml+"


class Registry(Protocol):
    """What a backend offers; another one may keep versions in a service's own catalogue."""

    def models(self) -> list[str]:
        """Return the names of all models."""
        ...

    def versions(self, name: str) -> list[ModelVersion]:
        """Return a model's versions, the latest registered first."""
        ...

    def get(self, name: str, version: str) -> ModelVersion | None:
        """Return a version, if it is registered."""
        ...

    def register(self, wanted: ModelVersion, folder: Path, *, shared: bool = False) -> ModelVersion:
        """Register a version, whose files lie in `folder`; see `FileRegistry.register`."""
        ...

    def annotate(self, name: str, version: str, notes: Notes) -> None:
        """Replace what is said about a version."""
        ...

    def fetch(self, version: ModelVersion, file: File) -> Iterator[bytes]:
        """Return the content of one of a version's files, piece by piece."""
        ...


def open_registry(location: str | None, root: Path) -> Registry:
    """Return the registry of a stack.

    Args:
        location: The stack's `slipway:modelRegistry`, or what it stands for; None for the folder of the checkout.
        root: The project's folder.

    Raises:
        RegistryError: It cannot be opened.
    """
    where = location or DEFAULT_LOCATION
    with _told(where):
        by_name = where.startswith(BY_NAME)
        return FileRegistry(open_store(where.removeprefix(BY_NAME), root), where, by_name=by_name)


class FileRegistry:
    """A registry in a folder or in a cloud store. Any number of processes and machines may share it."""

    def __init__(self, store: ModelStore, location: str, *, by_name: bool = False) -> None:
        """Use a store.

        Args:
            store: Where the files are.
            location: What to call it in messages.
            by_name: Files are kept for each model under their own names; else once, by their content.
        """
        self._store = store
        self._by_name = by_name
        self.location = location

    def models(self) -> list[str]:
        """Return the names of all models.

        Raises:
            RegistryError: The registry cannot be read.
        """
        with _told(self.location):
            return self._store.names("versions")

    def versions(self, name: str) -> list[ModelVersion]:
        """Return a model's versions, the latest registered first.

        Raises:
            RegistryError: The registry cannot be read, or holds what is no record.
        """
        with _told(self.location):
            known = [one.removesuffix(_SUFFIX) for one in self._names(name)]
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                found = [one for one in pool.map(lambda version: self.get(name, version), known) if one]
        return sorted(found, key=lambda one: (one.lineage.when, one.version), reverse=True)

    def get(self, name: str, version: str) -> ModelVersion | None:
        """Return a version, if it is registered.

        Raises:
            RegistryError: The registry cannot be read, or holds what is no record.
        """
        key = f"{name}/{version}{_SUFFIX}"
        with _told(self.location):
            text = self._store.read(f"versions/{key}")
            notes = self._store.read(f"notes/{key}") if text is not None else None
        if text is None:
            return None
        try:
            found = ModelVersion.model_validate_json(text)
            return found if notes is None else found.model_copy(update={"notes": Notes.model_validate_json(notes)})
        except ValidationError as error:
            raise RegistryError(
                f"{self.location}/versions/{key} is no record of a model: {first_fault(error)}. "
                "Put back what was there, or use another registry."
            ) from None

    def register(self, wanted: ModelVersion, folder: Path, *, shared: bool = False) -> ModelVersion:
        """Register a version. Registering the same bytes again changes nothing.

        Args:
            wanted: The version.
            folder: Where its files are.
            shared: The files are never written again: they may be linked instead of copied.

        Returns:
            The version as it is registered: of two who register the same, the first one's.

        Raises:
            VersionTakenError: The version is registered with other bytes.
            RegistryError: A file changed meanwhile, or the registry cannot be written.
        """
        with _told(self.location):
            if there := self.get(wanted.name, wanted.version):
                return self._same(there, wanted)
            for file in wanted.files:
                key = self._key(wanted, file)
                if not file.link and not self._store.has(key, file.size):
                    self._store.put(key, folder / file.name, file.sha256, shared=shared)
            text = wanted.model_dump_json(by_alias=True, indent=1).encode()
            # Last, and in one step: a version is there with all its files or not at all.
            if self._store.create(f"versions/{wanted.name}/{wanted.version}{_SUFFIX}", text + b"\n"):
                return wanted
            there = self.get(wanted.name, wanted.version)
        if there is None:
            raise RegistryError(f"{wanted.name} {wanted.version} cannot be registered in {self.location}; run it again")
        return self._same(there, wanted)

    def annotate(self, name: str, version: str, notes: Notes) -> None:
        """Replace what is said about a version.

        Raises:
            RegistryError: The registry cannot be written.
        """
        text = notes.model_dump_json(by_alias=True, indent=1).encode() + b"\n"
        with _told(self.location):
            self._store.replace(f"notes/{name}/{version}{_SUFFIX}", text)

    def fetch(self, version: ModelVersion, file: File) -> Iterator[bytes]:
        """Return the content of one of a version's files, piece by piece.

        Raises:
            RegistryError: The registry cannot be read.
        """
        with _told(self.location):
            yield from self._store.chunks(self._key(version, file), file.size)

    def _key(self, version: ModelVersion, file: File) -> str:
        if self._by_name:
            # The whole model's content is in it: another version's files are elsewhere.
            return f"{files_folder(version.name, version.digest)}/{file.name}"
        return f"blobs/sha256/{file.sha256[:2]}/{file.sha256}"

    def _names(self, name: str) -> list[str]:
        return [one for one in self._store.names(f"versions/{name}") if one.endswith(_SUFFIX)]

    def _same(self, there: ModelVersion, wanted: ModelVersion) -> ModelVersion:
        # Where file names know no case, another version's record may have been read.
        if there.digest == wanted.digest and there.version == wanted.version:
            return there
        taken = [one.removesuffix(_SUFFIX) for one in self._names(wanted.name)]
        raise VersionTakenError(
            wanted.name,
            wanted.version,
            registered=there.digest,
            given=wanted.digest,
            free=next_free(wanted.version, taken),
        )


def files_folder(name: str, digest: str) -> str:
    """Return where the files of a model are, in a registry that keeps them under their own names.

    Args:
        name: The model.
        digest: Of its bytes.
    """
    return f"files/{digest.removeprefix('sha256:')}/{name}"


def _told(location: str) -> AbstractContextManager[None]:
    return told(f"the model registry {location} cannot be used", location, RegistryError)
