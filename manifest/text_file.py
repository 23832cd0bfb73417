"""Reads a text file that a user wrote, and says what it is if it is none."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING

from manifest.problems import ManifestError, Problem

if TYPE_CHECKING:
    from pathlib import Path

# Some two thousand models.
_LARGEST = 1024 * 1024
# What YAML allows nowhere, and no other text file has either.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_text(path: Path, name: str, largest: int = _LARGEST) -> str:
    """Read a text file that a user wrote.

    Args:
        path: The file.
        name: What to call it in messages.
        largest: How many bytes it may have.

    Raises:
        ManifestError: It is missing, no regular file, too large, unreadable or not UTF-8.
    """

    def refuse(message: str, line: int | None = None, column: int | None = None) -> ManifestError:
        return ManifestError([Problem(name, line, column, "", message)])

    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise refuse("is a folder; a file is needed")
        if not stat.S_ISREG(status.st_mode):
            raise refuse("is not a regular file")
        if status.st_size > largest:
            raise refuse(f"has {status.st_size:,} bytes; at most {largest:,} are read")
        data = path.read_bytes()
    except FileNotFoundError:
        raise refuse("no such file") from None
    except (OSError, ValueError) as error:
        raise refuse(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise refuse("is UTF-16; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", errors="replace")
        place = _place(before, len(before))
        raise refuse(f"is not UTF-8: byte 0x{data[error.start]:02x}; save it as UTF-8", *place) from None
    bad = _UNPRINTABLE.search(text)
    if bad:
        raise refuse(f"contains the control character U+{ord(bad[0]):04X}", *_place(text, bad.start()))
    return text


def _place(text: str, index: int) -> tuple[int, int]:
    start = text.rfind("\n", 0, index) + 1
    return text.count("\n", 0, index) + 1, index - start + 1
