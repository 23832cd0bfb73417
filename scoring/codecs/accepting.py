"""Answers as their caller's Accept asks for them."""

from __future__ import annotations

from typing import Any

from scoring.codecs import arrow, msgpack, npy
from scoring.codecs.content_encoding import weight
from scoring.codecs.media_types import ARROW_FILE, ARROW_STREAM, BINARY, MSGPACK, NPY, media_type

_JSON = b"application/json"


def encode(value: Any, accept: bytes) -> tuple[bytes, bytes] | None:
    """Write what run() returned in a form that Accept names, wildcards aside.

    Args:
        value: What run() returned.
        accept: The request's Accept.

    Returns:
        The body and its content type; None where JSON is what the caller wants, or all that there is for it.
    """
    accept = accept.lower()
    if b"npy" not in accept and b"arrow" not in accept and b"msgpack" not in accept:
        return None
    # A response that the script made is sent as it is.
    if hasattr(value, "status_code") and hasattr(value, "message"):
        return None
    for wanted in _wanted(accept):
        body = None
        if wanted == _JSON:
            return None
        if wanted == NPY:
            body = npy.encode(value)
        elif wanted in {ARROW_STREAM, ARROW_FILE}:
            body = arrow.encode(value, wanted)
        elif wanted == MSGPACK:
            body = msgpack.encode(value)
        if body is not None:
            return body, wanted
    return None


def _wanted(accept: bytes) -> list[bytes]:
    """The types named that we can write, the most wanted first."""
    weighted = []
    for entry in accept.split(b","):
        name, _, parameters = entry.partition(b";")
        kind = media_type(name)
        known = _JSON if kind == _JSON else BINARY.get(kind)
        q = weight(parameters)
        if known is not None and q > 0:
            weighted.append((q, known))
    return [known for _, known in sorted(weighted, key=lambda pair: -pair[0])]
