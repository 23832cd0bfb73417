"""What the first files that can be read say of all: the types of CSV columns, and which columns there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa  # type: ignore[import-untyped] # it has none
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from scoring.batch import lines
from scoring.batch.csv_rows import CsvRows
from scoring.batch.items import ColumnsError, check_names
from scoring.batch.places import InputError, StorageError
from scoring.batch.reading import wrong_with
from scoring.batch.settings import CSV, PARQUET

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scoring.batch.places import Places
    from scoring.batch.settings import JobSettings

_HEAD_BYTES = 1024 * 1024


def types(settings: JobSettings, places: Places, found: Iterable[tuple[str, str | None]]) -> dict[str, str]:
    """Return Arrow types of CSV columns, so that all tasks take all files' columns for the same.

    A file that cannot be read says nothing: it fails when it is scored.

    Args:
        settings: The job's.
        places: Opens the files.
        found: Their paths and formats.

    Raises:
        InputError: The first table lacks a column that is asked for, or has one more than once; or the environment does
            not lead to the storage.
        StorageError: The storage fails.
    """
    is_checked = False
    for path, form in found:
        if form != CSV and (form != PARQUET or is_checked):
            continue
        try:
            names, kinds = _csv(path, places, settings) if form == CSV else (_parquet_names(path, places), {})
            if names and not is_checked:
                check_names(names, settings.wanted)
                is_checked = True
        except ColumnsError as error:
            raise InputError(f"{path}: {error}") from None
        except (StorageError, InputError):
            raise
        except Exception as error:
            if wrong_with(error, path, form, places) is None:
                raise StorageError(f"{path} cannot be read", error) from error
            continue
        if kinds:
            return kinds
    return {}


def _csv(path: str, places: Places, settings: JobSettings) -> tuple[list[str], dict[str, str]]:
    """The names of a file's columns, and the types of those that are not empty in its first megabyte."""
    with places.open(path) as stream, lines.opened(stream, path) as content:
        header = lines.header_of(content)
        if not header.strip():
            return [], {}
        # A place to go to would be one behind the header.
        head = next(lines.blocks(content, 0, None, _HEAD_BYTES, starts_line=True), b"")
    rows = CsvRows(header, {}, path, multiline=settings.multiline, threads=True)
    table, _, _ = rows.table(head, 0)
    schema = table.kept(("*",)).schema
    return rows.names, {field.name: str(field.type) for field in schema if not pa.types.is_null(field.type)}


def _parquet_names(path: str, places: Places) -> Any:
    with places.open(path) as stream:
        return pq.ParquetFile(stream).schema_arrow.names
