"""A share's folders and files: kept as they were named, found whatever the case of their letters."""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import dataclass, field

from standins.azure_metadata.server import RefusalError

_LONGEST_NAME, _LONGEST_PATH = 255, 2048
_WRONG = re.compile(r'["\\:|<>*?\x00-\x1f]')
_RESERVED = re.compile(r"(?:lpt[1-9]|com[1-9]|prn|aux|nul|con|clock\$|\.{1,2})", re.IGNORECASE)
_numbers = itertools.count(0x8D000000000)


@dataclass
class Node:
    """A file, or a folder.

    Attributes:
        name: As it was given.
        content: Of a file; None for a folder.
        etag: Another one after each change.
        modified: When it was changed last, in seconds since 1970.
    """

    name: str
    content: bytearray | None
    etag: str = ""
    modified: float = 0.0

    def __post_init__(self) -> None:
        """Begin with an ETag."""
        self.changed()

    def changed(self) -> None:
        """Note a change."""
        self.etag = f'"0x{next(_numbers):X}"'
        self.modified = time.time()


@dataclass
class Share:
    """A share.

    Attributes:
        name: Its name.
        nodes: What is in it, by its path in small letters; the share's own folder is at "".
    """

    name: str
    nodes: dict[str, Node] = field(default_factory=lambda: {"": Node("", None)})

    def node(self, path: str) -> Node | None:
        """Return what is at a path."""
        return self.nodes.get(path.lower())

    def file(self, path: str) -> tuple[Node, bytearray]:
        """Return a file and its content.

        Raises:
            RefusalError: There is none.
        """
        found = self._there(path)
        if found.content is None:
            raise _mismatch()
        return found, found.content

    def folder(self, path: str) -> Node:
        """Return a folder.

        Raises:
            RefusalError: There is none.
        """
        found = self._there(path)
        if found.content is not None:
            raise _mismatch()
        return found

    def put(self, path: str, node: Node) -> None:
        """Put something at a path, in place of what is there.

        Raises:
            RefusalError: The folder above is missing.
        """
        above = self.node(_above(path))
        if above is None or above.content is not None:
            raise RefusalError(404, "ParentNotFound", "The specified parent path does not exist.")
        self.nodes[path.lower()] = node

    def remove(self, path: str) -> Node:
        """Take a file away.

        Raises:
            RefusalError: There is none.
        """
        self.file(path)
        return self.nodes.pop(path.lower())

    def children(self, path: str) -> list[Node]:
        """Return what is in a folder, by name."""
        inside = [(place, node) for place, node in self.nodes.items() if place and _above(place) == path.lower()]
        return [node for _, node in sorted(inside, key=lambda pair: pair[0])]

    def _there(self, path: str) -> Node:
        found = self.node(path)
        if found is None:
            raise RefusalError(404, "ResourceNotFound", "The specified resource does not exist.")
        return found


def checked(path: str, *, keeps_dots: bool) -> str:
    """Return a path as the service takes it.

    Args:
        path: Below the share, decoded.
        keeps_dots: Whether dots at the ends of names count.

    Raises:
        RefusalError: It is none.
    """
    names = [name for name in path.split("/") if name]
    if not keeps_dots:
        names = [name.rstrip(".") or name for name in names]
    for name in names:
        if _WRONG.search(name) or _RESERVED.fullmatch(name):
            raise RefusalError(400, "InvalidResourceName", "The specified resource name contains invalid characters.")
    if len(path) > _LONGEST_PATH or any(len(name) > _LONGEST_NAME for name in names):
        raise RefusalError(400, "InvalidFileOrDirectoryPathName", "The path of file or directory is too long.")
    return "/".join(names)


def taken() -> RefusalError:
    """Return the refusal of a name that something else has."""
    return RefusalError(409, "ResourceAlreadyExists", "The specified resource already exists.")


def _mismatch() -> RefusalError:
    text = "The specified resource type does not match the type of the existing resource."
    return RefusalError(409, "ResourceTypeMismatch", text)


def _above(path: str) -> str:
    return path.rpartition("/")[0]
