"""Registries that want a login, are busy, or send wrong bytes: stand-ins over HTTP for what a local one never does."""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cli.images.connection import RegistryError
from cli.images.copy import ImageCopier
from cli.images.registry import Registry

CONTENT = b'{"schemaVersion": 2, "layers": []}'
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.seen.append((self.path, self.headers.get("Authorization")))
        if self.path.startswith("/token"):
            return self._answer(200, json.dumps({"token": "good"}).encode())
        if server.busy:
            server.busy -= 1
            return self._answer(server.refusal, b"", server.asks)
        if "/blobs/" in self.path and self.command == "GET" and server.blob_busy:
            server.blob_busy -= 1
            return self._answer(503, b"")
        if server.challenge and self.headers.get("Authorization") != server.wants:
            return self._answer(401, b"", {"WWW-Authenticate": server.challenge.format(port=server.server_port)})
        return self._answer(200, server.content, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"})

    do_HEAD = do_GET  # noqa: N815 - the base class's name

    def _answer(self, status, body, headers=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self):
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        return self._answer(202, b"", {"Location": f"{self.path}{len(self.server.seen)}"})

    def do_PUT(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        if self.server.busy:
            self.server.busy -= 1
            return self._answer(self.server.refusal, b"", self.server.asks)
        self.server.put.append(content)
        return self._answer(201, b"")

    def log_message(self, *arguments):
        """Keep the test's output clean."""


@contextmanager
def _serving(*, content=CONTENT, busy=0, challenge="", wants=""):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.content, server.busy, server.challenge, server.wants, server.seen = content, busy, challenge, wants, []
    server.refusal, server.asks, server.put, server.waits, server.blob_busy = 503, {}, [], [], 0
    threading.Thread(target=server.serve_forever, args=(0.02,)).start()
    server.registry = Registry(f"127.0.0.1:{server.server_port}", wait=server.waits.append)
    try:
        yield server
    finally:
        server.registry.close()
        server.shutdown()
        server.server_close()


@pytest.fixture
def login(tmp_path, monkeypatch):
    """Logs in at a registry, as `docker login` keeps it."""

    def login(host):
        auth = base64.b64encode(b"ann:of-this-test").decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
        return f"Basic {auth}"

    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return login


def test_a_busy_registry_is_asked_again():
    with _serving(busy=3) as server:
        assert server.registry.manifest("x", DIGEST).content == CONTENT
    with _serving(busy=4) as server, pytest.raises(RegistryError, match="HTTP 503"):
        server.registry.manifest("x", DIGEST)


def test_a_registry_that_stays_busy_is_not_said_to_have_lost_what_it_was_asked_for():
    with _serving(busy=4) as server, pytest.raises(RegistryError, match=r"does not tell whether it has x@.*HTTP 503"):
        server.registry.has("manifests", "x", DIGEST)


def test_a_registry_that_lets_nobody_look_is_not_said_to_have_lost_what_it_was_asked_for():
    with (
        _serving(challenge="Basic realm=x", wants="Basic of-somebody-else") as server,
        pytest.raises(RegistryError, match="HTTP 401"),
    ):
        server.registry.has("manifests", "x", DIGEST)


def _upload(server):
    server.registry.again(
        lambda: server.registry.upload("x", server.registry.begin("x"), DIGEST, len(CONTENT), iter([CONTENT]))
    )


@pytest.mark.parametrize("refusal", [429, 500, 503])
def test_a_registry_that_is_busy_at_an_upload_gets_the_blob_again_from_its_first_byte(refusal):
    with _serving(busy=3) as server:
        server.refusal = refusal
        _upload(server)
        assert server.put == [CONTENT]
        # Each try is an upload of its own.
        assert len({path for path, _ in server.seen if "digest=" in path}) == 4
        assert server.waits == [0.5, 1.0, 2.0]


def test_an_upload_to_a_registry_that_stays_busy_ends_in_its_answer():
    with _serving(busy=100) as server, pytest.raises(RegistryError, match=r"refuses x@.*HTTP 503"):
        _upload(server)
    assert server.busy == 96


def test_a_refused_upload_is_not_tried_again():
    with _serving(busy=1) as server:
        server.refusal = 400
        with pytest.raises(RegistryError, match="HTTP 400"):
            _upload(server)
        assert server.waits == []


def test_a_registry_that_is_busy_at_a_download_is_asked_again():
    with _serving() as server:
        server.blob_busy = 2

        def read():
            return b"".join(server.registry.blob("x", DIGEST))

        assert server.registry.again(read) == CONTENT
        assert server.blob_busy == 0


@pytest.mark.parametrize(
    ("asks", "least", "most"),
    [
        ("7", 7, 7),
        ("100000", 60, 60),
        (lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True), 10, 30),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.5, 0.5),
        ("soon", 0.5, 0.5),
        ("", 0.5, 0.5),
    ],
)
def test_a_busy_registry_gets_the_pause_that_it_asks_for(asks, least, most):
    with _serving(busy=1) as server:
        server.asks = {"Retry-After": asks() if callable(asks) else asks}
        _upload(server)
        [seconds] = server.waits
    assert least <= seconds <= most


def test_other_bytes_than_the_digest_says_are_refused():
    with _serving(content=b"{}") as server:
        with pytest.raises(RegistryError, match="sent other bytes than x@"):
            server.registry.manifest("x", DIGEST)
        with pytest.raises(RegistryError, match="sent other bytes than x@"):
            list(server.registry.blob("x", DIGEST))


def test_a_registry_that_wants_a_token_gets_one_for_the_login(login):
    challenge = 'Bearer realm="http://127.0.0.1:{port}/token",service="registry"'
    with _serving(challenge=challenge, wants="Bearer good") as server:
        basic = login(server.registry.host)
        assert server.registry.manifest("x", DIGEST).content == CONTENT
        [(path, authorization)] = [one for one in server.seen if one[0].startswith("/token")]
    assert authorization == basic
    assert path == "/token?service=registry&scope=repository%3Ax%3Apull"


def test_a_registry_that_wants_the_login_itself_gets_it(login):
    with _serving(challenge='Basic realm="x"') as server:
        server.wants = login(server.registry.host)
        assert server.registry.manifest("x", DIGEST).content == CONTENT


def test_without_a_login_the_refusal_says_how_to_log_in(login):
    with _serving(challenge='Basic realm="x"', wants="Basic other") as server:
        login("another.example.com")
        with pytest.raises(RegistryError, match="HTTP 401") as caught:
            server.registry.manifest("x", DIGEST)
        assert caught.value.hint == (f"Log in first, with rights to pull and push: docker login {server.registry.host}")


def test_copying_many_images_connects_to_each_registry_once_and_leaves_no_connection_open(monkeypatch):
    opened, closed = [], []

    class Recorded(Registry):
        def __init__(self, host):
            super().__init__(host)
            opened.append(host)

        def close(self):
            super().close()
            closed.append(self.host)

    monkeypatch.setattr("cli.images.copy.Registry", Recorded)
    with _serving() as server:
        host, copier = server.registry.host, ImageCopier()
        for name in ("x", "y", "z"):
            # The source is never asked: the target has each of them.
            assert copier.copy(f"source.example.com/{name}@{DIGEST}", f"{host}/{name}@{DIGEST}") == 0
        copier.close()
    assert opened == closed == ["source.example.com", host]
