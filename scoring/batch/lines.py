"""Whole lines of a range of a file, block by block: a line belongs to the range in which it starts."""

from __future__ import annotations

import gzip
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEWLINE = b"\n"
_MARK = b"\xef\xbb\xbf"


def opened(stream: IO[bytes], path: str) -> IO[bytes]:
    """Return what is in a file that may be compressed."""
    return gzip.open(stream) if path.lower().endswith(".gz") else stream  # type: ignore[return-value]  # it reads bytes


def header_of(stream: IO[bytes]) -> bytes:
    """Return the first line, its end among it, and without a byte order mark."""
    line = stream.readline().removeprefix(_MARK)
    return line if line.endswith(_NEWLINE) or not line else line + _NEWLINE


def blocks(stream: IO[bytes], start: int, end: int | None, size: int, *, starts_line: bool) -> Iterator[bytes]:
    """Read the lines that start in a range.

    Args:
        stream: The file, at any place; at its beginning where it cannot be searched.
        start: Where the range begins.
        end: Where it ends; None for the end of the file.
        size: How many bytes to read at once; a longer line is a block of its own.
        starts_line: Whether a line is known to start where the range does.

    Yields:
        Whole lines together, each with its end but for the last of a file that lacks it.
    """
    at = start
    if starts_line:
        if start:
            stream.seek(start)
    else:
        # The byte before tells whether a line starts here, or one of the range before goes on.
        stream.seek(start - 1)
        at = start - 1 + len(stream.readline())
    rest: list[bytes] = []
    while end is None or at < end:
        block = stream.read(size if end is None else min(size, end - at))
        if not block:
            break
        at += len(block)
        cut = block.rfind(_NEWLINE) + 1
        if not cut:
            rest.append(block)
            continue
        yield b"".join([*rest, block[:cut]])
        rest = [block[cut:]] if cut < len(block) else []
    if rest:
        # It started in the range, and ends behind it.
        yield b"".join([*rest, stream.readline()])
