"""Request bodies, held to the types of the SDK: unknown names, wrong types and enumerations, and what is missing."""

from __future__ import annotations

import datetime as dt
import enum
import inspect
import types
import typing
from functools import cache
from typing import Any

from azure.batch import models

from standins.azure_batch.errors import BatchError

_SCALARS: dict[Any, tuple[type, ...]] = {
    str: (str,),
    int: (int,),
    float: (int, float),
    bool: (bool,),
    dt.datetime: (str,),
    dt.timedelta: (str,),
}


def check(kind: str, body: Any) -> dict[str, Any]:
    """Return a body that is right.

    Args:
        kind: The SDK's class, such as BatchJobCreateOptions.
        body: What was sent.

    Raises:
        BatchError: It is not what the type says.
    """
    # Not all of them are public.
    wrong = list(_wrong(getattr(models._models, kind), body, ""))  # noqa: SLF001 - as above
    if wrong:
        path, reason = wrong[0]
        raise BatchError(
            400,
            "InvalidRequestBody",
            "The specified Request Body is not syntactically valid.",
            Reason=f"{path or 'the body'} {reason}",
        )
    found: dict[str, Any] = body
    return found


@cache
def _fields(kind: type) -> tuple[dict[str, Any], frozenset[str]]:
    """The types of a class's members by their names on the wire, and those that have to be there."""
    hints: dict[str, Any] = {}
    namespace = {**vars(models), "_models": models, "_types": types, "datetime": dt}
    for one in reversed(kind.__mro__):
        for name, hint in inspect.get_annotations(one).items():
            if not name.startswith("_"):
                hints[name] = eval(hint, {**vars(typing), **namespace}) if isinstance(hint, str) else hint  # noqa: S307 - the SDK's own annotations
    fields = kind._attr_to_rest_field  # type: ignore[attr-defined] # noqa: SLF001 - nothing public tells the names
    own = {name: fields[name] for name in hints if name in fields and _is_sent(fields[name])}
    members = {field._rest_name: hints[name] for name, field in own.items()}  # noqa: SLF001 - as above
    required = {field._rest_name for name, field in own.items() if type(None) not in typing.get_args(hints[name])}  # noqa: SLF001 - as above
    return members, frozenset(required)


def _is_sent(field: Any) -> bool:
    return bool(field._visibility != ["read"])  # noqa: SLF001 - as above


def _wrong(kind: Any, value: Any, path: str) -> typing.Iterator[tuple[str, str]]:  # noqa: C901 - one case for each sort
    kind = _resolved(kind)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        rest = [_resolved(one) for one in inner if one is not type(None)]
        enums = [one for one in rest if inspect.isclass(one) and issubclass(one, enum.Enum)]
        if enums:
            allowed = [member.value for one in enums for member in one]
            if not isinstance(value, str) or value.lower() not in {one.lower() for one in allowed}:
                yield path, f"is {value!r}; allowed are {', '.join(allowed)}"
            return
        yield from _wrong(rest[0], value, path)
    elif origin is list:
        if not isinstance(value, list):
            yield path, "has to be a list"
            return
        for index, one in enumerate(value):
            yield from _wrong(inner[0], one, f"{path}[{index}]")
    elif origin is dict:
        if not isinstance(value, dict):
            yield path, "has to be an object"
    elif kind in _SCALARS:
        if not isinstance(value, _SCALARS[kind]) or (isinstance(value, bool) and kind is not bool):
            yield path, f"has to be {kind.__name__}, not {value!r}"
    elif inspect.isclass(kind) and hasattr(kind, "_attr_to_rest_field"):
        yield from _wrong_object(kind, value, path)


def _wrong_object(kind: type, value: Any, path: str) -> typing.Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield path, "has to be an object"
        return
    members, required = _fields(kind)
    for name, one in value.items():
        where = f"{path}.{name}".lstrip(".")
        if name not in members:
            yield where, f"is no property of {kind.__name__}"
        elif one is not None:
            yield from _wrong(members[name], one, where)
    for name in sorted(required - value.keys()):
        yield f"{path}.{name}".lstrip("."), "is required"


def _resolved(kind: Any) -> Any:
    """A forward reference inside another hint is still a text."""
    if isinstance(kind, typing.ForwardRef):
        kind = kind.__forward_arg__
    return getattr(models, kind.rpartition(".")[2]) if isinstance(kind, str) else kind
