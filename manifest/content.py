"""Which files make up a model, its code and the runtime, and what their content is, as a hash.

The hash is of names and bytes alone: the same on every checkout, umask, path and clock.
"""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from manifest.hash_cache import HashCache
from manifest.problems import ManifestError, Problem, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from manifest.model import Model

# Never part of anything, at any depth.
_IGNORED = ("__pycache__", "*.pyc", ".git", ".ipynb_checkpoints", ".DS_Store")
IGNORED_PATTERNS = tuple(f"**/{name}" for name in _IGNORED)
# What of the runtime's folder serves to build environments and stays out of the image; in that folder only.
RUNTIME_EXCLUDED_PATTERNS = ("*.Dockerfile", "requirements.*")
_MOST_COMPLAINTS = 10


def model_files(model: Model, root: Path) -> tuple[str, ...]:
    """Return the model's own files: all at `path` but the scoring files.

    Args:
        model: The model.
        root: The project's folder.

    Returns:
        Names relative to the model's folder, sorted.

    Raises:
        ManifestError: There are files that cannot be put into an image.
    """
    if model.model_path != ".":
        return (model.model_path,)
    return _files_or_error(root, model.folder, ".", scoring_files(model))


def code_files(model: Model, root: Path) -> tuple[str, ...]:
    """Return the script or the code folder's files, the sample and the schema; otherwise as `model_files`."""
    named = [file for file in (model.scoring.sample, model.scoring.schema_file) if file]
    if model.scoring.code:
        named += _files_or_error(root, model.folder, model.scoring.code, ())
    else:
        named.append(model.script_path)
    return tuple(sorted(set(named)))


def runtime_files(folder: Path) -> tuple[str, ...]:
    """Return the files of the scoring runtime's folder that go into the image; otherwise as `model_files`."""
    files = _files_or_error(folder, ".", ".", ())
    return tuple(
        name for name in files if "/" in name or not any(fnmatchcase(name, one) for one in RUNTIME_EXCLUDED_PATTERNS)
    )


def excluded_patterns(model: Model) -> tuple[str, ...]:
    """Return what of `model_path` is not the model, as patterns of a Dockerfile's `COPY --exclude`."""
    return (*sorted(scoring_files(model)), *IGNORED_PATTERNS) if model.model_path == "." else ()


def scoring_files(model: Model) -> frozenset[str]:
    """Return the files and the folder that `scoring` names inside the model's folder, relative to it."""
    scoring = model.scoring
    inside = (scoring.sample, scoring.schema_file, scoring.code, None if scoring.code else scoring.script)
    loose = (
        posixpath.relpath(posixpath.join(model.folder, file), model.folder)
        for file in (scoring.requirements, scoring.conda)
        if file
    )
    return frozenset(name for name in (*inside, *loose) if name and not name.startswith("../"))


def digest_tree(root: Path, files: Iterable[str]) -> str:
    """Return a hash of the names and the content of files, in hexadecimal.

    Links to folders count by where they lead; all else by content. Hashes of large files are kept in the
    `.slipway` folder at or above `root`, if there is one.

    Args:
        root: The folder that names are relative to.
        files: Names with / between folders, in any order.

    Raises:
        ManifestError: A file cannot be read.
    """
    cache = HashCache.beside(root)
    digest = hashlib.sha256()
    for name in sorted(set(files)):
        path = root / name
        try:
            content = _link_digest(path) if path.is_symlink() and path.is_dir() else cache.digest(path)
        except OSError as error:
            message = f"cannot be read: {error.strerror}"
            raise ManifestError([Problem(path.as_posix(), None, None, "", message)]) from None
        # The length keeps two lists of names apart that read the same when joined.
        encoded = name.encode("utf-8", "surrogateescape")
        digest.update(b"%d:%s%s" % (len(encoded), encoded, content))
    cache.save()
    return digest.hexdigest()


def _link_digest(path: Path) -> bytes:
    return hashlib.sha256(b"link " + os.fsencode(path.readlink().as_posix())).digest()


