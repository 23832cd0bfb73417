"""Values on the wire: the engine's Struct messages as plain Python, with secrets and unknowns kept apart."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.protobuf import struct_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# The protocol's constants: which object is meant is said by a property of this name.
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a marker, not a password
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
# One for each type that an unknown value may turn out to have; the second is the one for "any".
_UNKNOWNS = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
_ANY_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SHORTEST_REDACTED = 4


class Unknown(enum.Enum):
    """The type of UNKNOWN."""

    UNKNOWN = "unknown"


UNKNOWN = Unknown.UNKNOWN
"""A value that only the update will bring; previews are full of them."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that the state encrypts; its repr hides it."""

    value: Any = field(repr=False)


class UnsupportedValueError(ValueError):
    """An asset, an archive or a resource reference: no resource of ours takes one."""


def decode(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Read what the engine sent.

    Args:
        struct: The message; an absent one is empty.

    Returns:
        Plain values with `Secret` and `UNKNOWN` where the engine marked them.

    Raises:
        UnsupportedValueError: It holds an asset, an archive or a resource reference.
    """
    return {name: _decode(value) for name, value in struct.fields.items()}


def _decode(value: struct_pb2.Value) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            return UNKNOWN if value.string_value in _UNKNOWNS else value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "bool_value":
            return value.bool_value
        case "struct_value":
            members = decode(value.struct_value)
            return _special(members) if _SIGNATURE in members else members
        case "list_value":
            return [_decode(item) for item in value.list_value.values]
        case _:
            return None


def _special(members: dict[str, Any]) -> Any:
    match members[_SIGNATURE]:
        case marker if marker == _SECRET:
            return Secret(members.get("value"))
        case marker if marker == _OUTPUT:
            inner = members.get("value", UNKNOWN)
            return Secret(inner) if members.get("secret") else inner
        case _:
            raise UnsupportedValueError("assets, archives and resource references are not taken here")


def encode(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Write values for the engine; the inverse of `decode`.

    Args:
        values: Plain values, `Secret` and `UNKNOWN`.

    Returns:
        The message.
    """
    struct = struct_pb2.Struct()
    _encode_members(struct, values)
    return struct


def _encode_members(struct: struct_pb2.Struct, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        _encode(struct.fields[name], value)


def _encode(target: struct_pb2.Value, value: Any) -> None:
    match value:
        case None:
            target.null_value = struct_pb2.NULL_VALUE
        case Unknown():
            target.string_value = _ANY_UNKNOWN
        case Secret():
            _encode_members(target.struct_value, {_SIGNATURE: _SECRET, "value": value.value})
        case bool():
            target.bool_value = value
        case int() | float():
            target.number_value = value
        case str():
            target.string_value = value
        case dict():
            target.struct_value.SetInParent()
            _encode_members(target.struct_value, value)
        case list() | tuple():
            target.list_value.SetInParent()
            for item in value:
                _encode(target.list_value.values.add(), item)
        case _:
            raise TypeError(f"a {type(value).__name__} cannot be sent to the engine")


def plain(value: Any) -> Any:
    """Take the secret markers off; unknowns stay."""
    match value:
        case Secret():
            return plain(value.value)
        case dict():
            return {name: plain(item) for name, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case _:
            return value


def has_unknown(value: Any) -> bool:
    """Tell whether a value is unknown anywhere in it."""
    match value:
        case Unknown():
            return True
        case Secret():
            return has_unknown(value.value)
        case dict():
            return any(map(has_unknown, value.values()))
        case list():
            return any(map(has_unknown, value))
        case _:
            return False


def has_secret(value: Any) -> bool:
    """Tell whether a value is secret anywhere in it."""
    match value:
        case Secret():
            return True
        case dict():
            return any(map(has_secret, value.values()))
        case list():
            return any(map(has_secret, value))
        case _:
            return False


def mark_secrets(value: Any, like: Any) -> Any:
    """Put secret markers on a value where another one of the same meaning has them.

    Args:
        value: Without markers.
        like: With markers. Where the shapes differ, all of the value becomes secret, not some of it plain.

    Returns:
        The value with markers.
    """
    if not has_secret(like) or isinstance(value, Secret):
        return value
    if isinstance(value, dict) and isinstance(like, dict):
        return {name: mark_secrets(item, like.get(name)) for name, item in value.items()}
    if isinstance(value, list) and isinstance(like, list) and value == plain(like):
        return like
    return Secret(value)


def secret_texts(value: Any) -> set[str]:
    """Collect the texts that must not be shown.

    Args:
        value: With markers.

    Returns:
        Every secret string, and of `NAME=value` also the value alone. Very short ones are left out: hiding
        each "1" or "on" would make messages unreadable and hide nothing.
    """
    texts: set[str] = set()
    for text in _strings(value, secret=False):
        texts |= {text, text.partition("=")[2]}
    return {text for text in texts if len(text) >= _SHORTEST_REDACTED}


def _strings(value: Any, *, secret: bool) -> Iterator[str]:
    match value:
        case Secret():
            yield from _strings(value.value, secret=True)
        case dict():
            for item in value.values():
                yield from _strings(item, secret=secret)
        case list():
            for item in value:
                yield from _strings(item, secret=secret)
        case str() if secret:
            yield value


def redact(text: str, secrets: Iterable[str]) -> str:
    """Hide secrets in a text that a person will see.

    Args:
        text: A message or log lines.
        secrets: What `secret_texts` found.

    Returns:
        The text with `[secret]` in their places.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "[secret]")
    return text
