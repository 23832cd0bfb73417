"""A server that stands for a collector of telemetry, and processes that are traced."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PREAMBLE = """
import logging, os, sys, threading, time
from scoring.context import REQUEST_ID
from scoring.request import Request
from scoring.telemetry import log
from scoring.telemetry.tracing import Tracing
from scoring.variables import Reader
reader = Reader(os.environ)
log.set_up(reader)
tracing = Tracing.from_reader(reader)
reader.finish()
"""


@dataclass
class Collector:
    """What a server was sent: path and body of each request."""

    url: str = ""
    received: list[tuple[str, bytes]] = field(default_factory=list)
    status: int = 200
    answer: bytes = b""
    # Requests are not answered before this is set.
    open: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """Serve, on a port of its own."""
    collector = Collector()
    collector.open.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.open.wait()
            collector.received.append((self.path, body))
            with contextlib.suppress(OSError):
                self.send_response(collector.status)
                self.send_header("content-length", str(len(collector.answer)))
                self.end_headers()
                self.wfile.write(collector.answer)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name that the class gives it
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        collector.open.set()
        server.shutdown()
        server.server_close()


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that is set up as a worker is."""
    environment = {
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AML_APP_ROOT": "/nowhere",
        "SERVICE_NAME": "iris",
        "SERVICE_VERSION": "3",
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(code)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
