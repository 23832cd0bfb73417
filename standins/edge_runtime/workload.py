"""The workload API: what a module asks to be known by the hub, on a socket of its own: no key is in its settings."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

SOCKET = "workload.sock"
API_VERSION = "2019-01-30"
GENERATION = "1"
_SIGN = re.compile(r"/modules/(?P<module>[^/]+)/genid/(?P<generation>[^/]+)/sign")
_LONGEST = 64 * 1024


class Workload:
    """The API for one module: it signs in that module's name only."""

    def __init__(self, folder: Path, module: str, ca: Path) -> None:
        """Listen.

        Args:
            folder: Where the socket is to be; mounted into the module.
            module: The module's name.
            ca: The certificate that the module has to trust.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / SOCKET
        path.unlink(missing_ok=True)
        self._server = _Server(str(path), _Handler)
        self._server.about = (module, secrets.token_bytes(32), ca)
        # The module runs as a user of its own.
        path.chmod(0o666)
        threading.Thread(target=self._server.serve_forever, name=f"workload-{module}", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    about: tuple[str, bytes, Path]


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        """Return who asks: there is only one."""
        return self.server.about[0]

    def log_message(self, *_: Any) -> None:
        """Write nothing: nobody looks there."""

    def do_GET(self) -> None:
        """Answer for the trust bundle."""
        if urlsplit(self.path).path == "/trust-bundle":
            self._answer(200, {"certificate": self.server.about[2].read_text(encoding="utf-8")})
        else:
            self._answer(404, {"message": "there is /trust-bundle"})

    def do_POST(self) -> None:
        """Sign."""
        module, key, _ = self.server.about
        body = self.rfile.read(min(int(self.headers.get("content-length") or 0), _LONGEST))
        found = _SIGN.fullmatch(urlsplit(self.path).path)
        if found is None or (found["module"], found["generation"]) != (module, GENERATION):
            self._answer(404, {"message": f"there is /modules/{module}/genid/{GENERATION}/sign"})
            return
        try:
            asked = json.loads(body)
            data = base64.b64decode(asked["data"], validate=True)
            algorithm = asked["algo"]
        except (ValueError, KeyError, TypeError) as error:
            self._answer(400, {"message": f"not a request to sign: {error}"})
            return
        if algorithm != "HMACSHA256":
            self._answer(400, {"message": f"algo is {algorithm!r}; allowed is HMACSHA256"})
            return
        digest = hmac.new(key, data, hashlib.sha256).digest()
        self._answer(200, {"digest": base64.b64encode(digest).decode()})

    def _answer(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
