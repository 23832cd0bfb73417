"""What a caller gets for what run() returned: status, headers and body."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

JSON = b"application/json"
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
_OK, _LAST_STATUS = 200, 599
_SERVER_ERROR = 500
WITHOUT_BODY = {204, 304}
# Whether run() failed: not where it was not called.
NOT_FAILED = (b"x-ms-run-function-failed", b"False")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# The server sets these itself, from the body that it sends.
_OF_THE_SERVER = {"connection", "content-length", "transfer-encoding"}


class AnswerError(Exception):
    """run() returned something that has no form on the wire; the message says what."""


@dataclass
class Answer:
    """An answer, ready to be sent. Not to be changed: frozen would cost a microsecond for each.

    Attributes:
        body: Its bytes.
        status: Its HTTP status.
        content_type: What the body is; None when `headers` say so, or there is no body.
        headers: Further headers.
        failed: Whether the script calls it a failure of its own.
    """

    body: bytes
    status: int = _OK
    content_type: bytes | None = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    failed: bool = False


def refusal(status: int, message: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> Answer:
    """Return the answer to a request that does not reach the script, or whose script failed: `{"message": ...}`.

    Args:
        status: Its HTTP status.
        message: What to say.
        headers: Further headers.
    """
    return Answer(to_json({"message": message}), status, JSON, (NOT_FAILED, *headers))


def to_answer(returned: Any) -> Answer:
    """Turn what run() returned into an answer.

    None is `{}`, a tuple is a list, NaN and infinities are null, bytes are base64, a table is a list of
    records, an array a list of lists, a date ISO 8601. An object with `status_code` and `message`, as the
    AMLResponse of Azure ML has them, is sent as it is, and so is a Response of Flask.

    Args:
        returned: What run() returned.

    Raises:
        AnswerError: There is no JSON for it.
    """
    if returned is None:
        return Answer(b"{}")
    if hasattr(returned, "status_code"):
        if hasattr(returned, "message"):
            return _response(returned)
        if hasattr(returned, "get_data") and hasattr(returned, "headers"):
            return _flask_response(returned)
    return Answer(to_json(returned))


def to_json(value: Any) -> bytes:
    """Return the JSON of a value, as `to_answer` describes it.

    Raises:
        AnswerError: There is none.
    """
    try:
        return orjson.dumps(value, _plain, _OPTIONS)
    except (TypeError, RecursionError):
        # What orjson does not take: integers beyond 64 bits, NumPy keys, lone surrogates. Slow, so only then.
        try:
            return json.dumps(_plain_tree(value), allow_nan=False, separators=(",", ":")).encode()
        except RecursionError:
            raise AnswerError("run() returned something that contains itself, or is nested too deeply") from None
        except (TypeError, ValueError) as error:
            raise AnswerError(f"run() returned something that has no JSON form: {error}") from None


def _plain(value: Any) -> Any:
    """The JSON form of a value that JSON has none for itself; the parts of it may need the same again."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        # pandas' "not a time" is a datetime that differs from itself.
        return value.isoformat() if value == value else None  # noqa: PLR0124 - that is the test for it
    if isinstance(value, tuple):
        return list(value)
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    if library == "pandas" and kind.__name__ == "NAType":
        return None
    if hasattr(value, "columns"):
        plain = _records(value)
    else:
        # Arrays, series, indexes, tensors and scalars; the runtime imports no library to know them by class.
        convert = getattr(value, "tolist", None) or getattr(value, "to_list", None)
        plain = convert() if callable(convert) else value
    if type(plain) is kind:
        prefix = "" if library == "builtins" else f"{library}."
        raise AnswerError(f"run() returned something of type {prefix}{kind.__qualname__}, which has no JSON form")
    return plain


def _records(table: Any) -> Any:
    """Return the rows of a polars table, or of a pandas one."""
    if hasattr(table, "to_dicts"):
        return table.to_dicts()
    return table.to_dict(orient="records") if hasattr(table, "to_dict") else table


def _plain_tree(value: Any) -> Any:
    """The same value of nothing but what Python's own json module takes."""
    if isinstance(value, dict):
        return {_plain_key(key): _plain_tree(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain_tree(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    try:
        # Dataclasses, enumerations, UUIDs and all that _plain knows.
        return orjson.loads(orjson.dumps(value, _plain, _OPTIONS))
    except (TypeError, ValueError):
        return _plain_tree(_plain(value))


def _plain_key(key: Any) -> Any:
    if isinstance(key, (str, int, float, bool)) or key is None:
        return key
    if callable(getattr(key, "item", None)):
        return key.item()
    if isinstance(key, (dt.datetime, dt.date, dt.time)):
        return key.isoformat()
    raise AnswerError(f"run() returned a dictionary with a key of type {type(key).__qualname__}, which JSON has not")


def _flask_response(response: Any) -> Answer:
    status = _status(response.status_code)
    headers = _headers(response.headers.items(), whole=True)
    typed = any(name == b"content-type" for name, _ in headers)
    body = b"" if status in WITHOUT_BODY else bytes(response.get_data())
    kind = None if typed or status in WITHOUT_BODY else b"application/octet-stream"
    return Answer(body, status, kind, headers, status >= _SERVER_ERROR)


def _status(status: Any) -> int:
    if isinstance(status, bool) or not isinstance(status, int) or not _OK <= status <= _LAST_STATUS:
        raise AnswerError(f"run() returned a response with status {status!r}; allowed are {_OK} to {_LAST_STATUS}")
    return status


def _response(response: Any) -> Answer:
    status = _status(response.status_code)
    headers = _headers(dict(getattr(response, "response_headers", None) or {}).items())
    content_type: bytes | None = JSON
    if response.message is None:
        body = b"{}"
    elif getattr(response, "json_str", False):
        body = to_json(response.message)
    elif isinstance(response.message, (bytes, bytearray, memoryview)):
        body, content_type = bytes(response.message), b"application/octet-stream"
    elif isinstance(response.message, str):
        body, content_type = response.message.encode("utf-8", "surrogatepass"), b"text/html; charset=utf-8"
    else:
        body = to_json(response.message)
    if status in WITHOUT_BODY:
        body, content_type = b"", None
    if any(name == b"content-type" for name, _ in headers):
        content_type = None
    failed = status >= _SERVER_ERROR or bool(getattr(response, "run_function_failed", False))
    return Answer(body, status, content_type, headers, failed)


def _headers(headers: Iterable[tuple[Any, Any]], *, whole: bool = False) -> tuple[tuple[bytes, bytes], ...]:
    """In an AMLResponse, repeated headers are written as one value with commas."""
    found = []
    for name, values in headers:
        if not _TOKEN.fullmatch(str(name)):
            raise AnswerError(f"run() returned a response with the header name {name!r}, which HTTP does not allow")
        for part in [str(values)] if whole else str(values).split(","):
            value = part.strip()
            if _CONTROL.search(value) or not _is_latin(value):
                raise AnswerError(
                    f"run() returned a response whose header {name} has characters that HTTP does not allow"
                )
            found.append((str(name).lower().encode("ascii"), value.encode("latin-1")))
    return tuple((name, value) for name, value in found if name.decode() not in _OF_THE_SERVER)


def _is_latin(value: str) -> bool:
    return all(ord(character) <= 0xFF for character in value)  # noqa: PLR2004 - the last of Latin-1
