"""A context of the toolchain on folders of a test, and a web server in place of the internet."""

import io
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from toolchain.cache import Cache
from toolchain.context import Context
from toolchain.report import Report

ROOT = Path(__file__).parents[2]


def context_in(folder, environ=None, root=ROOT, **changes):
    """Return a context whose cache is in `folder`."""
    cache = Cache(folder / "cache")
    cache.prepare()
    given = {
        "root": root,
        "cache": cache,
        "report": Report(io.StringIO()),
        "environ": {"PATH": "/usr/bin:/bin", **(environ or {})},
        "system": "linux",
        "architecture": "amd64",
        "registry_port": 5050,
    }
    return Context(**{**given, **changes})


@contextmanager
def serving(pages):
    """Serve bytes by path on a free port of this machine; yields the address and the list of what was asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            content = pages.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
