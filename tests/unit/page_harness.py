"""The page in a real browser: the page's files, a service's real documents, and a /score of the test's."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from playwright.sync_api import sync_playwright

from scoring import page
from scoring.answers import Answer
from scoring.swagger import Swagger
from toolchain import browser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
IRIS = ROOT / "models" / "iris"


def iris() -> Swagger:
    """The documents of the sample model."""
    return Swagger(
        name="iris",
        version="3",
        path_prefix="",
        root=IRIS,
        script=None,
        schema=IRIS / "schema.json",
        sample=IRIS / "sample.json",
    )


class Service:
    """A service on this machine, whose answers the test decides."""

    def __init__(self, score: Callable[[bytes, dict[str, str]], Answer], swagger: Swagger, prefix: str = "") -> None:
        self.state: dict[str, Any] = {"state": "ready", "error": None}
        self.key = ""
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer(b"")

            def do_POST(self) -> None:
                self._answer(self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *_: object) -> None:
                pass

            def _answer(self, body: bytes) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                # The page asks for the state now and then, between any two steps of a test.
                if self.path.endswith("/score"):
                    service.asked.append((self.path, headers, body))
                found = service.answer(urlsplit(self.path.removeprefix(prefix)), headers, body, score, swagger)
                self.send_response(found.status)
                if found.content_type:
                    self.send_header("Content-Type", found.content_type.decode())
                for name, value in found.headers:
                    self.send_header(name.decode(), value.decode())
                self.send_header("Content-Length", str(len(found.body)))
                self.end_headers()
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self.wfile.write(found.body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}{prefix}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self._thread.start()

    def answer(self, asked: Any, headers: dict[str, str], body: bytes, score: Any, swagger: Swagger) -> Answer:
        """Answer one request as the runtime would."""
        if (found := page.answer(asked.path)) is not None:
            return found
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            return Answer(b'{"message": "The key is missing or wrong."}', 401)
        if asked.path == "/status":
            return Answer(json.dumps(self.state).encode())
        if asked.path == "/swagger.json":
            return swagger.answer(asked.query.encode())
        assert asked.path == "/score", asked.path
        return score(body, headers)

    def close(self) -> None:
        """Stop serving."""
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, without windows."""
    found = browser.find(os.environ)
    assert found is not None, f"there is no browser: `make test` provides one, or set {browser.VARIABLE}"
    with sync_playwright() as playwright:
        # Chromium's sandbox wants rights that containers and root have not.
        started = playwright.chromium.launch(executable_path=found[0], args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()


class Visit:
    """One look at the page: what it shows, and what the browser has to say of it."""

    def __init__(self, started: Browser, address: str, **options: Any) -> None:
        self.context = started.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.page: Page = self.context.new_page()
        self.problems: list[str] = []
        self.hosts: set[str] = set()
        self.page.on(
            "console",
            lambda message: self.problems.append(message.text) if message.type in {"error", "warning"} else None,
        )
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url.removeprefix("blob:")).netloc))
        self.page.set_default_timeout(15_000)
        self.page.goto(f"{address}/docs")
