"""Compaction: the JSON Lines parts of an hour become one Parquet file, and no row is ever in two of them.

A Parquet file names the parts that are in it. It is written under the next free number, and only if that number is
still free: whoever writes number 1 has seen number 0 and what is in it, however many processes compact at once.
Then the parts are deleted. A part that is there all the same (the process was killed in between, or a late upload
put it there again) does not count and is deleted the next time.
"""

from __future__ import annotations

import calendar
import contextlib
import io
import json
import re
import time
import uuid
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import orjson

from scoring.collect.columns import Columns
from scoring.collect.writer import segment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scoring.storage import Store

PARTS_KEY = b"slipway.parts"
_LEASE = ".compaction.json"
_PATH = re.compile(r"(.+/(\d{4}/\d\d/\d\d/\d\d))/([^/]+)")
_PARQUET = re.compile(r"rows-(\d{4,})\.parquet")
_GRACE_SECONDS = 300  # For parts that are late; later ones become a further Parquet file.
_LEASE_SECONDS = 900
_HOUR = 3600
_MOST_BYTES = 64 * 1024 * 1024  # Of parts in one file: what the compaction holds of them is a fraction of it.


def compact(store: Store, model: str, now: float) -> int:
    """Compact the hours of a model that are over.

    Args:
        store: Where the parts are.
        model: The model's name.
        now: The time, in seconds since the epoch.

    Returns:
        How many Parquet files were written.
    """
    written = 0
    for folder, files in sorted(hours(store, segment(model)).items()):
        end = calendar.timegm(time.strptime(folder[-13:], "%Y/%m/%d/%H")) + _HOUR
        if end + _GRACE_SECONDS > now or not any(name.endswith(".jsonl") or name == _LEASE for name in files):
            continue  # A lease alone was left by a process that was killed; taking it over removes it.
        with _lease(store, f"{folder}/{_LEASE}") as is_ours:
            if is_ours:
                written += _compact_hour(store, folder)
    return written


def hours(store: Store, under: str) -> dict[str, dict[str, int]]:
    """Return the sizes of files by their names, by the folder of their hour."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for path, size in store.sizes(under).items():
        match = _PATH.fullmatch(path)
        if match:
            found[match[1]][match[3]] = size
    return found


def parts_in(content: bytes) -> list[str]:
    """Return the names of the parts that are in a Parquet file."""
    import pyarrow.parquet as pq  # type: ignore[import-untyped] # noqa: PLC0415 - an extra, without types

    metadata = pq.read_schema(io.BytesIO(content)).metadata or {}
    names: list[str] = json.loads(metadata.get(PARTS_KEY, b"[]"))
    return names


def is_parquet(name: str) -> bool:
    """Tell whether a file is one of the compaction's."""
    return _PARQUET.fullmatch(name) is not None


def _compact_hour(store: Store, folder: str) -> int:
    written = 0
    damaged: set[str] = set()
    while True:
        files = store.sizes(folder)
        sizes = {path.rpartition("/")[2]: size for path, size in files.items()}
        files_before = sorted(name for name in sizes if is_parquet(name))
        done: set[str] = set()
        for name in files_before:
            done.update(parts_in(store.get(f"{folder}/{name}")))
        parts = sorted(name for name in sizes if name.endswith(".jsonl") and name not in damaged)
        for name in done.intersection(parts):
            store.delete(f"{folder}/{name}")
        chosen = _chosen([name for name in parts if name not in done], sizes)
        if not chosen:
            return written
        number = max((int(_PARQUET.fullmatch(name)[1]) for name in files_before), default=-1) + 1  # type: ignore[index] # they match
        try:
            content = _parquet(store, folder, chosen)
        except FileNotFoundError:
            continue  # Another process was faster, which the next look shows.
        except _DamagedError as error:
            damaged.add(str(error))
            continue
        if store.create(f"{folder}/rows-{number:04d}.parquet", content):
            written += 1
            for name in chosen:
                store.delete(f"{folder}/{name}")


def _chosen(names: list[str], sizes: dict[str, int]) -> list[str]:
    chosen: list[str] = []
    held = 0
    for name in names:
        if chosen and held + sizes[name] > _MOST_BYTES:
            break
        chosen.append(name)
        held += sizes[name]
    return chosen


class _DamagedError(Exception):
    """A part that is not JSON Lines: something else wrote it, or a disk failed; it stays as it is."""


def _rows(store: Store, folder: str, name: str) -> list[dict[str, Any]]:
    try:
        return [orjson.loads(line) for line in store.get(f"{folder}/{name}").splitlines()]
    except ValueError:
        raise _DamagedError(name) from None


def _parquet(store: Store, folder: str, names: list[str]) -> bytes:
    """Return the Parquet file of some parts; they are read twice, so that only one is held at a time."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    columns = Columns()
    for name in names:
        for row in _rows(store, folder, name):
            columns.add(row)
    schema = columns.schema({PARTS_KEY: json.dumps(names).encode()})
    out = pa.BufferOutputStream()
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for name in names:
            writer.write_table(columns.table(_rows(store, folder, name), schema))
    content: bytes = out.getvalue().to_pybytes()
    return content


@contextlib.contextmanager
def _lease(store: Store, name: str) -> Iterator[bool]:
    """Keep other processes from doing the same work at the same time; that it is right does not depend on it."""
    mine = json.dumps({"holder": uuid.uuid4().hex, "until": time.time() + _LEASE_SECONDS}).encode()
    is_ours = store.create(name, mine)
    if not is_ours:
        try:
            until = json.loads(store.get(name))["until"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            until = 0.0
        if until < time.time():
            store.put(name, mine)
            is_ours = True
    try:
        yield is_ours
    finally:
        if is_ours:
            store.delete(name)
