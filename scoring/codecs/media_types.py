"""The content types of bodies that are no JSON text."""

from __future__ import annotations

import importlib
from typing import Any

from scoring.refused import RefusedError

NPY = b"application/x-npy"
ARROW_STREAM = b"application/vnd.apache.arrow.stream"
ARROW_FILE = b"application/vnd.apache.arrow.file"
MSGPACK = b"application/msgpack"

# Each with the name that answers have it under.
BINARY = {
    NPY: NPY,
    ARROW_STREAM: ARROW_STREAM,
    ARROW_FILE: ARROW_FILE,
    MSGPACK: MSGPACK,
    b"application/x-msgpack": MSGPACK,
    b"application/vnd.msgpack": MSGPACK,
}


def media_type(content_type: bytes) -> bytes:
    """Return a content type without its parameters, in lower case."""
    return content_type.partition(b";")[0].strip().lower()


def library(name: str, content_type: bytes) -> Any:
    """Import a library that only the model's requirements bring.

    Args:
        name: The library.
        content_type: What needs it, for the message.

    Raises:
        RefusedError: 415: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise RefusedError(
            415,
            f"A body of type {content_type.decode()} needs {name}, which this model's environment has not: "
            f"add {name} to its requirements, or send JSON.",
        ) from None
