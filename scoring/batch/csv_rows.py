"""Rows of CSV, with the types that all files of the job share, and what is wrong with some of them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pyarrow as pa  # type: ignore[import-untyped] # it has none
import pyarrow.compute as pc  # type: ignore[import-untyped]
from pyarrow import csv

from scoring.batch import csv_lines
from scoring.batch.items import Bad, Table, check_names

if TYPE_CHECKING:
    from collections.abc import Mapping

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

        Raises:
            ValueError: The header is none, or has a name more than once.
        """
        if reason := csv_lines.wrong_header(header):
            raise ValueError(f"in the header, {reason}")
        self.names = list(csv.read_csv(io.BytesIO(header)).column_names)
        check_names(self.names)
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
        # Arrow would take all of a quote that is never closed for a value, several times over.
        if self._multiline and not csv_lines.ends(block):
            return self._slowly(block, first)
        try:
            read = self._read(block, self._types, threads=self._threads)
        except pa.ArrowInvalid:
            return self._slowly(block, first)
        if read is None or not self._is_whole(read, block):
            return self._slowly(block, first)
        return Table(read, self._file, range(first, first + len(read))), [], len(read)

    def _is_whole(self, read: Any, block: bytes) -> bool:
        # Arrow takes what is no UTF-8 for bytes, where no type is given.
        is_text = not any(pa.types.is_binary(field.type) and field.name not in self._types for field in read.schema)
        return is_text and (self._multiline or csv_lines.is_whole(block, len(read)))

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
        lines, places, wrong = csv_lines.sorted_out(block, multiline=self._multiline)
        bad = [Bad(self._file, first + one.place, one.reason, one.content, one.is_rest) for one in wrong]
        total = len(lines) + len(wrong)
        unfitting: list[Any] = []
        whole = b"".join(line + b"\n" for line in lines)
        texts = (
            self._read(whole, dict.fromkeys(self.names, pa.string()), threads=False, skipped=unfitting.append)
            if lines
            else pa.table({name: pa.array([], pa.string()) for name in self.names})
        )
        bad += [
            Bad(
                self._file,
                first + places[row.number - 1],
                f"the line has {row.actual_columns} values and the header {row.expected_columns}",
                row.text,
            )
            for row in unfitting
        ]
        without = {row.number - 1 for row in unfitting}
        rows = [first + place for number, place in enumerate(places) if number not in without]
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


def type_of(name: str) -> Any:
    """Return the Arrow type of a name; ValueError where there is none."""
    if name.startswith("timestamp["):
        unit, _, zone = name[len("timestamp[") : -1].partition(", tz=")
        return pa.timestamp(unit, zone or None)
    return pa.type_for_alias(name)


def _quoted(text: str) -> bytes:
    return b'"' + text.replace('"', '""').encode() + b'"\n'
