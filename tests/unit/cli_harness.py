"""What tests of the command line share: real HTTP servers, and a project whose Pulumi is a script."""

import json
import os
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# One model on Container Instances.
ACI_MANIFEST = """models:
  - name: iris
    version: 1
    path: models/iris
    scoring: {sample: sample.json}
    targets:
      - aci: {cpu: 1, memory: 1Gi}
"""
# Stands in for Pulumi at the process boundary: writes down how it was called, and answers as it was told to.
FAKE_PULUMI = """#!/bin/sh
echo "$PWD|$*" >> "$FAKE_PULUMI_CALLS"
case "$*" in *import*) cat > "$FAKE_PULUMI_CALLS.input" ;; esac
printf '%s' "$FAKE_PULUMI_OUT"
printf '%s' "$FAKE_PULUMI_ERR" >&2
exit "$FAKE_PULUMI_CODE"
"""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self._answer()

    def do_POST(self):
        self.server.received = (self.path, self.rfile.read(int(self.headers["Content-Length"])), dict(self.headers))
        self._answer()

    def _answer(self):
        self.server.release.wait(20)
        status, body = self.server.answer
        shown = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.server.keys and shown not in self.server.keys:
            status, body = 401, {"message": "no key"}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

    def log_message(self, *arguments):
        """Keep the test's output clean."""


@contextmanager
def service(answer, status=200, *, held=False, keys=()):
    """A server that gives one answer to everything, to who has one of `keys`; a held one waits for `release`.

    Attributes of what is returned: `endpoint`, `received` (path, body and headers of the last POST), `release`.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.answer, server.release, server.keys = (status, answer), threading.Event(), keys
    if not held:
        server.release.set()
    server.endpoint = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,)).start()
    try:
        yield server
    finally:
        server.release.set()
        server.shutdown()
        server.server_close()


def write_iris(root, manifest):
    """Write a manifest and the folder of its model iris; return the folder."""
    model = root / "models" / "iris"
    model.mkdir(parents=True)
    (model / "score.py").write_text("def init(): pass\ndef run(data): return data\n")
    (model / "weights.bin").write_bytes(b"1")
    (model / "sample.json").write_text('{"data": [1]}')
    (root / "models.yaml").write_text(manifest)
    return model


class FakePulumi:
    """A project with the stack dev, and in its set-up a script in Pulumi's place."""

    def __init__(self, root):
        self.root = root
        self.calls_file = root / "calls"
        program = root / "bin" / "pulumi"
        program.parent.mkdir()
        program.write_text(FAKE_PULUMI)
        program.chmod(0o755)
        (root / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
        self.configure("config:\n  slipway:targets: [local-docker]\n")
        self.env = {
            "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
            "PULUMI_BACKEND_URL": f"file://{root}/state",
            "FAKE_PULUMI_CALLS": str(self.calls_file),
        }
        self.answers()

    def configure(self, text):
        """Write the stack's configuration."""
        (self.root / "Pulumi.dev.yaml").write_text(text)

    def answers(self, out="", err="", code=0):
        """Decide what Pulumi answers from now on; an output that is no text is JSON."""
        out = out if isinstance(out, str) else json.dumps(out)
        self.env |= {"FAKE_PULUMI_OUT": out, "FAKE_PULUMI_ERR": err, "FAKE_PULUMI_CODE": str(code)}
        (self.root / ".slipway").mkdir(exist_ok=True)
        toolchain = {"path": [str(self.root / "bin")], "env": {**self.env, "PATH": os.environ["PATH"]}}
        (self.root / ".slipway/toolchain.json").write_text(json.dumps(toolchain))

    def calls(self):
        """Return the folder and the arguments of each call."""
        return [line.split("|", 1) for line in self.calls_file.read_text().splitlines()]
