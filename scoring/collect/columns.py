"""The columns of a Parquet file, out of rows that need not agree with each other."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from scoring.answers import to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa  # type: ignore[import-untyped] # it has none

TIME = "_time"
NOTHING, BOOLEAN, INTEGER, NUMBER, TEXT, MIXED, MOMENT = "null", "bool", "int", "number", "text", "json", "time"
LIST = "list "  # In front of the kind of its items.
MIXED_MARK = b"slipway.json"
_PLAIN = {type(None): NOTHING, bool: BOOLEAN, int: INTEGER, float: NUMBER, str: TEXT}
_LEAST_INTEGER, _MOST_INTEGER = -(2**63), 2**63 - 1
_MOST_EXACT = 2**53  # Doubles hold all integers up to here.


def kind_of(value: Any) -> str:
    """Return the kind of a JSON value."""
    if isinstance(value, list):
        kind = NOTHING
        for item in value:
            kind = joined(kind, kind_of(item))
            # A list that holds integers as doubles has to hold all of them exactly.
            if kind == MIXED or (isinstance(item, int) and abs(item) > _MOST_EXACT):
                return MIXED
        return LIST + kind
    if type(value) is int and not _LEAST_INTEGER <= value <= _MOST_INTEGER:
        return MIXED
    return _PLAIN.get(type(value), MIXED)


def joined(one: str, other: str) -> str:
    """Return the narrowest kind that holds two kinds; text and numbers share none but JSON."""
    if other in {one, NOTHING}:
        return one
    if one == NOTHING:
        return other
    if {one, other} == {INTEGER, NUMBER}:
        return NUMBER
    if one.startswith(LIST) and other.startswith(LIST):
        inner = joined(one[len(LIST) :], other[len(LIST) :])
        return MIXED if inner == MIXED else LIST + inner
    return MIXED


class Columns:
    """The kinds of all columns that some rows have.

    Attributes:
        kinds: The kind of each, in the order in which they came.
    """

    def __init__(self) -> None:
        """No rows so far."""
        self.kinds = {TIME: NOTHING}
        self._has_long_integers: set[str] = set()

    def add(self, row: Mapping[str, Any]) -> None:
        """Widen the kinds so that they hold a row."""
        for name, value in row.items():
            self.kinds[name] = joined(self.kinds.get(name, NOTHING), kind_of(value))
            if isinstance(value, int) and abs(value) > _MOST_EXACT:
                self._has_long_integers.add(name)

    def schema(self, metadata: Mapping[bytes, bytes]) -> pa.Schema:
        """Return the file's schema; call it after the last row."""
        import pyarrow as pa  # noqa: PLC0415 - an extra

        for name in self._has_long_integers:
            if self.kinds[name] == NUMBER:
                self.kinds[name] = MIXED
        self.kinds[TIME] = MOMENT
        fields = [
            pa.field(name, _type(kind), metadata={MIXED_MARK: b"1"} if kind == MIXED else None)
            for name, kind in self.kinds.items()
        ]
        return pa.schema(fields, metadata=dict(metadata))

    def table(self, rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
        """Return rows as a table of that schema."""
        import pyarrow as pa  # noqa: PLC0415

        held = list(rows)
        arrays = [
            pa.array([_as(kind, row.get(name)) for row in held], schema.field(name).type)
            for name, kind in self.kinds.items()
        ]
        return pa.Table.from_arrays(arrays, schema=schema)


def _type(kind: str) -> pa.DataType:
    import pyarrow as pa  # noqa: PLC0415

    if kind.startswith(LIST):
        return pa.list_(_type(kind[len(LIST) :]))
    types = {
        NOTHING: pa.null(),
        BOOLEAN: pa.bool_(),
        INTEGER: pa.int64(),
        NUMBER: pa.float64(),
        MOMENT: pa.timestamp("us", "UTC"),
    }
    return types.get(kind, pa.string())


def _as(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind == MIXED:
        return to_json(value).decode()
    return dt.datetime.fromisoformat(value) if kind == MOMENT else value
