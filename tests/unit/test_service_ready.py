"""ServiceReady: waits for a service as long as it may, and lets callers leave before its removal."""

import http.server
import threading

import pytest

from provider.resource import Call, ProviderError, State
from provider.slipway import service_ready
from provider.slipway.service_ready import ServiceReady

READY = ServiceReady()


@pytest.fixture
def service(monkeypatch):
    """A service on this machine; `answers` are its statuses in turn, the last one for good."""
    monkeypatch.setattr(service_ready, "_BETWEEN", 0.01)
    answers, asked = [503], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(answers.pop(0) if len(answers) > 1 else answers[0])
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield answers, asked, f"http://127.0.0.1:{server.server_port}/ready"
    server.shutdown()
    server.server_close()


def _call(cancelled=None):
    return Call("urn:pulumi:s::p::t::iris", cancelled or threading.Event(), lambda *_: None)


def _inputs(url, **given):
    return {"url": url, "revision": "v1", "seconds": 30, "drain": 0, **given}


def test_it_waits_until_the_service_is_ready(service):
    answers, asked, url = service
    answers[:] = [503, 503, 200]
    state = READY.create(_call(), _inputs(url))
    assert (state.id, asked) == (url, ["/ready"] * 3)


def test_a_service_that_does_not_become_ready_is_an_error_that_says_what_it_answers(service):
    _, _, url = service
    with pytest.raises(ProviderError, match="not ready after 0 s: it answers 503"):
        READY.create(_call(), _inputs(url, seconds=0))


def test_a_service_that_is_not_there_is_an_error_without_a_traceback():
    with pytest.raises(ProviderError, match=r"no answer \(.+\)"):
        READY.create(_call(), _inputs("http://127.0.0.1:1/ready", seconds=0))
    with pytest.raises(ProviderError, match="no address"):
        READY.create(_call(), _inputs("http://:8080/ready", seconds=0))


def test_an_interruption_ends_the_wait(service):
    _, _, url = service
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(ProviderError, match="interrupted"):
        READY.create(_call(cancelled=cancelled), _inputs(url, seconds=3600))


def test_another_revision_is_waited_for_at_the_same_address_and_other_times_are_not(service):
    answers, asked, url = service
    answers[:] = [200]
    old = State(url, _inputs(url), _inputs(url))
    READY.update(_call(), old, _inputs(url, drain=5))
    assert asked == []
    READY.update(_call(), old, _inputs(url, revision="v2"))
    assert asked == ["/ready"]
    assert not READY.diff(_call(), old, _inputs(url, revision="v2")).replace
    assert READY.diff(_call(), old, _inputs(f"{url}2")).replace
    assert READY.diff(_call(), old, _inputs(url, seconds=7)).changes == ()


def test_it_stays_for_as_long_as_callers_may_still_come():
    class Waits(threading.Event):
        seconds = ()

        def wait(self, timeout=None):
            self.seconds = (*self.seconds, timeout)

    cancelled = Waits()
    READY.delete(_call(cancelled), State("u", _inputs("u", drain=60), {}))
    READY.delete(_call(cancelled), State("u", _inputs("u"), {}))
    assert cancelled.seconds == (60,)


def test_a_refresh_asks_nothing(service):
    _, asked, url = service
    state = State(url, _inputs(url), _inputs(url))
    assert READY.read(_call(), state) == state
    assert asked == []
