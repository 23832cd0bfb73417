"""Queries in the Power Query formula language, M, as Power BI and Excel run them: of a job's results, of a service."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

_QUERIES = Path(__file__).parent
_ROWS_AT_ONCE = 1000
# A table of one row, as the request for it.
_ONE_ROW = "Table.ToRecords(rows){0}"
_CONTROL = re.compile(r'["\x00-\x1f\x7f]|#\(')
_BLOB = re.compile(r"(?:abfss?|az)://(?P<container>[^/@]+)(?:@(?P<host>[^/]+))?/?(?P<path>.*)")
_READERS = {
    "parquet": "Parquet.Document(_)",
    "csv": 'Table.PromoteHeaders(Csv.Document(_, [Delimiter = ",", Encoding = 65001, QuoteStyle = QuoteStyle.Csv]))',
    "jsonl": "Table.FromRecords(List.Transform(Lines.FromBinary(_, QuoteStyle.None, false, 65001), Json.Document), "
    "null, MissingField.UseNull)",
}


@dataclass(frozen=True)
class NoConnectorError(Exception):
    """Power Query does not read from there."""

    place: str

    def __str__(self) -> str:
        """Say so."""
        return f"Power Query has no connector for {self.place}."


def results_query(model: str, output: str, form: str, *, account: str | None = None, job: str | None = None) -> str:
    """Return a query of what a model's jobs wrote.

    Args:
        model: The model's name.
        output: Where each job has its folder: a folder or a URL.
        form: Of the results: parquet, csv, jsonl.
        account: The storage account of a URL that names none.
        job: The job; None for the one that wrote last, whenever the query runs.

    Raises:
        NoConnectorError: Of that storage.
    """
    root = f"{output.rstrip('/')}/"
    path = 'Text.Replace([Folder Path] & [Name], "\\", "/")'
    source = f"Folder.Files({literal(output)})"
    if "://" in output:
        found = _BLOB.fullmatch(root)
        host = (found["host"] or (account and f"{account}.blob.core.windows.net")) if found else None
        if found is None or not host:
            raise NoConnectorError(output)
        root, path = found["path"], "[Name]"
        address = f"https://{host.replace('.dfs.', '.blob.', 1)}"
        source = f"AzureStorage.Blobs({literal(address)}){{[Name = {literal(found['container'])}]}}[Data]"
    return _filled(
        "results",
        model=model,
        job=literal(job),
        root=literal(root),
        source=source,
        path=path,
        ending=literal(f".{form}"),
        read=_READERS[form],
    )


def service_query(model: str, url: str, sample: bytes | None) -> str:
    """Return a query that has a web service score the rows of a table.

    Args:
        model: The model's name.
        url: Where requests go.
        sample: A request, whose rows stand for the table's.
    """
    shape, rows = _shape(sample)
    at_once = 1 if shape == _ONE_ROW else _ROWS_AT_ONCE
    return _filled("service", model=model, url=literal(url), rows=_table(rows), shape=shape, at_once=str(at_once))


def literal(value: Any) -> str:
    """Return a JSON value as M has it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{_CONTROL.sub(_escaped, value)}"'
    if isinstance(value, list):
        return f"{{{', '.join(map(literal, value))}}}"
    if isinstance(value, dict):
        return f"[{', '.join(f'{_name(name)} = {literal(one)}' for name, one in value.items())}]"
    return json.dumps(value)


def _filled(name: str, **values: str) -> str:
    return Template((_QUERIES / f"{name}.pq").read_text(encoding="utf-8")).substitute(values)


def _escaped(match: re.Match[str]) -> str:
    found = match[0]
    if found == '"':
        return '""'
    return "#(#)(" if found == "#(" else f"#({ord(found):04X})"


def _name(name: str) -> str:
    return f"#{literal(name)}"


def _shape(sample: bytes | None) -> tuple[str, list[Any]]:
    """The request as M makes it of a table `rows`, and the sample's own rows.

    They are where scoring/batch/calling.py finds them.
    """
    try:
        value = json.loads(sample or b"null")
    except ValueError:
        value = None
    if place := _rows_place(value):
        return place, value
    if isinstance(value, dict):
        for name, member in value.items():
            if place := _rows_place(member):
                return _record({**{key: literal(one) for key, one in value.items()}, name: place}), member
            if isinstance(member, dict):
                for inner, deeper in member.items():
                    if place := _rows_place(deeper):
                        inside = _record({**{key: literal(one) for key, one in member.items()}, inner: place})
                        return _record({**{key: literal(one) for key, one in value.items()}, name: inside}), deeper
    # A row is a request.
    return _ONE_ROW, [value] if isinstance(value, dict) else []


def _rows_place(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return ""
    if all(isinstance(row, list) for row in value):
        return "Table.ToRows(rows)"
    return "Table.ToRecords(rows)" if all(isinstance(row, dict) for row in value) else ""


def _record(members: dict[str, str]) -> str:
    return f"[{', '.join(f'{_name(name)} = {one}' for name, one in members.items())}]"


def _table(rows: list[Any]) -> str:
    if rows and isinstance(rows[0], dict):
        names = list(dict.fromkeys(name for row in rows for name in row))
        values = [[row.get(name) for name in names] for row in rows]
    else:
        width = max(map(len, rows), default=0)
        names, values = [f"Column{number + 1}" for number in range(width)], rows
    return f"#table({literal(names)}, {literal(values)})"
