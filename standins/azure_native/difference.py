"""What differs between two sets of inputs, by full paths: `replaceOnChanges` names paths, not only properties."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal

from provider.resource import Change
from provider.values import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

_Kind = Literal["ADD", "UPDATE", "DELETE"]
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def differences(old: dict[str, Any], new: dict[str, Any], force_new: frozenset[str]) -> tuple[Change, ...]:
    """Compare inputs with inputs.

    Args:
        old: The earlier ones.
        new: The later ones.
        force_new: Paths whose change, or a change below them, needs a new resource.

    Returns:
        The changes; names that begin with two underscores are the plugin's own and left out.
    """
    return tuple(
        Change(path, kind, any(re.match(rf"{re.escape(one)}($|[.\[])", path) for one in force_new))
        for path, kind in _differences(_normal("", old), _normal("", new), "")
    )


def _differences(old: Any, new: Any, path: str) -> Iterator[tuple[str, _Kind]]:
    if isinstance(old, dict) and isinstance(new, dict):
        names = sorted(name for name in {*old, *new} if not name.startswith("__"))
        for name in names:
            yield from _at(old, new, name, _under(path, name))
    elif isinstance(old, list) and isinstance(new, list):
        before, after = dict(enumerate(old)), dict(enumerate(new))
        for index in sorted({*before, *after}):
            yield from _at(before, after, index, f"{path}[{index}]")
    elif new is UNKNOWN or old != new or isinstance(old, bool) != isinstance(new, bool):
        yield path, "UPDATE"


def _at(old: dict[Any, Any], new: dict[Any, Any], key: Any, path: str) -> Iterator[tuple[str, _Kind]]:
    if key not in old:
        yield path, "ADD"
    elif key not in new:
        yield path, "DELETE"
    else:
        yield from _differences(old[key], new[key], path)


def _under(path: str, name: str) -> str:
    if not _PLAIN.fullmatch(name):
        return f"{path}[{json.dumps(name)}]"
    return f"{path}.{name}" if path else name


def _normal(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _normal(key, item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_normal("", item) for item in value]
    if name == "location" and isinstance(value, str):
        return value.replace(" ", "").lower()
    return value
