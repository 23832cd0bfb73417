"""Writes a file as a whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Replace a file; a reader sees the old content or the new. A link stays one: what it leads to is replaced.

    Raises:
        OSError: The file cannot be written, or is a folder, a device, or anything else that has no content to replace.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "is no regular file", str(path))
    # Beside the file, as a rename works only within a file system; not tempfile, which ignores the umask.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:
            # A full disk shows in a write, which knows of no path.
            error.filename = str(path)
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
