"""YAML text -> values that know where they stand in the file.

The values are made from the parser's events, not by PyYAML's constructors: so duplicate keys are seen, aliases and
nesting are bounded, and plain scalars mean what YAML 1.2 says, as in editors (`no` is text, `010` is text).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from manifest.document import Document, Node
from manifest.problems import ManifestError, Problem, key_path, shown

if TYPE_CHECKING:
    from manifest.problems import Loc

_DEEPEST = 32
# What aliases may add, in nodes: far more than a manifest of a thousand models, far less than a "billion laughs".
_MOST_ALIASED = 100_000

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?")
_NO_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse(text: str, file: str) -> Document:
    """Parse one YAML document.

    Args:
        text: The document.
        file: What to call it in messages.

    Returns:
        The document; its `problems` are those after which reading could go on.

    Raises:
        ManifestError: It is not YAML, empty, or nested or aliased beyond all bounds.
    """
    composer = _Composer(file)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
        raise ManifestError([*composer.problems, Problem(file, line, column, "", _explain(error, text))]) from None
    except (yaml.YAMLError, OverflowError) as error:
        raise ManifestError([Problem(file, None, None, "", f"not valid YAML: {error}")]) from None
    if composer.root is None or (composer.root.text == "" and not composer.problems):
        raise ManifestError([Problem(file, None, None, "", "is empty")])
    return Document(file, composer.root, composer.problems)


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being read."""

    node: Node
    anchor: str | None
    # The key that waits for its value, and whether that value is to be kept.
    key: Node | None = None
    keep: bool = True


class _Composer:
    """Builds nodes from the parser's events, without recursion."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._open: list[_Open] = []
        # None: the anchored value is still being read.
        self._anchors: dict[str, Node | None] = {}
        self._aliased = 0
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._add(self._scalar(event), event.anchor)
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(self._open) >= _DEEPEST:
                self._stop(event, f"nested more than {_DEEPEST} levels deep")
            self._refuse_tag(event)
            value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
            if event.anchor:
                self._anchors[event.anchor] = None
            self._open.append(_Open(_node(event, value), event.anchor))
        elif isinstance(event, yaml.CollectionEndEvent):
            done = self._open.pop()
            self._add(done.node, done.anchor)
        elif isinstance(event, yaml.AliasEvent):
            self._add(self._alias(event), None)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._stop(event, "a second YAML document begins here (---); one file holds one document")

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = node
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent.node.value, list):
            parent.node.value.append(node)
        elif parent.key is None:
            parent.key, parent.keep = node, self._usable(parent, node)
            return
        else:
            if parent.keep:
                parent.node.value[parent.key.value] = (parent.key, node)
            parent.key = None
        parent.node.size += node.size
        parent.node.depth = max(parent.node.depth, node.depth + 1)

    def _usable(self, parent: _Open, key: Node) -> bool:
        """Tell whether a key can be kept; say why not."""
        if key.text == "<<":
            self._report(
                key,
                "merge keys (<<) are not supported; repeat the keys, or give a whole value an anchor (&name, *name)",
            )
        elif not isinstance(key.value, str):
            said = shown(key.value) if key.text is None else key.text or "null"
            self._report(key, f"a key must be text, not {said}; put it in quotes")
        elif key.value in parent.node.value:
            first, _ = parent.node.value[key.value]
            self._report(key, f"duplicate key {shown(key.value)}; the first one is in line {first.line}")
        else:
            return True
        return False

    def _scalar(self, event: yaml.ScalarEvent) -> Node:
        if self._refuse_tag(event) or not event.implicit[0]:
            return _node(event, event.value)
        return _node(event, _resolve(event.value), event.value)

    def _alias(self, event: yaml.AliasEvent) -> Node:
        name = event.anchor
        if name not in self._anchors:
            self._stop(event, f"unknown anchor *{name}")
        target = self._anchors[name]
        if target is None:
            self._stop(event, f"the anchor *{name} contains itself")
        self._aliased += target.size
        if self._aliased > _MOST_ALIASED or len(self._open) + target.depth > _DEEPEST:
            self._stop(event, f"the aliases expand to more than {_MOST_ALIASED:,} values or {_DEEPEST} levels")
        # The alias's own place: what is wrong with it here may be right where its anchor stands.
        return replace(_node(event, None), value=target.value, text=target.text, size=target.size, depth=target.depth)

    def _refuse_tag(self, event: Any) -> bool:
        if event.tag is None:
            return False
        self._report(_node(event, None), f"the tag {shown(event.tag)} is not supported; quote a value to make it text")
        return True

    def _loc(self) -> Loc:
        parts: list[str | int] = []
        for frame in self._open:
            if isinstance(frame.node.value, list):
                parts.append(len(frame.node.value))
            elif frame.key is not None:
                parts.append(frame.key.value if isinstance(frame.key.value, str) else "?")
        return tuple(parts)

    def _report(self, node: Node, message: str) -> None:
        self.problems.append(Problem(self.file, node.line, node.column, key_path(self._loc()), message))

    def _stop(self, event: yaml.Event, message: str) -> NoReturn:
        self._report(_node(event, None), message)
        raise ManifestError(self.problems)


def _node(event: yaml.Event, value: Any, text: str | None = None) -> Node:
    mark = event.start_mark
    return Node(mark.line + 1, mark.column + 1, value, text) if mark else Node(1, 1, value, text)


def _resolve(text: str) -> Any:
    """The value of an unquoted scalar, by YAML 1.2's core schema without octal and hexadecimal numbers."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and not _LEADING_ZERO.fullmatch(text):
        return float(text)
    return float(text.replace(".", "", 1)) if _NO_NUMBER.fullmatch(text) else text


def _explain(error: yaml.MarkedYAMLError, text: str) -> str:
    """PyYAML's message, and for what people run into, what to do."""
    message = f"not valid YAML: {error.problem or error.context}"
    if error.context and error.problem:
        since = f" that begins in line {error.context_mark.line + 1}" if error.context_mark else ""
        message += f" ({error.context}{since})"
    mark = error.problem_mark
    lines = text.splitlines()
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())] or (mark and line[mark.column : mark.column + 1] == "\t"):
        return "a tab cannot be used to indent in YAML; use spaces"
    if mark and line[mark.column : mark.column + 1] in {"@", "`", "%"} and "cannot start any token" in message:
        return message + "; put the value in quotes"
    return message
