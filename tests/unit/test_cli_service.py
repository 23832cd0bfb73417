"""Asking services, over a real HTTP server."""

import asyncio
import socket
import threading
from contextlib import ExitStack

import pytest

from cli.errors import CliError
from cli.placements.service import score, statuses
from tests.unit.cli_harness import service


@pytest.fixture
def serve():
    """Starts services that end with the test."""
    with ExitStack() as services:
        yield lambda *arguments, **options: services.enter_context(service(*arguments, **options))


@pytest.fixture
def nobody():
    """An endpoint where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_the_request_is_posted_as_it_is(serve):
    server = serve({"label": "setosa"})
    answer = score(server.endpoint, b'{"data": [[1, 2]] }', 5)
    path, body, headers = server.received
    assert (path, body, headers["Content-Type"]) == ("/score", b'{"data": [[1, 2]] }', "application/json")
    assert answer.is_success
    assert answer.value == {"label": "setosa"}


def test_an_answer_that_is_no_json_is_text(serve):
    assert score(serve(b"hello").endpoint, b"1", 5).value == "hello"


@pytest.mark.parametrize(
    ("body", "message"),
    [({"message": "no such feature"}, "no such feature"), (b"oops\n", "oops"), (b"", "without a message")],
)
def test_an_error_is_told_in_the_services_words(serve, body, message):
    answer = score(serve(body, 400).endpoint, b"1", 5)
    assert not answer.is_success
    assert answer.message == message


def test_a_service_that_takes_too_long_is_given_up(serve):
    with pytest.raises(CliError, match=r"did not answer within 0\.1 s"):
        score(serve({}, held=True).endpoint, b"1", 0.1)


def test_a_service_that_is_not_there_is_said_to_be(nobody):
    with pytest.raises(CliError, match=f"{nobody} cannot be reached"):
        score(nobody, b"1", 5)


def test_a_proxy_is_not_asked_for_services_on_this_machine(serve, nobody, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, nobody)
    server = serve({"state": "ready"})
    assert score(server.endpoint, b"1", 5).is_success
    assert asyncio.run(statuses([server.endpoint])) == {server.endpoint: {"state": "ready"}}


def test_services_that_tell_no_state_are_left_out(serve, nobody):
    ready = serve({"state": "ready"}, status=200)
    failed = serve({"state": "failed", "error": "no model"}, status=503)
    others = [serve(b"<html>"), serve([1]), serve({"ok": True})]
    told = asyncio.run(statuses([ready.endpoint, failed.endpoint, nobody, *(one.endpoint for one in others)]))
    assert told == {ready.endpoint: {"state": "ready"}, failed.endpoint: {"state": "failed", "error": "no model"}}


def test_services_are_asked_all_at_once(serve):
    # Each answers only when all have been asked.
    barrier = threading.Barrier(3)

    class Together:
        def wait(self, seconds):
            barrier.wait(seconds)

    servers = [serve({"state": "ready"}, held=True) for _ in range(3)]
    for server in servers:
        server.release = Together()
    try:
        assert len(asyncio.run(statuses([server.endpoint for server in servers]))) == 3
    finally:
        for server in servers:
            server.release = threading.Event()
