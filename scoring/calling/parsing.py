"""What requests' bodies are, by their content type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scoring import codecs

if TYPE_CHECKING:
    from scoring.request import Request

_CONTENT_TYPE = b"content-type"
# What needs no look at the codecs: the usual content types of a text.
_PLAIN_TYPES = {b"application/json", b"", b"text/plain", b"application/json; charset=utf-8"}


def is_binary(request: Request) -> bool:
    """Return whether the body is an array, a table or msgpack, by its content type."""
    content_type = request.header(_CONTENT_TYPE)
    if content_type in _PLAIN_TYPES:
        return False
    return codecs.is_binary(content_type)


def parse_binary(request: Request) -> Any:
    """Return the value of such a body.

    Raises:
        RefusedError: It cannot be parsed.
    """
    return codecs.parse(request)


def binary_as_text(request: Request) -> str:
    """Return the JSON text of such a body's value: lists for an array, records for a table.

    Raises:
        RefusedError: It cannot be parsed, or its text would be much too long.
    """
    return codecs.as_json_text(codecs.parse(request))


def is_json(request: Request) -> bool:
    """Return whether the content type is application/json, or application/something+json."""
    content_type = request.header(_CONTENT_TYPE)
    if content_type == b"application/json":
        return True
    kind = content_type.partition(b";")[0].strip().lower()
    return kind == b"application/json" or (kind.startswith(b"application/") and kind.endswith(b"+json"))
