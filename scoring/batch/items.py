"""What a call of run() is given: rows of a table, objects, or files; and what was wrong with some before any call."""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Bad:
    """A row or file that gave no result.

    Attributes:
        file: Where it is from.
        row: Its place in the part, from 0; None for what is no row.
        reason: What was wrong.
        content: What it held, as far as that was read.
        is_rest: Whether nothing behind it in the part could be read either: rows of which nobody knows the number.
    """

    file: str
    row: int | None
    reason: str
    content: Any = None
    is_rest: bool = False


class ColumnsError(ValueError):
    """A file without the columns that it has to have; the message says which."""


class Items(Protocol):
    """Rows or files, some after the other."""

    def __len__(self) -> int:
        """Return how many they are."""

    def cut(self, start: int, end: int) -> Items:
        """Return some of them."""

    def bad(self, reason: str) -> list[Bad]:
        """Return all of them as what failed."""

    def frame(self, columns: Sequence[str]) -> Any:
        """Return a pandas DataFrame of some columns, numbered from 0."""

    def records(self, columns: Sequence[str]) -> list[Any]:
        """Return an object for each."""

    def kept(self, columns: Sequence[str]) -> Any:
        """Return an Arrow table of some columns."""


class Table:
    """Rows of an Arrow table."""

    def __init__(self, table: Any, file: str, rows: Sequence[int]) -> None:
        """Take rows.

        Args:
            table: The table.
            file: Where it is from.
            rows: Their places in the part.
        """
        self._table = table
        self._file = file
        self._rows = rows

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self._rows)

    def cut(self, start: int, end: int) -> Table:
        """Return some of the rows."""
        return Table(self._table.slice(start, end - start), self._file, self._rows[start:end])

    def bad(self, reason: str) -> list[Bad]:
        """Return all rows as what failed."""
        contents = self._table.to_pylist()
        return [Bad(self._file, row, reason, content) for row, content in zip(self._rows, contents, strict=True)]

    def frame(self, columns: Sequence[str]) -> Any:
        """Return a DataFrame."""
        return self._selected(columns).to_pandas()

    def records(self, columns: Sequence[str]) -> list[Any]:
        """Return an object for each row."""
        return list(self._selected(columns).to_pylist())

    def kept(self, columns: Sequence[str]) -> Any:
        """Return an Arrow table."""
        return self._table if columns == ("*",) else self._selected(columns)

    def _selected(self, columns: Sequence[str]) -> Any:
        if not columns:
            return self._table
        return self._table.select(list(columns))


class Objects:
    """Rows that are JSON objects, and need not have the same members."""

    def __init__(self, values: Sequence[Any], file: str, rows: Sequence[int]) -> None:
        """Take rows, as `Table` does."""
        self._values = values
        self._file = file
        self._rows = rows

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self._rows)

    def cut(self, start: int, end: int) -> Objects:
        """Return some of the rows."""
        return Objects(self._values[start:end], self._file, self._rows[start:end])

    def bad(self, reason: str) -> list[Bad]:
        """Return all rows as what failed."""
        return [Bad(self._file, row, reason, value) for row, value in zip(self._rows, self._values, strict=True)]

    def frame(self, columns: Sequence[str]) -> Any:
        """Return a DataFrame: of a member that a row has not, there is nothing."""
        import pandas as pd  # type: ignore[import-untyped,unused-ignore] # noqa: PLC0415 - the model's requirements bring it

        return pd.DataFrame(list(self._values), columns=list(columns) or None)

    def records(self, columns: Sequence[str]) -> list[Any]:
        """Return an object for each row."""
        if not columns:
            return list(self._values)
        return [{name: value.get(name) for name in columns} for value in self._values]

    def kept(self, columns: Sequence[str]) -> Any:
        """Return an Arrow table."""
        from scoring.batch.results import table_of_records  # noqa: PLC0415 - needs an extra

        records = self._values if columns == ("*",) else self.records(columns)
        return table_of_records(list(records))


class Files:
    """Files, by their paths on this machine."""

    def __init__(self, names: Sequence[str], paths: Sequence[str]) -> None:
        """Take files.

        Args:
            names: As the input has them, for people.
            paths: Where they can be opened.
        """
        self._names = names
        self.paths = paths

    def __len__(self) -> int:
        """Return how many files there are."""
        return len(self._names)

    def cut(self, start: int, end: int) -> Files:
        """Return some of the files."""
        return Files(self._names[start:end], self.paths[start:end])

    def bad(self, reason: str) -> list[Bad]:
        """Return all files as what failed."""
        return [Bad(name, None, reason) for name in self._names]

    def frame(self, columns: Sequence[str]) -> Any:
        """Files have no rows: never called."""
        raise NotImplementedError

    def records(self, columns: Sequence[str]) -> list[Any]:
        """Files have no rows: never called."""
        raise NotImplementedError

    def kept(self, columns: Sequence[str]) -> Any:
        """Return a table of the files' names, whatever columns are asked for: it is all there is."""
        import pyarrow as pa  # type: ignore[import-untyped] # noqa: PLC0415 - an extra, without types

        return pa.table({"file": list(self._names)}) if columns else None


def check_names(there: Sequence[str], wanted: Sequence[str] = ()) -> None:
    """Hold the names of a file's columns to what is asked for.

    Args:
        there: The names.
        wanted: Those that have to be among them.

    Raises:
        ColumnsError: A name is there more than once, or one that is wanted is not.
    """
    has = f"it has {', '.join(there)}"
    if twice := [name for name, count in Counter(there).items() if count > 1]:
        raise ColumnsError(f"the input has the column {', '.join(twice)} more than once, and each needs its own: {has}")
    if missing := [name for name in dict.fromkeys(wanted) if name not in there]:
        raise ColumnsError(f"the input has no column {', '.join(missing)}, which --keep or --columns names: {has}")


def as_text(content: Any) -> Any:
    """Return what a row held in a form that fits into JSON."""
    return base64.b64encode(content).decode() if isinstance(content, bytes) else content
