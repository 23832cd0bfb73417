"""Which rows of CSV are none: found line by line, once Arrow has refused a block or read other rows than its lines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# As Arrow has it: a quote opens a value only where the value begins, two of them are one.
_FIELD = rb'(?:[^",\r\n][^,\r\n]*|"[^"]*(?:""[^"]*)*"(?!")[^,\r\n]*)?'
_LINE = rb"%b(?:,%b)*" % (_FIELD, _FIELD)
_ROW = re.compile(_LINE)
_RECORD = re.compile(rb"(%b)(?:\r\n|\n|\r|\Z)" % _LINE)
_LONGEST_VALUE = 1000


@dataclass(frozen=True)
class Wrong:
    """A row that is none.

    Attributes:
        place: Which row of the block it is, from 0.
        reason: What is wrong.
        content: What it holds, cut off where it is long.
        is_rest: Whether the rows behind it cannot be told apart any more.
    """

    place: int
    reason: str
    content: str
    is_rest: bool = False


def is_whole(block: bytes, rows: int) -> bool:
    """Return whether the rows that Arrow read of a block are its lines.

    Args:
        block: Whole lines.
        rows: How many rows were read.
    """
    if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
        return False
    if b'"' not in block:
        return True
    # Empty lines are counted only where it matters: it takes longer.
    return rows == block.count(b"\n") + (not block.endswith(b"\n")) or rows == sum(1 for _ in _lines(block))


def sorted_out(block: bytes, *, multiline: bool) -> tuple[list[bytes], list[int], list[Wrong]]:
    """Return the rows of a block that can be read, their places in it, and those that cannot.

    Args:
        block: Whole lines.
        multiline: Whether values may hold line ends.
    """
    good, places, wrong = [], [], []
    for place, row in enumerate(_records(block) if multiline else _lines(block)):
        reason = _reason(row, multiline=multiline)
        if reason is None:
            good.append(row)
            places.append(place)
        else:
            is_rest = multiline and not _ROW.fullmatch(row)
            wrong.append(Wrong(place, reason, row[:_LONGEST_VALUE].decode("utf-8", "replace"), is_rest))
    return good, places, wrong


def wrong_header(header: bytes) -> str | None:
    """Return what is wrong with a first line; None where nothing is."""
    return _reason(header.rstrip(b"\r\n"), multiline=False)


def ends(block: bytes) -> bool:
    """Return whether the last row of a block ends in it, where values may hold line ends."""
    if block.count(b'"') % 2 == 0:
        return True
    # An odd quote may also stand within a value.
    *_, last = _records(block)
    return _ROW.fullmatch(last) is not None


def _lines(block: bytes) -> Iterator[bytes]:
    for line in block.split(b"\n"):
        if row := line.removesuffix(b"\r"):
            yield row


def _records(block: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(block):
        found = _RECORD.match(block, at)
        if found is None:
            yield block[at:]
            return
        if found[1]:
            yield found[1]
        at = found.end()


def _reason(row: bytes, *, multiline: bool) -> str | None:
    try:
        row.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"the line is no UTF-8: byte 0x{row[error.start]:02x} at {error.start}"
    if (b'"' not in row and b"\r" not in row) or _ROW.fullmatch(row):
        return None
    if multiline:
        return "a quote is opened and never closed: what follows in the file cannot be read"
    if _ROW.fullmatch(row.replace(b"\r", b"")):
        return "the line holds a carriage return that ends no line"
    return "a quote is opened and not closed in the line (--multiline for values that hold line ends)"
