"""Bodies of forms with files (RFC 7578), all in memory: the server bounds a body's size."""

from __future__ import annotations

import io
from email.parser import Parser
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import Message


class FileStorage:
    """A file of a form.

    Attributes:
        stream: Its bytes.
        name: The field's name.
        filename: The file's name, as the caller has it.
        content_type: What it is.
    """

    def __init__(self, data: bytes, name: str, filename: str, content_type: str) -> None:
        """Take a file."""
        self.stream = io.BytesIO(data)
        self.name = name
        self.filename = filename
        self.content_type = self.mimetype = content_type

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        return self.stream.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        return self.stream.seek(offset, whence)

    def save(self, dst: str | Path | IO[bytes]) -> None:
        """Write what was not read yet to a path or a file."""
        if isinstance(dst, (str, Path)):
            Path(dst).write_bytes(self.stream.read())
        else:
            dst.write(self.stream.read())


def parse_multipart(body: bytes, boundary: str) -> tuple[list[tuple[str, str]], list[tuple[str, FileStorage]]]:
    """Return the fields and the files of a form.

    Args:
        body: The body.
        boundary: What its content type says lies between its parts.

    Raises:
        ValueError: It is not such a body.
    """
    between = b"\r\n--" + boundary.encode("latin-1")
    # The first boundary has no line before it.
    _, *parts = (b"\r\n" + body).split(between)
    if not boundary or not parts or not parts[-1].startswith(b"--"):
        raise ValueError(f"the body is not a form with parts between lines of {boundary!r}")
    fields, files = [], []
    for part in parts[:-1]:
        raw_headers, found, data = part.partition(b"\r\n\r\n")
        headers = Parser().parsestr(raw_headers.lstrip().decode("utf-8", "replace"), headersonly=True)
        name = _parameter(headers, "name")
        if not found or name is None:
            raise ValueError("the body is a form with a part that has no name")
        filename = _parameter(headers, "filename")
        if filename is None:
            fields.append((name, data.decode("utf-8", "replace")))
        else:
            files.append((name, FileStorage(data, name, filename, headers.get_content_type())))
    return fields, files


def _parameter(headers: Message, name: str) -> str | None:
    value = headers.get_param(name, header="content-disposition")
    if isinstance(value, tuple):
        charset, _, text = value
        return text.encode("latin-1", "replace").decode(charset or "utf-8", "replace")
    return value
