"""Values held against types: what the stand-ins' checks of inputs share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provider.resource import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

_ARTICLES = {
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "map": "a map",
    "object": "an object",
}


def mismatch(kind: str, value: Any, path: str) -> Failure | None:
    """Return what is wrong with a value's type; None where it is as it should be.

    Args:
        kind: string, integer, number, boolean, array, map or object.
        value: What was given. A failure names its type only: it may be a secret.
        path: Where it was given.
    """
    if _is(kind, value):
        return None
    given = next((article for other, article in _ARTICLES.items() if _is(other, value)), "nothing")
    return Failure(path, f"expected {_ARTICLES[kind]}, was given {given}")


def check_members(
    types: Mapping[str, Any],
    required: Collection[str],
    value: Mapping[str, Any],
    path: str,
    check: Callable[[Any, Any, str], list[Failure]],
    *,
    aside: str = "",
) -> list[Failure]:
    """Check an object's members.

    Args:
        types: The type of each member that there may be.
        required: Those that have to be there.
        value: The object; members of the engine's own and those without a value pass.
        path: Where it was given.
        check: Checks a member's value: its type, the value, and where it was given.
        aside: What else there is to say of a member that does not exist.
    """
    prefix = f"{path}." if path else ""
    failures = [Failure(f"{prefix}{name}", "is required, and missing") for name in required if value.get(name) is None]
    for name, item in value.items():
        if name.startswith("__") or item is None:
            continue
        if name not in types:
            failures.append(Failure(f"{prefix}{name}", f"there is no such property{aside}; {_hint(name, types)}"))
        else:
            failures += check(types[name], item, f"{prefix}{name}")
    return failures


def _is(kind: str, value: Any) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "array":
            return isinstance(value, list)
        case _:
            return isinstance(value, dict)


def _hint(name: str, types: Collection[str]) -> str:
    import difflib  # noqa: PLC0415 - only for mistakes

    close = difflib.get_close_matches(name, types, n=1)
    return f"did you mean {close[0]}?" if close else "it may be one of " + ", ".join(sorted(types))
