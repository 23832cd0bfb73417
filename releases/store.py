"""Where releases are recorded: a folder of the checkout, or an fsspec URL for teams. One file for each, never changed.

STACK/20251124T222301Z-1a2b3c4d.json    a release
STACK/promoted.json                     the release that a stack with `promoteFrom` deploys: replaced by each promotion
images/…                                what is on record of images: releases/image_store.py
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from releases.errors import ReleaseError
from releases.release import ID_PATTERN, Release
from storage import FolderStore, ObjectStore, told
from storage.records import first_fault

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from storage import Store

_FOLDER = ".slipway/releases"
_PROMOTED = "promoted.json"
_FILE = re.compile(rf"({ID_PATTERN})\.json")


def release_location(configured: str | None, root: Path) -> str:
    """Return where a stack's releases are: what is configured, else a folder of the checkout.

    Args:
        configured: The stack's `slipway:releases`, a URL or a path relative to the project's folder.
        root: The project's folder.
    """
    if configured and "://" in configured:
        return configured
    return str(root / (configured or _FOLDER))


class ReleaseStore:
    """The releases of all stacks that are recorded in one place."""

    def __init__(self, location: str) -> None:
        """Open it; it is made by the first release.

        Args:
            location: A folder, or an fsspec URL such as `az://container/releases` or `s3://bucket/releases`.

        Raises:
            ReleaseError: The URL's scheme needs a package that is not installed.
        """
        self.location = location
        with self._told("opened"):
            self._files: Store = ObjectStore(location) if "://" in location else FolderStore(Path(location))

    def ids(self, stack: str) -> list[str]:
        """Return the ids of a stack's releases, the latest first.

        Raises:
            ReleaseError: They cannot be read.
        """
        with self._told("listed"):
            found = (_FILE.fullmatch(name) for name in self._files.names(_plain(stack)))
            return sorted((match[1] for match in found if match), reverse=True)

    def releases(self, stack: str, limit: int | None = None) -> list[Release]:
        """Return a stack's releases, the latest first.

        Args:
            stack: The stack.
            limit: How many at most.

        Raises:
            ReleaseError: They cannot be read.
        """
        return [self.read(stack, id_) for id_ in self.ids(stack)[:limit]]

    def latest(self, stack: str) -> Release | None:
        """Return a stack's latest release, if it has any.

        Raises:
            ReleaseError: It cannot be read.
        """
        return next(iter(self.releases(stack, 1)), None)

    def get(self, stack: str, id_: str) -> Release:
        """Return one release of a stack; a beginning of its id is enough where only one begins like that.

        Raises:
            ReleaseError: There is none, or several, or it cannot be read.
        """
        known = self.ids(stack)
        found = [one for one in known if one == id_] or [one for one in known if one.startswith(id_)]
        if len(found) != 1:
            what = "has several releases that begin with" if found else "has no release"
            raise ReleaseError(f'{stack} {what} "{id_}"; `slipway releases --stack {stack}` lists them.')
        return self.read(stack, found[0])

    def read(self, stack: str, id_: str) -> Release:
        """Return a release by its whole id.

        Raises:
            ReleaseError: There is none, or it cannot be read.
        """
        with self._told("read"):
            content = self._files.read(key := f"{_plain(stack)}/{id_}.json")
        if content is None:
            raise ReleaseError(f"{self.location}/{key} is gone.")
        release = self._parse(content, key)
        if release.id != id_:
            raise ReleaseError(
                f"{self.location}/{key} is not a release as Slipway records them: its id is {release.id}, unlike its "
                "file's name."
            )
        return release

    def add(self, release: Release) -> None:
        """Record a release.

        Raises:
            ReleaseError: It cannot be written, or is recorded already.
        """
        with self._told("recorded"):
            if not self._files.create(f"{_plain(release.stack)}/{release.id}.json", _content(release)):
                raise ReleaseError(f"{self.location} has this release already, and releases are never changed.")

    def promoted(self, stack: str) -> Release | None:
        """Return the release of another stack that this one is to deploy, if any was promoted to it.

        Raises:
            ReleaseError: It cannot be read.
        """
        with self._told("read"):
            content = self._files.read(key := f"{_plain(stack)}/{_PROMOTED}")
        return self._parse(content, key) if content is not None else None

    def promote(self, stack: str, release: Release) -> None:
        """Decide what a stack is to deploy, from its next deployment on.

        Raises:
            ReleaseError: It cannot be written.
        """
        with self._told("promoted"):
            self._files.replace(f"{_plain(stack)}/{_PROMOTED}", _content(release))

    def _parse(self, content: bytes, key: str) -> Release:
        try:
            return Release.model_validate_json(content)
        except ValidationError as error:
            raise ReleaseError(
                f"{self.location}/{key} is not a release as Slipway records them: {first_fault(error)}"
            ) from None

    def _told(self, what: str) -> AbstractContextManager[None]:
        return told(f"Releases at {self.location} cannot be {what}", self.location, ReleaseError)


def _plain(stack: str) -> str:
    """The stack's own name, where Pulumi Cloud writes organisation/stack."""
    return stack.rpartition("/")[2]


def _content(release: Release) -> bytes:
    return release.model_dump_json(by_alias=True, indent=2, exclude_none=True).encode() + b"\n"
