"""Azurite for tests, and a proxy in front of it that is slow, refuses, or loses answers."""

import os
import random
import socket
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from toolchain import azurite
from toolchain.context import context_of
from toolchain.report import Report

ROOT = Path(__file__).parents[2]
CHUNK = 65536


def installed():
    """Return the context and the folder of Azurite, installed if it was not."""
    report = Report()
    context = context_of(ROOT, os.environ, report)
    context.cache.prepare()
    with context.cache.lock(), report.step("Azurite") as step:
        return context, azurite.install(context, step)


@contextmanager
def storage(data):
    """Run Azurite; yields its Storage."""
    context, folder = installed()
    with azurite.running(context, folder, data) as running:
        yield running


class Proxy:
    """Passes HTTP requests on, one connection a request, and does to those of some methods what a test says.

    Attributes:
        methods: Which requests it is done to.
        mode: `pass`, `refuse` (503), `full` (507), `cut` (passes it on, loses the answer), `stuck` (never
            answers), `down` (closes at once).
        delay: Seconds before each of them is passed on.
        seen: How many of them there were.
        failed: Whether one of them was not passed on and answered.
    """

    def __init__(self, target, host="127.0.0.1", *, target_host="127.0.0.1"):
        self.methods = {b"PUT"}
        self.mode = "pass"
        self.delay = 0.0
        self.seen = 0
        self.failed = False
        self._later = (0, "pass")
        self._target = (target_host, target)
        self._listener = socket.create_server((host, 0))
        self.port = self._listener.getsockname()[1]
        self._closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def fail_from(self, nth, mode):
        """Do it from the nth of them on, counted from 1."""
        self._later = (nth, mode)

    def close(self):
        self._closed.set()
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, suppress(OSError):
            while not self._closed.is_set():
                request = _message(client)
                if not request:
                    return
                is_meant = request.split(b" ", 1)[0] in self.methods
                self.seen += is_meant
                if is_meant and self.seen == self._later[0]:
                    self.mode = self._later[1]
                mode = self.mode if is_meant else "pass"
                if is_meant and self.delay:
                    time.sleep(self.delay)
                self.failed |= mode not in {"pass", "cut"}
                if mode == "down":
                    return
                if mode == "stuck":
                    self._closed.wait(60)
                    return
                if mode in {"refuse", "full"}:
                    status = b"503 Server Busy" if mode == "refuse" else b"507 Insufficient Storage"
                    client.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    return
                with socket.create_connection(self._target) as server:
                    head, _, body = request.partition(b"\r\n\r\n")
                    server.sendall(head + b"\r\nConnection: close\r\n\r\n" + body)
                    answer = b"".join(iter(lambda: server.recv(CHUNK), b""))
                if mode == "cut":
                    self.failed = True
                    return
                client.sendall(answer)
                return


class Flaky(Proxy):
    """Does what a test says to some of the requests."""

    broken = "pass"
    chance = random.Random(1)

    @property
    def mode(self):
        return self.broken if self.chance.random() < 0.25 else "pass"

    @mode.setter
    def mode(self, value):
        self.broken = value


def _message(client):
    """One request, whole; empty where the client left."""
    seen = b""
    while b"\r\n\r\n" not in seen:
        more = client.recv(CHUNK)
        if not more:
            return b""
        seen += more
    head, _, body = seen.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    if b"transfer-encoding" in head.lower():
        raise NotImplementedError("chunked uploads")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    while len(body) < sum(lengths):
        body += client.recv(CHUNK)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
