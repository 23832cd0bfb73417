"""Runs the stand-in: `python -m standins.iot_hub --folder FOLDER --port PORT`; its keys come in a variable."""

from __future__ import annotations

import argparse
import http.server
import json
import os
import signal
import ssl
import sys
import threading
import urllib.parse
from pathlib import Path
from typing import Any

from standins.iot_hub.failure import HubError
from standins.iot_hub.faults import throttled
from standins.iot_hub.hub import Hub
from standins.iot_hub.service import Answer, Policy, Request, Service
from standins.iot_hub.store import Store
from standins.iot_hub.tls import certificates

KEYS = "SLIPWAY_IOT_HUB_POLICIES"
_LARGEST_BODY = 1024 * 1024


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Answers are small: each goes at once.
    disable_nagle_algorithm = True
    timeout = 120
    server: _Server

    def _serve(self) -> None:
        try:
            answer = self._answer()
        except HubError as error:
            retry = {"Retry-After": "1"} if error.status == http.HTTPStatus.TOO_MANY_REQUESTS else {}
            self._send(error.status, error.body(), {"iothub-errorcode": error.code, **retry})
        except Exception as error:  # noqa: BLE001 - a client is told, and the others go on
            self.log_error("%s: %r", self.path, error)
            self._send(500, HubError(500, "ServerError", repr(error)).body(), {})
        else:
            body = b"" if answer.value is None else json.dumps(answer.value).encode()
            self._send(answer.status, body, answer.headers)

    def _answer(self) -> Answer:
        length = int(self.headers.get("Content-Length") or 0)
        if length > _LARGEST_BODY:
            self.close_connection = True
            raise HubError(413, "RequestEntityTooLarge", f"at most {_LARGEST_BODY} bytes")
        body = self.rfile.read(length)
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        parameters = dict(urllib.parse.parse_qsl(query))
        if not path.startswith("/standin/") and throttled(self.server.folder):
            raise HubError(429, "ThrottlingException", "Operation rate limit exceeded (injected)")
        service = self.server.service
        return service.answer(Request(service.hub, self.command, path, parameters, headers, body))

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if body:
            self.send_header("Content-Type", "application/json; charset=utf-8")
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 - the base's own names

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base's own name
        """Say nothing of what went well."""

    def log_error(self, format: str, *arguments: Any) -> None:  # noqa: A002 - as above
        """Say what went wrong; never a header or a body."""
        sys.stderr.write(f"{format % arguments}\n")


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], service: Service, folder: Path, context: ssl.SSLContext) -> None:
        super().__init__(address, _Handler)
        self.service = service
        self.folder = folder
        self._context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Speak TLS in the connection's own thread: a client that is slow to begin holds up nobody."""
        try:
            wrapped = self._context.wrap_socket(request, server_side=True)
        except OSError:
            return
        with wrapped:
            super().finish_request(wrapped, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes in the middle is nothing to write about."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def policies(text: str) -> dict[str, Policy]:
    """Read the policies: name to `{"keys": [...], "rights": [...]}`."""
    return {
        name: Policy(tuple(one["keys"]), frozenset(one["rights"])) for name, one in json.loads(text or "{}").items()
    }


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m standins.iot_hub", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where its state is")
    parser.add_argument("--certificates", type=Path, required=True, help="where its certificates are")
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1")
    options = parser.parse_args()
    try:
        store = Store(options.folder)
    except BlockingIOError:
        parser.error(f"another process serves {options.folder}")
    _, server = certificates(options.certificates)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    service = Service(Hub(store), f"localhost:{options.port}", policies(os.environ.pop(KEYS, "")))
    serving = _Server(("127.0.0.1", options.port), service, options.folder, context)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=serving.shutdown).start())
    serving.serve_forever()
    store.close()


if __name__ == "__main__":
    main()
