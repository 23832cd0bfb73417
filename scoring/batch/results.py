"""What run() returned as a table, and tables as files: Parquet, CSV, JSON Lines."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pyarrow as pa  # type: ignore[import-untyped] # it has none
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from pyarrow import csv

from scoring.answers import to_json
from scoring.batch.items import as_text
from scoring.batch.settings import CSV, JSONL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scoring.batch.items import Items

_COLUMN = "prediction"


class ResultError(Exception):
    """What run() returned cannot be written; the message says why."""


def table_of(returned: Any, items: Items, keep: Sequence[str]) -> Any:
    """Return the rows to write for what run() returned.

    Args:
        returned: A DataFrame, an array, or a list of values or objects.
        items: What it is a result of.
        keep: The columns of those to write beside it.

    Raises:
        ResultError: It has no columns, or not a row for each item where some of theirs are to be kept.
    """
    table = _table(returned)
    kept = items.kept(keep) if keep else None
    if kept is None:
        return table
    if len(table) != len(items):
        raise ResultError(
            f"run() returned {len(table)} results for {len(items)} items: columns can be kept (--keep) only beside a "
            "result for each"
        )
    used, others = set(table.column_names), set(kept.column_names)
    for name in reversed(kept.column_names):
        # Whatever run() returns, what was to be kept is there, too.
        own = name
        while own in used or (own != name and own in others):
            own = f"input.{own}"
        used.add(own)
        table = table.add_column(0, own, kept.column(name))
    return table


def table_of_records(records: Sequence[Any]) -> Any:
    """Return a table of objects that need not have the same members."""
    names = list(dict.fromkeys(name for record in records for name in record))
    return pa.table({str(name): _array([record.get(name) for record in records]) for name in names})


def written(tables: Sequence[Any], form: str) -> bytes:
    """Return a file of some tables, one after the other.

    Args:
        tables: At least one.
        form: `parquet`, `csv` or `jsonl`.
    """
    table = _joined(tables)
    if form == JSONL:
        # Arrow's own writer for it does not exist.
        return b"".join(to_json(_plain(row)) + b"\n" for batch in table.to_batches(4096) for row in batch.to_pylist())
    out = io.BytesIO()
    if form == CSV:
        csv.write_csv(_flat(table), out)
    else:
        try:
            pq.write_table(table, out)
        except pa.ArrowNotImplementedError:
            # Objects without members have no form in Parquet.
            out = io.BytesIO()
            pq.write_table(_flat(table), out)
    return out.getvalue()


def _table(returned: Any) -> Any:
    if hasattr(returned, "columns"):
        return _framed(returned)
    if hasattr(returned, "ndim"):
        # An array or a series: one column, of lists where there are several dimensions.
        name = str(getattr(returned, "name", None) or _COLUMN)
        try:
            return pa.table({name: pa.array(returned if returned.ndim == 1 else list(returned.tolist()))})
        except (pa.ArrowException, ValueError, TypeError):
            return pa.table({name: _array(returned.tolist())})
    values = list(returned)
    if all(isinstance(value, dict) for value in values) and any(values):
        return table_of_records(values)
    return pa.table({_COLUMN: _array(values)})


def _framed(frame: Any) -> Any:
    if len(set(map(str, frame.columns))) != len(frame.columns):
        raise ResultError("run() returned a table with two columns of one name")
    if isinstance(frame, pa.Table):
        return frame
    columns = {}
    for name in frame.columns:
        try:
            columns[str(name)] = pa.array(frame[name], from_pandas=True)
        except (pa.ArrowException, ValueError, TypeError):
            columns[str(name)] = _array(frame[name].tolist())
    return pa.table(columns)


def _array(values: list[Any]) -> Any:
    """A column of any values: of a type where they share one, else each as JSON text."""
    plain = [value.tolist() if hasattr(value, "tolist") else value for value in values]
    try:
        return pa.array(plain)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return pa.array([None if value is None else _text(value) for value in plain])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value).decode()


def _joined(tables: Sequence[Any]) -> Any:
    """One table; where a column has different types that none holds, its values are texts."""
    if all(table.schema.equals(tables[0].schema) for table in tables):
        return pa.concat_tables(tables)
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowException, TypeError):
        pass
    kinds: dict[str, set[Any]] = {}
    for table in tables:
        for field in table.schema:
            if not pa.types.is_null(field.type):
                kinds.setdefault(field.name, set()).add(field.type)
    mixed = {name for name, found in kinds.items() if len(found) > 1}
    return pa.concat_tables([_as_texts(table, mixed) for table in tables], promote_options="permissive")


def _as_texts(table: Any, names: set[str]) -> Any:
    for number, name in enumerate(table.column_names):
        if name in names:
            values = [None if value is None else _text(value) for value in table.column(number).to_pylist()]
            table = table.set_column(number, name, pa.array(values, pa.string()))
    return table


def _flat(table: Any) -> Any:
    """For formats without lists, objects and bytes: JSON in a text."""
    binary = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_nested)
    names = {field.name for field in table.schema if any(test(field.type) for test in binary)}
    return _as_texts(table, names)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: as_text(value) for name, value in row.items()}
