"""Rows out of bodies and tables: what becomes one line of a part, and later one row of a Parquet file."""

from __future__ import annotations

import base64
import datetime as dt
from typing import TYPE_CHECKING, Any

import orjson

from scoring.answers import AnswerError, to_json
from scoring.codecs import msgpack
from scoring.codecs.media_types import BINARY, MSGPACK, media_type
from scoring.codecs.text import json_or_text, parse_json, parse_query
from scoring.collect.shapes import has_unnamed_rows
from scoring.refused import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scoring.collect.privacy import Privacy

_MARK = "_"
# What Slipway adds to each row. A column of the data with such a name gets one more underscore in front.
ADDED = ("request_id", "correlation_id", "time", "model", "version", "row", "status")
_TABLE = {"data", "columns", "index"}
VALUE, BASE64 = "value", "base64"


class UnreadableError(Exception):
    """A body that may not be written: it cannot be read, so what is private in it cannot be found."""


def read_body(body: bytes, content_type: str, query: bytes = b"") -> Any:
    """Return the JSON value of a body; of a query where there is no body.

    Args:
        body: The body, without a content-encoding.
        content_type: What it says it is.
        query: The request's query, as it came.

    Raises:
        UnreadableError: It is neither JSON nor MessagePack.
    """
    try:
        if not body and query:
            return _plain(parse_query(query))
        if BINARY.get(media_type(content_type.encode("latin-1", "replace"))) == MSGPACK:
            return _plain(msgpack.parse(body))
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            return _plain(parse_json(body, exact=False))
    except (RefusedError, AnswerError, orjson.JSONDecodeError) as error:
        raise UnreadableError(str(error)) from None


def as_it_is(body: bytes) -> dict[str, str]:
    """Return the one row of a body that is no JSON: its text, or its bytes in base64."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return {BASE64: base64.b64encode(body).decode("ascii")}
    return {BASE64: base64.b64encode(body).decode("ascii")} if "\x00" in text else {VALUE: text}


def rows_of(value: Any, most: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSON value: of a list, of `{"data": [...]}` and its kin; of anything else one.

    A row without names has the one column `value`.

    Args:
        value: The value.
        most: A table of more rows is one row with the whole of it: its lines would be many times its size.
    """
    if isinstance(value, str):
        value = json_or_text(value)  # run() returned json.dumps(...): JSON in JSON.
    table, shared = _table(value)
    if not isinstance(table, list) or len(table) > most:
        yield _named(value)
        return
    for row in table:
        yield {**shared, **_named(row)}


def line(row: Mapping[str, Any], added: Mapping[str, Any]) -> bytes:
    """Return a row as a line of JSON, with what Slipway adds to it."""
    whole = {f"{_MARK}{name}": value for name, value in added.items()}
    for name, value in row.items():
        text = str(name)
        whole[_MARK + text if _is_reserved(text) else text] = value
    return to_json(whole) + b"\n"


def is_unnamed(value: Any) -> bool:
    """Tell whether some of a value's rows have no names, so that nobody can tell which column is which."""
    if isinstance(value, str):
        value = json_or_text(value)
    table, _ = _table(value)
    rows = table if isinstance(table, list) else [table]
    return not all(isinstance(row, dict) for row in rows) or has_unnamed_rows(value)


def cleaned_lines(value: Any, added: Mapping[str, Any], privacy: Privacy, most: int) -> Iterator[bytes]:
    """Yield the lines of a JSON value, cleaned of what is private.

    Args:
        value: The value.
        added: What Slipway adds to each of its rows.
        privacy: What to leave out and to hash.
        most: How many rows a table may have.
    """
    for number, row in enumerate(rows_of(privacy.clean(value), most)):
        yield line(row, {**added, "row": number})


def timestamp(seconds: float) -> str:
    """Return a time as ISO 8601 in UTC, with microseconds."""
    return dt.datetime.fromtimestamp(seconds, dt.timezone.utc).isoformat(timespec="microseconds")  # noqa: UP017 - Python 3.10


def _table(value: Any) -> tuple[Any, dict[str, Any]]:
    """The rows of a value, and the columns that all of them share."""
    shared: dict[str, Any] = {}
    if isinstance(value, dict) and isinstance(value.get("Inputs"), dict):
        # Power BI's shape.
        shared = {name: item for name, item in value.items() if name != "Inputs"}
        value = value["Inputs"]
    elif isinstance(value, dict) and len(value) == 1:
        value = next((value[name] for name in ("input_data", "Results") if name in value), value)
    if not (isinstance(value, dict) and isinstance(value.get("data"), list) and value.keys() <= _TABLE):
        return (value if not shared else [value]), shared
    rows, columns = value["data"], value.get("columns")
    if isinstance(columns, list):
        rows = [
            dict(zip(map(str, columns), row)) if isinstance(row, list) and len(row) == len(columns) else row  # noqa: B905 - as long
            for row in rows
        ]
    return rows, shared


def _named(row: Any) -> dict[str, Any]:
    return row if isinstance(row, dict) else {VALUE: row}


def _plain(value: Any) -> Any:
    """A value as its JSON is: NaN and infinities, which orjson refuses, become null; half a character is refused."""
    return orjson.loads(to_json(value))


def _is_reserved(name: str) -> bool:
    return name.startswith(_MARK) and name.lstrip(_MARK) in ADDED
