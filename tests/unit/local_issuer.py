"""An issuer as Microsoft Entra is one, on this machine: OpenID configurations, keys, and tokens signed with them."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

TENANT = "11111111-2222-3333-4444-555555555555"
AUDIENCE = "99999999-0000-0000-0000-000000000000"
CLIENT = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"


class Issuer:
    """A tenant's issuers of v1 and v2 tokens.

    Attributes:
        signing: The keys by their ids, oldest first.
        asked: The paths that were asked for.
        replies: What is answered instead, by path: a status, or bytes.
    """

    def __init__(self) -> None:
        self.signing: dict[str, rsa.RSAPrivateKey] = {}
        self.asked: list[str] = []
        self.replies: dict[str, Any] = {}
        self.add_key("first")
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer._answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.authority = f"http://127.0.0.1:{self._server.server_port}"
        self.v1 = f"https://sts.local/{TENANT}/"
        self.v2 = f"{self.authority}/{TENANT}/v2.0"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def add_key(self, key_id: str) -> None:
        """Sign with a new key from now on."""
        self.signing[key_id] = rsa.generate_private_key(65537, 2048)

    def claims(self, **others: Any) -> dict[str, Any]:
        """The claims of a good v2 token, with changes; None takes one out."""
        now = int(time.time())
        good = {"iss": self.v2, "aud": AUDIENCE, "azp": CLIENT, "iat": now, "nbf": now, "exp": now + 3600, "ver": "2.0"}
        return {name: value for name, value in (good | others).items() if value is not None}

    def token(self, key_id: str = "", **others: Any) -> str:
        """A token, signed by the newest key unless another is named."""
        key_id = key_id or list(self.signing)[-1]
        return jwt.encode(self.claims(**others), self.signing[key_id], "RS256", {"kid": key_id})

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        reply = self.replies.get(request.path, self._reply(request.path))
        if isinstance(reply, int):
            request.send_response(reply)
            if reply in {301, 302, 307}:
                request.send_header("location", f"{self.authority}/{TENANT}/v2.0/.well-known/openid-configuration")
            body = b""
        else:
            request.send_response(200)
            body = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _reply(self, path: str) -> Any:
        places = {f"/{TENANT}": (self.v1, "/v1/keys"), f"/{TENANT}/v2.0": (self.v2, "/v2/keys")}
        tenant, _, document = path.partition("/.well-known/")
        if document == "openid-configuration" and tenant in places:
            name, keys = places[tenant]
            return {"issuer": name, "jwks_uri": self.authority + keys}
        if path == "/v1/keys":
            return {"keys": [self.public(key_id) for key_id in self.signing]}
        if path == "/v2/keys":
            belongs_to = f"{self.authority}/{{tenantid}}/v2.0"
            return {"keys": [self.public(key_id) | {"issuer": belongs_to} for key_id in self.signing]}
        return 404

    def public(self, key_id: str) -> dict[str, Any]:
        """A key as it is published."""
        entry = RSAAlgorithm.to_jwk(self.signing[key_id].public_key(), as_dict=True)
        return {name: entry[name] for name in ("kty", "n", "e")} | {"kid": key_id, "use": "sig"}
