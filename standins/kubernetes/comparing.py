"""Objects compared: what a program changed, and what somebody else did."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from provider.resource import Change
from provider.values import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PLAIN = re.compile(r"[A-Za-z_$][\w$]*")
_MISSING = object()


def differences(old: Any, new: Any, replaces: Callable[[str], bool]) -> tuple[Change, ...]:
    """Return what differs between two objects, each at its deepest path.

    Args:
        old: What was asked for.
        new: What is asked for; unknown parts differ.
        replaces: Whether a change at a path needs a new object.
    """
    return tuple(_differences(old, new, "", replaces))


def _differences(old: Any, new: Any, path: str, replaces: Callable[[str], bool]) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            if not name.startswith("__"):
                yield from _differences(old.get(name), new.get(name), _member(path, name), replaces)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            before, after = (one[index] if index < len(one) else None for one in (old, new))
            yield from _differences(before, after, f"{path}[{index}]", replaces)
    elif old is None and new is not None:
        yield Change(path, "ADD", replaces(path))
    elif new is None and old is not None:
        yield Change(path, "DELETE", replaces(path))
    elif new is UNKNOWN or old != new:
        yield Change(path, "UPDATE", replaces(path))


def _member(path: str, name: str) -> str:
    if not _PLAIN.fullmatch(name):
        return f'{path}["{name}"]'
    return f"{path}.{name}" if path else name


def drifted(inputs: Any, applied: Any, live: Any) -> Any:
    """Return inputs with what somebody else changed.

    Args:
        inputs: What the program asked for.
        applied: What the object would be if that were applied again, in the API server's own form.
        live: What it is.

    Returns:
        The inputs themselves where both are the same; else what is there.
    """
    if applied == live:
        return inputs
    if isinstance(inputs, dict) and isinstance(applied, dict):
        given = live if isinstance(live, dict) else {}
        found = {name: drifted(value, applied.get(name), given.get(name)) for name, value in inputs.items()}
        return {name: value for name, value in found.items() if value is not None or inputs[name] is None}
    if isinstance(inputs, list) and isinstance(live, list) and isinstance(applied, list):
        if len(inputs) == len(applied) == len(live):
            return [drifted(*three) for three in zip(inputs, applied, live, strict=True)]
        return live
    return live


def forecast(inputs: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return what is known of an object before it is made.

    Args:
        inputs: What is asked for.
        kind: Its kind.
    """
    found = {**inputs, "status": UNKNOWN}
    if kind == "Service":
        # Addresses and ports of nodes are the cluster's to give.
        found["spec"] = UNKNOWN
    if not (inputs.get("metadata") or {}).get("name"):
        found["metadata"] = UNKNOWN
    return found
