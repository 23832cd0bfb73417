"""Rows of CSV, with the types that all files of the job share, and what is wrong with some of them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pyarrow as pa  # type: ignore[import-untyped] # it has none
import pyarrow.compute as pc  # type: ignore[import-untyped]
from pyarrow import csv

from scoring.batch import lines
from scoring.batch.items import Bad, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scoring.batch.places import Places

_HEAD_BYTES = 1024 * 1024
_LONGEST_VALUE = 100
_NULLS = csv.ConvertOptions().null_values


class CsvRows:
    """Turns blocks of lines into tables."""

    def __init__(self, header: bytes, types: Mapping[str, str], file: str, *, multiline: bool, threads: bool) -> None:
        """Prepare for a file.

        Args:
            header: Its first line.
            types: Arrow types of columns, by name.
            file: Its name.
            multiline: Whether values may hold line ends.
            threads: Whether to use more than one core.
        """
        self.names = list(csv.read_csv(io.BytesIO(header)).column_names)
        self._types = {name: type_of(types[name]) for name in self.names if name in types}
        self._file = file
        self._multiline = multiline
        self._threads = threads

    def table(self, block: bytes, first: int) -> tuple[Table, list[Bad], int]:
        """Return the rows of a block, those that are none, and how many both are.

        Args:
            block: Whole lines, the header not among them.
            first: The place of its first row in the part.
        """
        if not block.strip():
            return Table(pa.table({name: [] for name in self.names}), self._file, range(0)), [], 0
        try:
            read = self._read(block, self._types, threads=self._threads)
        except pa.ArrowInvalid:
            return self._slowly(block, first)
        if read is None:
            return self._slowly(block, first)
        return Table(read, self._file, range(first, first + len(read))), [], len(read)

    def _read(self, block: bytes, types: Mapping[str, Any], *, threads: bool, skipped: Any = None) -> Any:
        """The table; None where a line has too few or too many values."""
        wrong = []

        def on_wrong(row: Any) -> str:
            wrong.append(row)
            if skipped is not None:
                skipped(row)
            return "skip"

        read = csv.read_csv(
            io.BytesIO(block),
            csv.ReadOptions(use_threads=threads, column_names=self.names, block_size=max(len(block), 1)),
            csv.ParseOptions(newlines_in_values=self._multiline, invalid_row_handler=on_wrong),
            csv.ConvertOptions(column_types=types),
        )
        return read if skipped is not None or not wrong else None

    def _slowly(self, block: bytes, first: int) -> tuple[Table, list[Bad], int]:
        """Look at every value: some cannot be what its column is."""
        found: list[tuple[int, Any]] = []
        texts = self._read(
            block,
            dict.fromkeys(self.names, pa.string()),
            threads=False,
            skipped=lambda row: found.append((row.number - 1, row)),
        )
        wrong = dict(found)
        total = len(texts) + len(wrong)
        rows = [first + place for place in range(total) if place not in wrong]
        bad = [
            Bad(
                self._file,
                first + place,
                f"the line has {row.actual_columns} values and the header {row.expected_columns}",
                row.text,
            )
            for place, row in wrong.items()
        ]
        columns: dict[str, Any] = {}
        reasons: dict[int, str] = {}
        for name in self.names:
            columns[name], unfit = self._converted(texts[name], name)
            for place, reason in unfit.items():
                reasons.setdefault(place, reason)
        bad += [
            Bad(self._file, rows[place], reason, texts.slice(place, 1).to_pylist()[0])
            for place, reason in reasons.items()
        ]
        table = pa.table(columns)
        if reasons:
            good = [place for place in range(len(table)) if place not in reasons]
            table, rows = table.take(pa.array(good, pa.int64())), [rows[place] for place in good]
        return Table(table, self._file, rows), sorted(bad, key=lambda one: one.row or 0), total

    def _converted(self, texts: Any, name: str) -> tuple[Any, dict[int, str]]:
        kind = self._types.get(name)
        if kind is None:
            inferred = csv.read_csv(
                io.BytesIO(b"x\n" + b"".join(_quoted(text) for text in texts.to_pylist())),
                parse_options=csv.ParseOptions(newlines_in_values=True),
            )
            return inferred["x"], {}
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return texts.cast(kind), {}
        empty = pc.is_in(texts, value_set=pa.array(_NULLS))
        texts = pc.if_else(empty, pa.scalar(None, pa.string()), texts)
        try:
            return texts.cast(kind), {}
        except pa.ArrowInvalid:
            pass
        unfit = {}
        values = []
        for place, text in enumerate(texts.to_pylist()):
            value = None
            if text is not None:
                try:
                    value = pa.scalar(text).cast(kind)
                except pa.ArrowInvalid:
                    shown = text[:_LONGEST_VALUE]
                    unfit[place] = f"column {name}: {shown!r} is no {kind}, which its first values are (--types)"
            values.append(value.as_py() if value is not None else None)
        return pa.array(values, kind), unfit


def inferred(path: str, places: Places, multiline: bool) -> dict[str, str]:
    """Return the types of a file's columns, by its first megabyte; without columns that are empty there."""
    with places.open(path) as stream, lines.opened(stream, path) as content:
        header = lines.header_of(content)
        if not header.strip():
            return {}
        # A place to go to would be one behind the header.
        head = next(lines.blocks(content, 0, None, _HEAD_BYTES, starts_line=True), b"")
    if not head:
        return {}
    read = csv.read_csv(
        io.BytesIO(header + head),
        csv.ReadOptions(block_size=len(header) + len(head)),
        csv.ParseOptions(newlines_in_values=multiline, invalid_row_handler=lambda _: "skip"),
    )
    return {field.name: str(field.type) for field in read.schema if not pa.types.is_null(field.type)}


def type_of(name: str) -> Any:
    """Return the Arrow type of a name; ValueError where there is none."""
    if name.startswith("timestamp["):
        unit, _, zone = name[len("timestamp[") : -1].partition(", tz=")
        return pa.timestamp(unit, zone or None)
    return pa.type_for_alias(name)


def _quoted(text: str) -> bytes:
    return b'"' + text.replace('"', '""').encode() + b'"\n'
