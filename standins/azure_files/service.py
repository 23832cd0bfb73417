"""The HTTP service of an account: which operation a request is, in what form, and Azure's words where it is refused.

https://learn.microsoft.com/rest/api/storageservices/operations-on-files has the operations.
"""

from __future__ import annotations

import base64
import contextlib
import re
import ssl
import threading
import uuid
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

from standins.azure_files.access import CHALLENGE, Access, missing_header
from standins.azure_files.operations import MOST_BYTES, Answer, Operations, Request
from standins.azure_metadata.server import RefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from standins.azure_metadata.tokens import Tokens

# The first that lets identities in, and keeps dots at the ends of names.
_FIRST_VERSION = "2022-11-02"
# The operations by verb, restype and comp, with the parameters and headers that each takes beside those of all. Azure
# may let others pass; here a slip shall show.
_COMMON = frozenset(
    {"x-ms-version", "x-ms-date", "x-ms-client-request-id", "x-ms-file-request-intent", "x-ms-allow-trailing-dot"}
)
_OPERATIONS: dict[tuple[str, str, str], tuple[str, frozenset[str]]] = {
    ("PUT", "directory", ""): ("create_directory", frozenset()),
    ("GET", "directory", ""): ("directory_properties", frozenset()),
    ("HEAD", "directory", ""): ("directory_properties", frozenset()),
    ("GET", "directory", "list"): ("list_directory", frozenset({"prefix", "marker", "maxresults"})),
    ("PUT", "", ""): ("create_file", frozenset({"x-ms-type", "x-ms-content-length"})),
    ("PUT", "", "range"): ("put_range", frozenset({"x-ms-write", "x-ms-range"})),
    ("PUT", "", "rename"): (
        "rename_file",
        frozenset({"x-ms-file-rename-source", "x-ms-file-rename-replace-if-exists", "x-ms-source-allow-trailing-dot"}),
    ),
    ("GET", "", ""): ("get_file", frozenset({"x-ms-range"})),
    ("HEAD", "", ""): ("file_properties", frozenset()),
    ("DELETE", "", ""): ("delete_file", frozenset()),
}


class FilesServer(ThreadingHTTPServer):
    """Serves an account's shares, which it has in memory.

    Attributes:
        url: Its address.
        connection_string: What Azure's clients take, for AZURE_STORAGE_CONNECTION_STRING.
        tokens: What checks tokens.
        asked: The operations that were asked for, in their order.
    """

    daemon_threads = True

    def __init__(
        self,
        account: str = "files",
        *,
        host: str = "127.0.0.1",
        certificate: Path | None = None,
        tokens: Tokens | None = None,
        roles: Mapping[str, str] | None = None,
    ) -> None:
        """Listen on a free port.

        Args:
            account: Its name.
            host: At which address of this machine.
            certificate: For HTTPS, with its key; without, HTTP and no tokens.
            tokens: Checks them.
            roles: READER or CONTRIBUTOR, by principals.
        """
        super().__init__((host, 0), _Handler)
        key = uuid.uuid4().bytes * 4
        self.context = None
        if certificate is not None:
            self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self.context.load_cert_chain(certificate)
        self.url = f"http{'s' if certificate else ''}://{host}:{self.server_address[1]}"
        self.connection_string = (
            f"AccountName={account};AccountKey={base64.b64encode(key).decode()};FileEndpoint={self.url}/"
        )
        self.tokens = tokens
        self.access = Access(account, key, tokens if certificate else None, roles or {})
        self.operations = Operations(lambda: self.url)
        self.asked: list[str] = []
        self.lock = threading.Lock()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a connection that broke: clients are killed in tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FilesServer

    def setup(self) -> None:
        # Here, in the connection's own thread: a client that says nothing keeps nobody waiting.
        if self.server.context is not None:
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            answer = self._answered(headers)
        except RefusalError as refusal:
            answer = _refused(refusal)
        with contextlib.suppress(OSError):
            self._send(answer)

    do_PUT = do_HEAD = do_DELETE = do_POST = do_GET  # noqa: N815 - http.server calls them so

    def log_message(self, form: str, *values: object) -> None:
        """Keep silent."""

    def _answered(self, headers: dict[str, str]) -> Answer:
        body = self._body(headers)
        if "x-ms-version" not in headers:
            raise missing_header("x-ms-version")
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", headers["x-ms-version"]) or headers["x-ms-version"] < _FIRST_VERSION:
            raise RefusalError(400, "InvalidHeaderValue", f"The stand-in knows versions from {_FIRST_VERSION} on.")
        self.server.access.check(self.command, self.path, headers)
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        kind = (self.command, query.pop("restype", ""), query.pop("comp", ""))
        share, _, path = unquote(parts.path).lstrip("/").partition("/")
        if kind not in _OPERATIONS or not share:
            raise RefusalError(405, "UnsupportedHttpVerb", f"The stand-in does not serve {self.command} {self.path}.")
        name, allowed = _OPERATIONS[kind]
        own = {one for one in headers if one.startswith("x-ms-")}
        if unknown := (own - _COMMON | set(query)) - allowed:
            raise RefusalError(400, "InvalidUri", f"The stand-in knows no {', '.join(sorted(unknown))} of {name}.")
        with self.server.lock:
            self.server.asked.append(name)
            answer: Answer = getattr(self.server.operations, name)(Request(share, path, query, headers, body))
        return answer

    def _body(self, headers: Mapping[str, str]) -> bytes:
        # Read before anything is refused: what is left would be taken for the next request.
        length = headers.get("content-length", "0" if self.command != "PUT" else "")
        if not length.isdecimal():
            self.close_connection = True
            raise RefusalError(411, "MissingContentLengthHeader", "Content-Length is missing.")
        if int(length) > MOST_BYTES:
            self.close_connection = True
            raise RefusalError(413, "RequestBodyTooLarge", "The request body is larger than 4 MiB.")
        return self.rfile.read(int(length))

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        own = {
            "Content-Length": str(len(answer.content)),
            "x-ms-request-id": str(uuid.uuid4()),
            "x-ms-version": self.headers.get("x-ms-version", _FIRST_VERSION),
            "Date": formatdate(usegmt=True),
        }
        if self.close_connection:
            own["Connection"] = "close"
        for name, value in {**own, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)


def _refused(refusal: RefusalError) -> Answer:
    headers = {"Content-Type": "application/xml", "x-ms-error-code": refusal.code}
    if refusal.status == 401:  # noqa: PLR2004 - HTTP's
        headers["WWW-Authenticate"] = CHALLENGE
    text = f"<Error><Code>{refusal.code}</Code><Message>{escape(str(refusal))}</Message></Error>"
    return Answer(refusal.status, headers, f'<?xml version="1.0" encoding="utf-8"?>{text}'.encode())
