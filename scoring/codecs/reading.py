"""Bodies that are no JSON text as values, by their content type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scoring.answers import AnswerError, to_json
from scoring.codecs import arrow, msgpack, npy
from scoring.codecs.media_types import BINARY, MSGPACK, NPY, media_type
from scoring.refused import RefusedError

if TYPE_CHECKING:
    from scoring.request import Request

# A small table of few columns with long names is a large text.
_MOST_TEXT_BYTES = 1 << 28


def is_binary(content_type: bytes) -> bool:
    """Return whether a content type is one of an array, a table or msgpack.

    Args:
        content_type: The header, parameters and all.
    """
    return media_type(content_type) in BINARY


def parse(request: Request) -> Any:
    """Return the value of a body: an array, an Arrow table, or what was packed.

    Args:
        request: One whose content type is one of those for which `is_binary` holds.

    Raises:
        RefusedError: 400: the body is not what its content type says; 415: it needs a library which is not installed.
    """
    known = BINARY[media_type(request.header(b"content-type"))]
    if not request.body:
        raise RefusedError(400, f"POST body is empty. Expecting {known.decode()}.")
    if known == NPY:
        return npy.parse(request.body)
    if known == MSGPACK:
        return msgpack.parse(request.body)
    return arrow.parse(request.body, known)


def as_json_text(value: Any, limit: int = _MOST_TEXT_BYTES) -> str:
    """Return what a run() that takes text gets for a binary body.

    An array is a list of lists, a table a list of records, bytes are base64, NaN is null.

    Args:
        value: What `parse` returned.
        limit: About how many bytes a table's text may have.

    Raises:
        RefusedError: 400: there is no JSON for it; 413: it would be too long.
    """
    try:
        return to_json(arrow.records(value, limit) if arrow.is_table(value) else value).decode()
    except AnswerError:
        raise RefusedError(
            400, "The body has values that have no JSON form, such as complex numbers, decimals or durations."
        ) from None
