"""A YAML document whose values know where they stand in its file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from manifest.problems import Problem, key_path

if TYPE_CHECKING:
    from manifest.problems import Loc


@dataclass(slots=True, eq=False)
class Node:
    """A value and its place.

    Attributes:
        line: From 1.
        column: From 1.
        value: A scalar, a list of nodes, or a dictionary from key to (the key's node, the value's node).
        text: An unquoted scalar as it was written.
        size: How many nodes it is made of, aliases written out.
        depth: How many levels it has below itself.
    """

    line: int
    column: int
    value: Any
    text: str | None = None
    size: int = 1
    depth: int = 0

    def plain(self) -> Any:
        """Return the value without places."""
        if isinstance(self.value, dict):
            return {name: node.plain() for name, (_, node) in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


@dataclass(slots=True)
class Document:
    """A YAML document with the findings that did not stop the reading."""

    file: str
    root: Node
    problems: list[Problem] = field(default_factory=list)

    def find(self, loc: Loc, *, key: bool = False) -> Node:
        """Return the node at a location, or the nearest one around it.

        Args:
            loc: Keys and indexes from the document's root.
            key: Return the last key's node instead of its value's.
        """
        node = self.root
        name: Node
        for rank, part in enumerate(loc):
            if isinstance(node.value, dict) and part in node.value:
                name, node = node.value[part]
                if key and rank == len(loc) - 1:
                    return name
            elif isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
            else:
                break
        return node

    def problem(self, loc: Loc, message: str, *, key: bool = False) -> Problem:
        """Return a finding about the value (or the key) at a location."""
        node = self.find(loc, key=key)
        return Problem(self.file, node.line, node.column, key_path(loc), message)
