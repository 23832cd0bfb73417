"""The files of a model with their checksums, and the one digest that stands for all of them.

A single file's digest is its SHA-256. A folder's is the SHA-256 of what `sha256sum` prints for its files, by name.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from manifest import content
from manifest.hash_cache import HashCache
from manifest.problems import ManifestError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from manifest.model import Model

# Of a digest, in a version that is made from it: far fewer models will ever meet than would collide.
_VERSION_DIGITS = 12


@dataclass(frozen=True, slots=True)
class File:
    """One file of a model.

    Attributes:
        name: Its path in the model, with / between folders.
        size: In bytes.
        sha256: Of its content, in hexadecimal; empty for a link to a folder.
        link: Where it leads, for a link to a folder of the model.
    """

    name: str
    size: int
    sha256: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """All files of a model.

    Attributes:
        files: By name.
        single: The model is one file, not a folder.
    """

    files: tuple[File, ...]
    single: bool

    @property
    def tree(self) -> str:
        """A hash of names and contents, in hexadecimal."""
        lines = (f"{f'link:{one.link}' if one.link else one.sha256}  {one.name}\n" for one in self.files)
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    @property
    def digest(self) -> str:
        """The model's digest, as `sha256:...`."""
        return f"sha256:{self.files[0].sha256 if self.single else self.tree}"

    @property
    def size(self) -> int:
        """All files together, in bytes."""
        return sum(one.size for one in self.files)


def list_files(folder: Path, names: Iterable[str], *, single: bool) -> Listing:
    """Hash files; hashes of large ones are kept, as `content.digest_tree` keeps them.

    Args:
        folder: What names are relative to.
        names: The files, with / between folders, in any order.
        single: The model is one file, not a folder.

    Raises:
        ManifestError: A file cannot be read.
    """
    cache = HashCache.beside(folder)
    files = []
    for name in sorted(set(names)):
        path = folder / name
        try:
            if path.is_symlink() and path.is_dir():
                files.append(File(name, 0, "", path.readlink().as_posix()))
            else:
                files.append(File(name, path.stat().st_size, cache.digest(path).hex()))
        except OSError as error:
            raise ManifestError(
                [Problem(path.as_posix(), None, None, "", f"cannot be read: {error.strerror}")]
            ) from None
    cache.save()
    return Listing(tuple(files), single)


def model_digest(model: Model, root: Path) -> str:
    """Return a model's digest, as `sha256:...`; of one that comes from elsewhere without fetching it.

    Raises:
        ManifestError: A file cannot be read.
    """
    if model.source:
        return f"sha256:{model.source.sha256}"
    names = content.model_files(model, root)
    return list_files(root / model.folder, names, single=model.model_path != ".").digest


def content_version(model: Model, root: Path) -> str:
    """Return the version that `version: auto` stands for: the beginning of the model's digest.

    Raises:
        ManifestError: A file cannot be read.
    """
    return model_digest(model, root).removeprefix("sha256:")[:_VERSION_DIGITS]
