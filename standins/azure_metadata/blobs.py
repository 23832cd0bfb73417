"""Blob storage as Azure has it for whoever has a token: HTTPS at the account's own name, roles asked at each request.

Behind it is the store's Azurite, which knows keys only.
"""

from __future__ import annotations

import http.client
import logging
import ssl
import sys
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

import jwt

from standins.azure_metadata.server import RefusalError, StoreServer
from standins.azure_native import azurite
from standins.azure_native.kinds.kind import TENANT
from standins.azure_native.kinds.role_assignment import MAY_READ_BLOBS, MAY_WRITE_BLOBS, has_role
from standins.azure_native.metadata import BLOBS, certificates

if TYPE_CHECKING:
    from standins.azure_metadata.tokens import Tokens
    from standins.azure_native.store import Record, Store

_LARGEST_BODY = 4 * 1024**3
_SECONDS = 60
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
# Of one connection, or what the request to Azurite has of its own.
_NOT_PASSED_ON = frozenset({"authorization", "connection", "content-length", "host", "keep-alive", "transfer-encoding"})
_CHALLENGE = (
    f"Bearer authorization_uri=https://login.microsoftonline.com/{TENANT}/oauth2/authorize "
    "resource_id=https://storage.azure.com"
)
_LOG = logging.getLogger("blobs")


def authorized(store: Store, tokens: Tokens, method: str, host: str, path: str, header: str) -> Record:
    """Let a request pass whose token is of an identity that may do it.

    Args:
        store: What there is.
        tokens: Checks them.
        method: Of the request.
        host: The name that it was sent to.
        path: Its path with the query.
        header: Its Authorization.

    Returns:
        The account.

    Raises:
        RefusalError: It may not.
    """
    name, _, domain = host.partition(":")[0].lower().partition(".")
    account = next((one for one in store.all("storage:StorageAccount") if one.name == name), None)
    if account is None or domain != BLOBS:
        raise RefusalError(400, "InvalidUri", f"There is no storage account at {host}.")
    parts = urlsplit(path)
    scheme, _, token = header.partition(" ")
    if scheme == "SharedKey" or "sig" in parse_qs(parts.query):
        if account.body.get("allowSharedKeyAccess") is False:
            text = "Key based authentication is not permitted on this storage account."
            raise RefusalError(403, "KeyBasedAuthenticationNotPermitted", text)
        raise RefusalError(403, "AuthenticationFailed", "The stand-in takes keys at Azurite's own address only.")
    if scheme != "Bearer" or not token:
        text = (
            "Server failed to authenticate the request. Please refer to the information in the www-authenticate header."
        )
        raise RefusalError(401, "NoAuthenticationInformation", text)
    own = [f"https://{name}.{BLOBS}", "https://storage.azure.com"]
    try:
        principal = tokens.principal(token, [form for one in own for form in (one, f"{one}/")])
    except jwt.InvalidTokenError as error:
        text = f"Server failed to authenticate the request. ({error})"
        raise RefusalError(401, "InvalidAuthenticationInfo", text) from None
    container = parts.path.lstrip("/").partition("/")[0]
    on = f"{account.id}/blobServices/default/containers/{container}" if container else account.id
    roles = MAY_READ_BLOBS if method in _READING else MAY_WRITE_BLOBS
    if not has_role(store.all("authorization:RoleAssignment"), principal, roles, on):
        raise RefusalError(
            403,
            "AuthorizationPermissionMismatch",
            "This request is not authorized to perform this operation using this permission.",
        )
    return account


class BlobServer(StoreServer):
    """Serves all accounts of a store."""

    def __init__(self, address: tuple[str, int], store: Store, tokens: Tokens) -> None:
        """Listen, with TLS; what is given is as `StoreServer` has it."""
        super().__init__(address, _Handler, store, tokens)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(certificates(store)[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Note a connection that broke in one line; who looks whether the port answers says no more."""
        del request
        _LOG.info("%s: %r", client_address, sys.exception())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: BlobServer

    def setup(self) -> None:
        # Here, in the connection's own thread: a client that says nothing keeps nobody waiting.
        self.request.settimeout(_SECONDS)
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def do_GET(self) -> None:
        self._answer()

    do_PUT = do_HEAD = do_DELETE = do_POST = do_OPTIONS = do_GET  # noqa: N815 - http.server calls them so

    def log_message(self, form: str, *values: object) -> None:
        _LOG.info(form, *values)

    def _answer(self) -> None:
        host = self.headers.get("Host", "")
        try:
            body = self._body()
            header = self.headers.get("Authorization", "")
            account = authorized(self.server.store, self.server.tokens, self.command, host, self.path, header)
            self._pass_on(account, body)
        except RefusalError as refusal:
            text = f"<Error><Code>{refusal.code}</Code><Message>{escape(str(refusal))}</Message></Error>"
            headers = [("Content-Type", "application/xml"), ("x-ms-error-code", refusal.code)]
            if refusal.status == http.client.UNAUTHORIZED:
                headers.append(("WWW-Authenticate", _CHALLENGE))
            self._send(refusal.status, headers, f'<?xml version="1.0" encoding="utf-8"?>{text}'.encode())

    def _body(self) -> bytes:
        # Read before anything is refused: what is left would be taken for the next request.
        length = int(self.headers.get("Content-Length") or 0)
        if length > _LARGEST_BODY or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise RefusalError(411, "MissingContentLengthHeader", "The stand-in takes bodies with a length only.")
        return self.rfile.read(length)

    def _pass_on(self, account: Record, body: bytes) -> None:
        place = azurite.place(self.server.store)
        if place is None:
            raise RefusalError(503, "ServerBusy", "Azurite is not there.")
        parts = urlsplit(self.path)
        signed = azurite.account_signature(self.server.store, account)
        query = "&".join(filter(None, (parts.query, signed)))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_PASSED_ON}
        headers["Content-Length"] = str(len(body))
        connection = http.client.HTTPConnection(*place, timeout=_SECONDS)
        try:
            connection.request(self.command, f"/{account.name}{parts.path}?{query}", body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise RefusalError(503, "ServerBusy", f"Azurite does not answer: {error}") from None
        finally:
            connection.close()
        passed = [(name, value) for name, value in answer.getheaders() if name.lower() not in _NOT_PASSED_ON]
        if self.command == "HEAD" and (length := answer.getheader("Content-Length")):
            passed.append(("Content-Length", length))
        self._send(answer.status, passed, content)

    def _send(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.log_request(status)
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        elif not any(name == "Content-Length" for name, _ in headers):
            self.send_header("Content-Length", "0")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
