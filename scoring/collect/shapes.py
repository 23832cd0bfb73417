"""How requests name their columns, or do not: tables, tensors, and rows without names."""

from __future__ import annotations

from math import prod
from typing import Any

from scoring.codecs.text import json_or_text

LIKE_JSON = ("{", "[", '"', "(")
# Of a table whose columns' names stand apart from its rows: pandas' split, Azure ML Studio's, Seldon's.
_NAMES = {"columns", "columnnames", "column_names", "names"}
_ROWS = {"data", "rows", "values", "ndarray"}
# Of an object that is one column, as the Open Inference Protocol (V2) has its tensors.
_CELLS = {*_ROWS, "value", "contents"}
# What requests have rows under: those of TensorFlow Serving, KServe, MLflow and Azure ML, and the above.
_HOLDERS = {"instances", "inputs", "input_data", "data", "rows", "ndarray"}


def folded(name: Any) -> str:
    """Return a name as names are compared."""
    return str(name).strip().casefold()


def table_keys(value: dict[Any, Any]) -> tuple[list[Any], list[Any]] | None:
    """Return under what keys an object has the names of columns, and the rows; None where it is no such table."""
    lists = [key for key, item in value.items() if isinstance(item, list)]
    names = [key for key in lists if folded(key) in _NAMES]
    rows = [key for key in lists if folded(key) in _ROWS]
    return (names, rows) if names and rows else None


def cells_of(value: dict[Any, Any]) -> tuple[Any, list[Any]]:
    """Return the name of an object that is one column, and the keys of its cells; none where it is not one."""
    name = next((item for key, item in value.items() if folded(key) == "name"), None)
    return name, [] if name is None else [key for key in value if folded(key) in _CELLS]


def has_unnamed_rows(value: Any) -> bool:
    """Tell whether there are rows anywhere in a JSON value whose columns have no names."""
    value = _read(value)
    if isinstance(value, list):
        return any(has_unnamed_rows(item) for item in value)
    if not isinstance(value, dict):
        return False
    table, (_, cells) = table_keys(value), cells_of(value)
    if table is None and (_is_wide_tensor(value) or any(_is_wide(_read(value[key])) for key in cells)):
        return True
    named = cells if table is None else table[1]
    return any(
        (key not in named and _is_unnamed(folded(key), _read(item))) or has_unnamed_rows(item)
        for key, item in value.items()
    )


def _is_unnamed(holder: str, rows: Any) -> bool:
    """Whether what an object has under such a key is rows that are no objects, or columns of several values."""
    if isinstance(rows, list):
        return holder in _HOLDERS and not all(isinstance(_read(row), dict) for row in rows)
    is_columns = holder == "inputs" and isinstance(rows, dict) and table_keys(rows) is None
    return is_columns and any(map(_is_wide, rows.values()))


def _is_wide_tensor(value: dict[Any, Any]) -> bool:
    """Whether a tensor's shape has several values for each row, which its data need not show."""
    shape = next((item for key, item in value.items() if folded(key) == "shape"), None)
    if not isinstance(shape, list) or not all(isinstance(side, int) for side in shape[1:]):
        return False
    return prod(shape[1:]) not in {0, 1} and any(folded(key) in _CELLS for key in value)


def _is_wide(column: Any) -> bool:
    """Whether a column has several values in one of its rows."""
    return isinstance(column, list) and any(isinstance(row, list) and (len(row) > 1 or _is_wide(row)) for row in column)


def _read(value: Any) -> Any:
    """The value of a text that is JSON, of anything else itself."""
    if not isinstance(value, str) or not value.lstrip().startswith(LIKE_JSON):
        return value
    return json_or_text(value)
