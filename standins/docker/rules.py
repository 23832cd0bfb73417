"""What Docker allows beyond the types: checked before anything is touched, and all of it at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from provider.resource import Failure
from provider.values import UNKNOWN
from standins.docker.durations import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Rule = Callable[[Any], str | None]


def one_of(*allowed: str) -> Rule:
    """Allow only these values."""
    return lambda value: None if value in allowed else "must be one of " + ", ".join(allowed)


def matches(pattern: str, hint: str) -> Rule:
    """Allow only texts of this form, which `hint` describes."""
    compiled = re.compile(pattern)
    return lambda value: None if compiled.fullmatch(value) else f"must be {hint}"


def between(least: int, most: int | None = None) -> Rule:
    """Allow only numbers from `least` to `most`."""
    wanted = f"must be {least} or more" if most is None else f"must be from {least} to {most}"
    return lambda value: None if least <= value and (most is None or value <= most) else wanted


def duration(value: str) -> str | None:
    """Allow only durations as Go writes them."""
    try:
        parse_duration(value)
    except ValueError as error:
        return str(error)
    return None


def not_empty(value: Any) -> str | None:
    """Refuse what is there but empty."""
    return None if value else "must not be empty"


def apply_rules(rules: Mapping[str, Rule], inputs: dict[str, Any]) -> list[Failure]:
    """Check inputs whose types are right.

    Args:
        rules: By path; "[]" stands for each item of a list.
        inputs: What was given; unknown parts pass.

    Returns:
        All that is wrong.
    """
    found = []
    for path, rule in rules.items():
        for where, value in _at(path.replace("[]", ".[]").split("."), inputs, ""):
            if (reason := rule(value)) is not None:
                found.append(Failure(where, reason))
    return found


def _at(steps: list[str], value: Any, where: str) -> Iterator[tuple[str, Any]]:
    if value is None or value is UNKNOWN:
        return
    if not steps:
        yield where, value
    elif steps[0] == "[]":
        for index, item in enumerate(value):
            yield from _at(steps[1:], item, f"{where}[{index}]")
    else:
        yield from _at(steps[1:], value.get(steps[0]), f"{where}.{steps[0]}".lstrip("."))
