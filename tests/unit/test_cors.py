"""Which pages of other origins a browser lets have an answer."""

from __future__ import annotations

import pytest

from scoring.cors import Cors
from scoring.request import Request

PAGE = b"https://page.example"


def headers(origins, *, method="POST", origin=PAGE, asks=True):
    sent = [(b"origin", origin)] if origin is not None else []
    if method == "OPTIONS" and asks:
        sent += [(b"access-control-request-method", b"POST"), (b"access-control-request-headers", b"content-type")]
    return dict(Cors(origins).headers(Request(method, "/score", b"", sent)))


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    "origins", ["https://page.example", "http://a, https://page.example/ ,", "HTTPS://Page.example"]
)
def test_a_listed_origin_is_allowed(origins, method):
    found = headers(origins, method=method)

    assert found[b"access-control-allow-origin"] == PAGE
    assert found[b"vary"] == b"Origin"


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("origin", [b"https://other.example", b"https://page.example.evil", b"null", b"", None])
def test_another_origin_is_not(origin, method):
    found = headers("https://page.example", method=method, origin=origin)
    assert not [name for name in found if name.startswith(b"access-control")]


@pytest.mark.parametrize("origin", [PAGE, None])
def test_without_origins_there_are_no_headers(origin):
    assert headers("", origin=origin) == headers(" , ", origin=origin) == {}


def test_a_star_allows_any_origin():
    found = headers("*")
    assert found[b"access-control-allow-origin"] == b"*"
    assert b"vary" not in found


def test_a_browser_that_asks_first_is_told_methods_and_headers():
    found = headers("*", method="OPTIONS")

    assert found[b"access-control-allow-methods"] == b"GET, POST"
    assert found[b"access-control-allow-headers"] == b"content-type"


def test_a_page_may_read_the_headers_of_an_answer():
    assert b"x-ms-run-function-failed" in headers("*")[b"access-control-expose-headers"]
    assert b"access-control-allow-methods" not in headers("*", method="OPTIONS", asks=False)
