"""MessagePack as bodies."""

from __future__ import annotations

from typing import Any

import orjson

from scoring.answers import AnswerError, to_json
from scoring.refused import RefusedError


def parse(body: bytes) -> Any:
    """Return the value of a body.

    Raises:
        RefusedError: 400: it is not MessagePack, or has extension types or keys that are no texts.
    """
    # Not every service gets such requests.
    import ormsgpack  # noqa: PLC0415

    try:
        return ormsgpack.unpackb(body)
    except ValueError as error:
        raise RefusedError(400, f"The body is not MessagePack of plain values, with texts as keys: {error}.") from None


def encode(value: Any) -> bytes | None:
    """Return a value as MessagePack: bytes and NaN as they are, all else as its JSON would have it.

    None for what has no JSON form either.
    """
    import ormsgpack  # noqa: PLC0415 - as above

    try:
        return ormsgpack.packb(value, option=ormsgpack.OPT_SERIALIZE_NUMPY | ormsgpack.OPT_NON_STR_KEYS)
    except (TypeError, ValueError, RecursionError):
        pass
    try:
        return ormsgpack.packb(orjson.loads(to_json(value)))
    except (AnswerError, TypeError, ValueError, RecursionError):
        return None
