"""Sources: where a model's bytes come from. Each lists its files and reads them from any place on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from registry.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator


class CutError(Exception):
    """The connection broke; what came so far is good, and reading can go on from there."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at a source.

    Attributes:
        name: Its path in the model, with / between folders.
        address: What the source itself calls it.
        size: In bytes, if that is known beforehand.
    """

    name: str
    address: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A file's content from some place on.

    Attributes:
        offset: Where it really begins: 0 where the source cannot begin in the middle.
        size: Of the whole file, if that is known.
        chunks: The content, piece by piece; raises CutError when the connection breaks.
    """

    offset: int
    size: int | None
    chunks: Iterator[bytes]


class Source(Protocol):
    """A place with a model.

    Attributes:
        single: The model is one file, not a folder.
    """

    single: bool

    def files(self) -> list[RemoteFile]:
        """Return the model's files.

        Raises:
            RegistryError: There is nothing, or it cannot be seen.
            CutError: Trying again may help.
        """
        ...

    def read(self, file: RemoteFile, offset: int) -> Reading:
        """Begin to read a file.

        Raises:
            RegistryError: It cannot be read.
            CutError: Trying again may help.
        """
        ...


def file_name(url: str) -> str:
    """Return the last part of a URL's path."""
    return url.rstrip("/").rpartition("/")[2]


def is_folder(url: str) -> bool:
    """Tell whether a URL stands for a folder of files."""
    return url.endswith("/") or url.startswith(("mlflow:", "azureml:"))


def checked_names(url: str, files: list[RemoteFile]) -> list[RemoteFile]:
    """Return the files of a folder, which must be fit for an image, by name.

    Raises:
        RegistryError: There are none, or one has an impossible name.
    """
    if not files:
        raise RegistryError(f"there are no files at {url}")
    for file in files:
        if not file.name.isprintable() or file.name.startswith("/") or ".." in file.name.split("/"):
            raise RegistryError(f"{url} has a file named {file.name!r}, which cannot be put into an image")
        if file.name == ".dockerignore":
            raise RegistryError(f"{url} has a .dockerignore, which would keep files out of the image; remove it")
    return sorted(files, key=lambda one: one.name)
