"""The endpoint that gives a container group tokens of the identities that it has, and of no others."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from standins.azure_metadata.server import RefusalError, StoreServer
from standins.azure_native.groups.bodies import CONTAINER, GROUP, STORE
from standins.azure_native.groups.run import NETWORK
from standins.azure_native.kinds.kind import made_up
from standins.docker.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from standins.azure_metadata.tokens import Tokens
    from standins.azure_native.store import Record, Store

_PATH = "/metadata/identity/oauth2/token"
_FIRST_VERSION = "2018-02-01"
# How a request names one of several identities, and what of an identity's id that is.
_NAMED: dict[str, Callable[[str], str]] = {
    "client_id": lambda identity: made_up("client", identity),
    "object_id": lambda identity: made_up("principal", identity),
    "mi_res_id": lambda identity: identity,
    "msi_res_id": lambda identity: identity,
}


def identity_for(group: Record | None, method: str, headers: dict[str, str], path: str) -> tuple[str, str]:
    """Decide which identity a request is for.

    Args:
        group: Whose container asks; None where the stand-in knows none.
        method: Of the request.
        headers: Of the request, by names in lower case.
        path: Of the request, with its query.

    Returns:
        The identity's id, and the resource that the token is for.

    Raises:
        RefusalError: It gets no token.
    """
    parts = urlsplit(path)
    query = dict(parse_qsl(parts.query))
    if headers.get("metadata", "").lower() != "true" or "x-forwarded-for" in headers:
        raise RefusalError(400, "invalid_request", "Required metadata header not specified")
    if parts.path.rstrip("/") != _PATH:
        raise RefusalError(404, "not_found", f"the stand-in serves {_PATH} alone")
    if method != "GET":
        raise RefusalError(405, "method_not_allowed", f"{method} is not allowed")
    if query.get("api-version", "") < _FIRST_VERSION:
        raise RefusalError(400, "invalid_request", "api-version is missing, or older than 2018-02-01")
    if not query.get("resource"):
        raise RefusalError(400, "invalid_request", "Required query variable 'resource' is missing")
    own = list(((group.body if group else {}).get("identity") or {}).get("userAssignedIdentities") or [])
    wanted = [(name, query[name].lower()) for name in _NAMED if name in query]
    if len(wanted) > 1:
        raise RefusalError(400, "invalid_request", f"{' and '.join(name for name, _ in wanted)} exclude each other")
    if wanted:
        [(name, value)] = wanted
        own = [one for one in own if _NAMED[name](one).lower() == value]
    if not own:
        raise RefusalError(400, "invalid_request", "Identity not found")
    if len(own) > 1:
        text = "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity"
        raise RefusalError(400, "invalid_request", f"{text} in the token request")
    return own[0], query["resource"]


class TokenServer(StoreServer):
    """Answers containers of the store's groups, known by their addresses."""

    def __init__(self, address: tuple[str, int], store: Store, tokens: Tokens) -> None:
        """Listen; what is given is as `StoreServer` has it."""
        super().__init__(address, _Handler, store, tokens)
        self._engine = Engine()
        self._asking = threading.Lock()

    def group_at(self, address: str) -> Record | None:
        """Return the group whose network has an address: the engine says so, at each request."""
        labels = [f"{STORE}={self.store.mark}", f"{CONTAINER}={NETWORK}"]
        with self._asking, self._engine.doing("look for a group") as api:
            for one in api.containers(filters={"label": labels}):
                networks = one["NetworkSettings"]["Networks"].values()
                if address in [network["IPAddress"] for network in networks]:
                    return self.store.get(one["Labels"][GROUP])
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: TokenServer

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_HEAD = do_DELETE = do_GET  # noqa: N815 - http.server calls them so

    def _answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        # A body is none of this: with it unread the connection cannot go on.
        self.close_connection = "content-length" in headers or "transfer-encoding" in headers
        try:
            group = self.server.group_at(self.client_address[0])
            identity, resource = identity_for(group, self.command, headers, self.path)
            status, answer = 200, self.server.tokens.issue(identity, resource)
        except RefusalError as refusal:
            status, answer = refusal.status, {"error": refusal.code, "error_description": str(refusal)}
        self._send(status, answer)

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
