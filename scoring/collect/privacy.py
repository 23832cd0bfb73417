"""Columns that are left out or hashed, wherever in a value they are."""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING, Any

import orjson

from scoring.answers import to_json
from scoring.collect.shapes import LIKE_JSON, cells_of, folded, table_keys

if TYPE_CHECKING:
    from collections.abc import Collection


class Privacy:
    """Cleans values: names match whatever their case, at every depth, also in tables and in JSON within texts.

    Attributes:
        is_asked: Whether there is anything to clean.
    """

    def __init__(self, drop: Collection[str] = (), hashed: Collection[str] = (), key: bytes = b"") -> None:
        """Clean these columns.

        Args:
            drop: Names of the columns to leave out, in lower case.
            hashed: Names of the columns to hash, in lower case.
            key: The key of the hashes.
        """
        self._drop = frozenset(drop)
        self._hash = frozenset(hashed)
        self._names = self._drop | self._hash
        self._key = key
        self.is_asked = bool(self._names)

    def clean(self, value: Any) -> Any:
        """Return a JSON value without what is private."""
        if not self.is_asked:
            return value
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, (list, tuple)):
            return [self.clean(item) for item in value]
        return self._text(value) if isinstance(value, str) else value

    def _object(self, value: dict[Any, Any]) -> dict[Any, Any]:
        name, cells = cells_of(value)
        if cells and _is_among(name, self._hash):
            return self._record({key: self._hashed(item) if key in cells else item for key, item in value.items()})
        if cells and _is_among(name, self._drop):
            return self._record({key: item for key, item in value.items() if key not in cells})
        keys = table_keys(value)
        return self._record(value) if keys is None else self._table(value, *keys)

    def _record(self, record: dict[Any, Any]) -> dict[Any, Any]:
        cleaned = {}
        for name, value in record.items():
            if _is_among(name, self._hash):
                cleaned[name] = self._hashed(value)
            elif not _is_among(name, self._drop):
                cleaned[name] = self.clean(value)
        return cleaned

    def _table(self, table: dict[Any, Any], names: list[Any], places: list[Any]) -> dict[Any, Any]:
        """A table whose columns' names stand apart from its rows, as pandas writes it with orient="split"."""
        rest = self._record({name: value for name, value in table.items() if name not in {*names, *places}})
        columns = table[names[0]]
        rows = [row for place in places for row in table[place]]
        if len(names) > 1 or any(not isinstance(row, (list, dict)) or len(row) > len(columns) for row in rows):
            # No telling which cell is of which column.
            return rest
        kept = [index for index, name in enumerate(columns) if not _is_among(name, self._drop)]
        hashes = {index for index, name in enumerate(columns) if _is_among(name, self._hash)}
        cleaned = {
            place: [
                self.clean(row)
                if isinstance(row, dict)
                else [self._hashed(row[i]) if i in hashes else self.clean(row[i]) for i in kept if i < len(row)]
                for row in table[place]
            ]
            for place in places
        }
        return {**rest, names[0]: [columns[index] for index in kept], **cleaned}

    def _hashed(self, value: Any) -> Any:
        """The hash of each item of a list, of the whole of anything else; null stays null."""
        if value is None:
            return None
        if isinstance(value, (list, tuple)):
            return [self._hashed(item) for item in value]
        plain = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else _canonical(value)
        return hmac.digest(self._key, plain, "sha256").hex()

    def _text(self, text: str) -> str | None:
        """Clean JSON that is carried as a text."""
        if not text.lstrip().startswith(LIKE_JSON):
            return text
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            # Much like JSON, but not: with a private name in it, its value cannot be told from the rest.
            folded = text.casefold()
            return None if "\\u" in text or any(name in folded for name in self._names) else text
        cleaned = self.clean(value)
        return text if cleaned == value else to_json(cleaned).decode()


def _canonical(value: Any) -> bytes:
    plain = orjson.loads(to_json(value))
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)


def _is_among(name: Any, names: frozenset[str]) -> bool:
    """Whether a column is one of these, by its name, a level of it, or what describes it."""
    if isinstance(name, (list, tuple)):
        return any(_is_among(level, names) for level in name)
    if isinstance(name, dict):
        return _is_among(list(name.values()), names)
    return folded(name) in names