def _files_or_error(root: Path, folder: str, top: str, excluded: Iterable[str]) -> tuple[str, ...]:
    files, complaints = scan(root / folder, top, excluded)
    if complaints:
        raise ManifestError(Problem(posixpath.join(folder, top), None, None, "", one) for one in complaints)
    return tuple(files)


def scan(folder: Path, top: str, excluded: Iterable[str]) -> tuple[list[str], list[str]]:
    """List the files of a tree, and what is wrong with them.

    Args:
        folder: What names are relative to.
        top: The tree, relative to `folder`.
        excluded: Files and folders to leave out, relative to `folder`.

    Returns:
        The sorted names, and messages about what could not be put into an image.
    """
    tree = _Tree(folder, top, frozenset(excluded))
    tree.walk()
    tree.check_links()
    complaints = tree.complaints
    if len(complaints) > _MOST_COMPLAINTS:
        more = len(complaints) - _MOST_COMPLAINTS
        complaints = [*complaints[:_MOST_COMPLAINTS], f"and {more} more such problems"]
    return sorted(tree.files), complaints


class _Tree:
    """A walk that follows no link to a folder, so that it ends."""

    def __init__(self, folder: Path, top: str, excluded: frozenset[str]) -> None:
        self.files: list[str] = []
        self.complaints: list[str] = []
        self._folder = folder
        self._top = top
        self._excluded = excluded
        # Link to what it leads to, both relative to the folder.
        self._links: dict[str, str] = {}

    def walk(self) -> None:
        waiting = [self._top]
        while waiting:
            relative = waiting.pop()
            for entry in self._entries(relative):
                name = entry.name if relative == "." else f"{relative}/{entry.name}"
                if name in self._excluded or any(fnmatchcase(entry.name, one) for one in _IGNORED):
                    continue
                if not name.isprintable():
                    self.complaints.append(f"the name {shown(name)} has a character that cannot be printed; rename it")
                elif entry.is_symlink():
                    self._take_link(name)
                elif entry.is_dir():
                    waiting.append(name)
                elif not entry.is_file():
                    self.complaints.append(f"{name} is a pipe, socket or device; only files can be put into an image")
                elif not os.access(entry.path, os.R_OK):
                    self.complaints.append(f"{name} cannot be read: permission denied")
                else:
                    self.files.append(name)

    def _entries(self, relative: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(self._folder / relative) as entries:
                yield from entries
        except OSError as error:
            self.complaints.append(f"{relative} cannot be read: {error.strerror}")

    def _take_link(self, name: str) -> None:
        link = self._folder / name
        said = str(link.readlink())
        # The image keeps links as they are: what leads out of the tree here would lead nowhere there.
        lexical = posixpath.normpath(posixpath.join(posixpath.dirname(name), said))
        try:
            real = link.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            loop = not isinstance(error, OSError) or error.errno == errno.ELOOP
            self.complaints.append(
                f"{name} is a link {'in a circle' if loop else f'to {shown(said)}, which does not exist'}"
            )
            return
        if said.startswith("/") or not _inside(lexical, self._top) or not real.is_relative_to(self._top_path()):
            self.complaints.append(
                f"{name} is a link to {shown(said)}, outside of its folder, where an image cannot follow; copy the file"
            )
        elif real.is_dir() and link.parent.resolve().is_relative_to(real):
            self.complaints.append(f"{name} is a link to a folder that it is in itself: a circle")
        else:
            self.files.append(name)
            self._links[name] = real.relative_to(self._folder.resolve()).as_posix()

    def _top_path(self) -> Path:
        return (self._folder / self._top).resolve()

    def check_links(self) -> None:
        """Refuse links to what stays out of the image."""
        files = set(self.files)
        for name, target in self._links.items():
            if target not in files and not any(file.startswith(f"{target}/") for file in files):
                self.complaints.append(f"{name} is a link to {target}, which is not one of these files; copy the file")


def _inside(name: str, top: str) -> bool:
    return not name.startswith("../") and name != ".." and (top in {".", name} or name.startswith(f"{top}/"))
