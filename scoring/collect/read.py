"""Reading what was collected: every row once, whatever was compacted, is being compacted, or was broken off."""

from __future__ import annotations

import datetime as dt
import io
import json
from typing import TYPE_CHECKING, Any

import orjson

from scoring.collect.columns import MIXED_MARK, TIME
from scoring.collect.compact import hours, is_parquet, parts_in
from scoring.collect.writer import segment
from scoring.storage import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scoring.storage import Store


def read(to: str, model: str, version: str, collection: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a collection, hour by hour; null values are left out, `_time` is a datetime.

    Args:
        to: The folder or URL that SLIPWAY_COLLECT names.
        model: The model's name.
        version: The model's version.
        collection: `request`, `response`, or the name of a collector.
    """
    store = open_store(to)
    under = "/".join(segment(text) for text in (model, version, collection))
    for folder in sorted(hours(store, under)):
        yield from _hour(store, folder)


def _hour(store: Store, folder: str) -> list[dict[str, Any]]:
    while True:
        before = _names(store, folder)
        try:
            contents = {name: store.get(f"{folder}/{name}") for name in before}
        except FileNotFoundError:
            continue
        if _names(store, folder) == before:  # Else it was compacted meanwhile.
            break
    files = [name for name in before if is_parquet(name)]
    done = {part for name in files for part in parts_in(contents[name])}
    found = [row for name in files for row in _parquet_rows(contents[name])]
    for name in before:
        if name.endswith(".jsonl") and name not in done:
            found += [_plain(orjson.loads(line)) for line in contents[name].splitlines()]
    return found


def _names(store: Store, folder: str) -> list[str]:
    names = (path.rpartition("/")[2] for path in store.sizes(folder))
    return sorted(name for name in names if is_parquet(name) or name.endswith(".jsonl"))


def _parquet_rows(content: bytes) -> list[dict[str, Any]]:
    import pyarrow as pa  # type: ignore[import-untyped] # noqa: PLC0415 - an extra, without types
    import pyarrow.parquet as pq  # type: ignore[import-untyped] # noqa: PLC0415 - an extra, without types

    table = pq.read_table(io.BytesIO(content))
    # Without its zone, which is UTC: naming zones needs a database of them.
    moments = table[TIME].cast(pa.timestamp("us")).to_pylist()
    table = table.drop_columns([TIME])
    mixed = [field.name for field in table.schema if MIXED_MARK in (field.metadata or {})]
    rows = [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]
    for row, moment in zip(rows, moments):  # noqa: B905 - one each
        row[TIME] = moment.replace(tzinfo=dt.timezone.utc)  # noqa: UP017 - Python 3.10
        for name in mixed:
            if name in row:
                row[name] = json.loads(row[name])
    return rows


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    if isinstance(row.get(TIME), str):
        row[TIME] = dt.datetime.fromisoformat(row[TIME])
    return {name: value for name, value in row.items() if value is not None}
