"""What a request asks for, done: the operations on files and folders that Azure's library calls for jobs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

from standins.azure_files.access import missing_header
from standins.azure_files.tree import Node, Share, checked, taken
from standins.azure_metadata.server import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST_BYTES = 4 * 1024 * 1024
_LARGEST_FILE = 4 * 1024**4
_MOST_LISTED = 5000
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class Request:
    """A request that may pass.

    Attributes:
        share: The share's name.
        path: Below it, decoded.
        query: Parameters beside those that name the operation.
        headers: By names in small letters.
        body: What it brings.
    """

    share: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def number(self, name: str, value: str | None) -> int:
        """Return a number that a header or parameter has to have."""
        if value is None or not re.fullmatch(r"\d{1,15}", value):
            raise RefusalError(400, "InvalidHeaderValue", f"{name} has to be a number, not {value!r}.")
        return int(value)

    def flag(self, name: str) -> bool:
        """Return whether a header says true."""
        value = self.headers.get(name, "false").lower()
        if value not in {"true", "false"}:
            raise RefusalError(400, "InvalidHeaderValue", f"{name} has to be true or false.")
        return value == "true"


@dataclass
class Answer:
    """What is answered."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""


class Operations:
    """An account's shares.

    Attributes:
        shares: They, by their names.
    """

    def __init__(self, host: Callable[[], str]) -> None:
        """Begin without any; what is given says where the account is, as in http://HOST."""
        self.shares: dict[str, Share] = {}
        self._host = host

    def create_directory(self, request: Request) -> Answer:
        """Create Directory."""
        share, path = self._place(request)
        if share.node(path) is not None:
            raise taken()
        made = Node(path.rpartition("/")[2], None)
        share.put(path, made)
        return Answer(201, _marks(made))

    def directory_properties(self, request: Request) -> Answer:
        """Get Directory Properties."""
        share, path = self._place(request)
        return Answer(200, _marks(share.folder(path)))

    def list_directory(self, request: Request) -> Answer:
        """List Directories and Files: a page of them."""
        share, path = self._place(request)
        share.folder(path)
        most = min(request.number("maxresults", request.query.get("maxresults", str(_MOST_LISTED))), _MOST_LISTED)
        if not most:
            raise RefusalError(400, "OutOfRangeQueryParameterValue", "maxresults has to be more than 0.")
        prefix, marker = request.query.get("prefix", ""), request.query.get("marker", "")
        there = [one for one in share.children(path) if one.name.lower().startswith(prefix.lower())]
        later = [one for one in there if one.name.lower() >= marker]
        page, rest = later[:most], later[most:]
        following = rest[0].name.lower() if rest else ""
        address = escape(f"{self._host()}/", {'"': "&quot;"})
        named = escape(path, {'"': "&quot;"})
        body = (
            '<?xml version="1.0" encoding="utf-8"?>'
            f'<EnumerationResults ServiceEndpoint="{address}" ShareName="{share.name}" DirectoryPath="{named}">'
            f"<Prefix>{escape(prefix)}</Prefix><Marker>{escape(marker)}</Marker><MaxResults>{most}</MaxResults>"
            f"<Entries>{''.join(map(_listed, page))}</Entries><NextMarker>{escape(following)}</NextMarker>"
            "</EnumerationResults>"
        )
        return Answer(200, {"Content-Type": "application/xml"}, body.encode())

    def create_file(self, request: Request) -> Answer:
        """Create File: of a size, filled with zeros, in place of what was there."""
        if request.headers.get("x-ms-type") != "file":
            raise missing_header("x-ms-type")
        if "x-ms-content-length" not in request.headers:
            raise missing_header("x-ms-content-length")
        if request.body:
            raise RefusalError(400, "InvalidHeaderValue", "The stand-in makes files without content.")
        size = request.number("x-ms-content-length", request.headers["x-ms-content-length"])
        if size > _LARGEST_FILE:
            raise RefusalError(413, "RequestBodyTooLarge", "The file is larger than 4 TiB.")
        share, path = self._place(request)
        if share.node(path) is not None:
            share.file(path)
        made = Node(path.rpartition("/")[2], bytearray(size))
        share.put(path, made)
        return Answer(201, _marks(made))

    def put_range(self, request: Request) -> Answer:
        """Put Range: within the size that the file has."""
        share, path = self._place(request)
        node, content = share.file(path)
        found = _RANGE.fullmatch(request.headers.get("x-ms-range") or request.headers.get("range") or "")
        if request.headers.get("x-ms-write") != "update" or found is None or not found[2]:
            raise missing_header("x-ms-write" if found else "x-ms-range")
        start, end = int(found[1]), int(found[2]) + 1
        if end > len(content) or start >= end:
            raise _no_range()
        if end - start != len(request.body):
            raise RefusalError(400, "InvalidHeaderValue", "Content-Length is not the range's.")
        content[start:end] = request.body
        node.changed()
        return Answer(201, _marks(node))

    def rename_file(self, request: Request) -> Answer:
        """Rename File: a step that nobody sees the half of."""
        source = urlsplit(request.headers.get("x-ms-file-rename-source", ""))
        if not source.netloc:
            raise missing_header("x-ms-file-rename-source")
        name, _, inner = unquote(source.path).lstrip("/").partition("/")
        if name != request.share:
            raise RefusalError(400, "InvalidHeaderValue", "A file is renamed within its share.")
        share, path = self._place(request)
        old = checked(inner, keeps_dots=request.flag("x-ms-source-allow-trailing-dot"))
        share.file(old)
        there = share.node(path)
        if there is not None and there.content is None:
            raise taken()
        if there is not None and not request.flag("x-ms-file-rename-replace-if-exists"):
            raise taken()
        node, _ = share.file(old)
        share.put(path, node)
        if old.lower() != path.lower():
            share.remove(old)
        node.name = path.rpartition("/")[2]
        node.changed()
        return Answer(200, _marks(node))

    def get_file(self, request: Request) -> Answer:
        """Get File: all of it, or a range."""
        share, path = self._place(request)
        node, content = share.file(path)
        headers = {**_marks(node), **_FILE}
        asked = request.headers.get("x-ms-range") or request.headers.get("range")
        if not asked:
            return Answer(200, headers, bytes(content))
        found = _RANGE.fullmatch(asked)
        if found is None:
            raise RefusalError(400, "InvalidHeaderValue", "The range is none.")
        start, last = int(found[1]), min(int(found[2] or len(content)), len(content) - 1)
        if start > last:
            raise _no_range()
        headers["Content-Range"] = f"bytes {start}-{last}/{len(content)}"
        return Answer(206, headers, bytes(content[start : last + 1]))

    def file_properties(self, request: Request) -> Answer:
        """Get File Properties: the answer to a HEAD has the file's size as its length."""
        share, path = self._place(request)
        node, content = share.file(path)
        return Answer(200, {**_marks(node), **_FILE, "Content-Length": str(len(content))})

    def delete_file(self, request: Request) -> Answer:
        """Delete File."""
        share, path = self._place(request)
        share.remove(path)
        return Answer(202)

    def _place(self, request: Request) -> tuple[Share, str]:
        if request.share not in self.shares:
            raise RefusalError(404, "ShareNotFound", "The specified share does not exist.")
        path = checked(request.path, keeps_dots=request.flag("x-ms-allow-trailing-dot"))
        return self.shares[request.share], path


_FILE = {"x-ms-type": "File", "Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}


def _marks(node: Node) -> dict[str, str]:
    return {"ETag": node.etag, "Last-Modified": formatdate(node.modified, usegmt=True)}


def _listed(node: Node) -> str:
    name = f"<Name>{escape(node.name)}</Name>"
    if node.content is None:
        return f"<Directory>{name}<Properties /></Directory>"
    size = len(node.content)
    return f"<File>{name}<Properties><Content-Length>{size}</Content-Length></Properties></File>"


def _no_range() -> RefusalError:
    return RefusalError(416, "InvalidRange", "The range specified is invalid for the current size of the resource.")
