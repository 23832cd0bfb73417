"""Where the docker stand-in looks for the engine, and what it says when there is none."""

import hashlib
import json
import socket
import threading

import pytest

from provider.resource import ProviderError
from standins.docker.engine import Engine


@pytest.fixture
def contexts(tmp_path, monkeypatch):
    """A Docker configuration with the context `there`, and nothing of it in the environment."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / ".docker"
    meta = folder / "contexts/meta" / hashlib.sha256(b"there").hexdigest()
    meta.mkdir(parents=True)
    described = {"Name": "there", "Metadata": {}, "Endpoints": {"docker": {"Host": "tcp://there:2375"}}}
    (meta / "meta.json").write_text(json.dumps(described))
    (folder / "config.json").write_text("{}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    return folder


def _where(**config):
    engine = Engine()
    engine.configure(**config)
    return engine._where().get("base_url")


def test_the_engine_is_looked_for_in_the_official_plugins_order(contexts, monkeypatch):
    assert _where(host="tcp://configured:1") == "tcp://configured:1"
    monkeypatch.setenv("DOCKER_HOST", "tcp://environment:1")
    assert _where() == "tcp://environment:1"
    assert _where(host="tcp://configured:1") == "tcp://configured:1"
    assert _where(host="tcp://configured:1", context="there") == "tcp://there:2375"
    monkeypatch.setenv("DOCKER_CONTEXT", "there")
    assert _where(host="tcp://configured:1") == "tcp://there:2375"


def test_the_current_context_counts_where_nothing_else_is_said(contexts):
    (contexts / "config.json").write_text(json.dumps({"currentContext": "there"}))
    assert _where() == "tcp://there:2375"


def test_a_context_that_does_not_exist_is_named(contexts):
    with pytest.raises(ProviderError, match='there is no Docker context "elsewhere"'):
        _where(context="elsewhere")


def test_no_engine_is_one_line_with_its_address_the_reason_and_what_to_do(contexts):
    engine = Engine()
    engine.configure(host="unix:///nonexistent/docker.sock")
    with pytest.raises(ProviderError) as failed:
        _ = engine.api
    assert "\n" not in str(failed.value)
    assert "the Docker engine at unix:///nonexistent/docker.sock does not answer" in str(failed.value)
    assert "No such file or directory" in str(failed.value)
    assert "DOCKER_HOST or a Docker context" in str(failed.value)


def test_an_engine_that_goes_away_in_the_middle_is_one_line_too(contexts):
    """Answers the first question, its version, and then hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            body = json.dumps({"ApiVersion": "1.44"}).encode()
            connection, _ = server.accept()
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n")
            connection.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            connection.close()
            server.accept()[0].close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        engine = Engine()
        engine.configure(host=f"tcp://127.0.0.1:{server.getsockname()[1]}")
        assert engine.at_least("1.44")
        assert not engine.at_least("1.45")
        with pytest.raises(ProviderError, match="cannot inspect container x: the Docker engine at"):
            engine.inspect_container("x")
        thread.join(10)
