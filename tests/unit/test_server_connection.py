"""A connection against every kind of peer: what is valid is answered in order, the rest is refused and forgotten."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.server import receiving as module
from tests.unit.server_harness import Handler, Wire, chunked, request, responses

GET = request()
LATE = request(target="/late")


def bodies(wire: Wire) -> list[object]:
    return [json.loads(answer.body) for answer in wire.answers]


def paths(wire: Wire) -> list[object]:
    return [body[1] for body in bodies(wire)]


# Valid requests


def test_requests_on_one_connection_are_answered_one_after_the_other():
    wire = Wire().send(request(target="/a"), request(target="/b"))
    assert paths(wire) == ["/a", "/b"]
    assert not wire.transport.is_closed


def test_requests_sent_ahead_are_answered_in_their_order():
    wire = Wire().send(request(target="/late1") + request(target="/b") + request(target="/late2"))
    assert wire.answers == []
    wire.handler.answer()
    assert paths(wire) == ["/late1", "/b", "/late2"]


def test_a_refused_request_is_answered_after_those_before_it():
    wire = Wire().send(LATE + request("POST", "/big", Content_Length="5000"))
    assert wire.answers == []
    wire.handler.answer()
    assert wire.statuses == [200, 413]
    assert wire.answers[1].headers["connection"] == "close"


@pytest.mark.parametrize("bad", [b"nonsense\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n"])
def test_what_follows_a_refused_request_is_not_answered(bad):
    wire = Wire().send(LATE + bad, GET, GET)
    wire.handler.answer()
    assert wire.statuses == [200, 400]
    assert len(wire.handler.requests) == 1


def test_head_has_the_headers_of_get_and_no_body():
    get, head = Wire().send(request("GET", "/abc")), Wire().send(request("HEAD", "/abc"))
    (answer,) = responses(io.BytesIO(head.transport.written), head_only=True)
    assert answer.headers["content-length"] == str(int(get.answers[0].headers["content-length"]) + 1)
    assert head.transport.written.endswith(b"\r\n\r\n")


def test_chunks_become_one_body_and_trailers_are_dropped():
    wire = Wire().send(request("POST", Transfer_Encoding="chunked") + chunked(b"ab", b"c", trailer=b"X-Trailer: 1\r\n"))
    (one,) = wire.handler.requests
    assert one.body == b"abc"
    assert one.header(b"x-trailer") == b""


def test_a_chunks_extensions_are_dropped():
    wire = Wire().send(request("POST", Transfer_Encoding="chunked") + b"2;a=b\r\nab\r\n0\r\n\r\n")
    assert wire.handler.requests[0].body == b"ab"


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a%20b/%C3%BC?x=%20", "/a b/ü", b"x=%20"),
        ("/%ff", "/\ufffd", b""),
        ("http://host:80/score?a=1", "/score", b"a=1"),
        ("http://host", "/", b""),
        ("http://host?a=/b", "/", b"a=/b"),
        ("/a?b?c", "/a", b"b?c"),
    ],
)
def test_a_target_becomes_a_path_and_a_query(target, path, query):
    wire = Wire().send(request(target=target))
    (one,) = wire.handler.requests
    assert (one.path, one.query) == (path, query)


def test_options_of_the_server_is_a_request_like_others():
    assert Wire().send(request("OPTIONS", "*")).handler.requests[0].path == "/"


def test_http_1_0_is_answered_and_closed_whatever_it_asks_for():
    for wanted in (b"", b"Connection: keep-alive\r\n"):
        wire = Wire().send(b"GET /a HTTP/1.0\r\n" + wanted + b"\r\n")
        assert wire.statuses == [200]
        assert wire.answers[0].headers["connection"] == "close"
        assert wire.transport.is_closed


def test_connection_close_is_obeyed_and_what_follows_is_not_answered():
    wire = Wire().send(request(target="/late", Connection="close"), GET)
    wire.handler.answer()
    assert wire.statuses == [200]
    assert wire.transport.is_closed or wire.transport.has_written_eof


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_another_protocol_is_not_taken_up_and_this_one_goes_on(protocol):
    offer = request(target="/a", Connection="Upgrade", Upgrade=protocol)
    wire = Wire().send(offer + request(target="/b"), request(target="/c"))
    assert paths(wire) == ["/a", "/b", "/c"]


def test_a_chunk_of_thousands_of_offers_is_answered():
    wire = Wire().send(request(target="/a", Connection="Upgrade", Upgrade="h2c") * 3000)
    assert len(wire.answers) == 3000


def test_empty_lines_before_a_request_are_skipped():
    assert Wire().send(b"\r\n\r\n" + GET).statuses == [200]


# Expect


def test_a_peer_that_asks_first_is_invited_before_it_sends():
    wire = Wire().send(request("POST", Expect="100-continue", Content_Length="3"))
    assert wire.transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.send(b"abc")
    assert bodies(wire) == [["POST", "/score", "", "abc"]]


def test_a_peer_that_asks_first_is_invited_when_the_answer_before_is_out():
    wire = Wire().send(LATE + request("POST", Expect="100-continue", Content_Length="3"))
    assert wire.transport.written == b""
    wire.handler.answer()
    assert wire.transport.written.endswith(b"HTTP/1.1 100 Continue\r\n\r\n")


def test_a_peer_of_http_1_0_is_never_sent_an_interim_answer():
    wire = Wire().send(b"POST /a HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    assert wire.transport.written == b""


def test_a_peer_that_is_refused_is_not_invited():
    wire = Wire().send(request("POST", Expect="100-continue", Content_Length="1001"))
    assert wire.statuses == [413]
    assert b"100 Continue" not in wire.transport.written


# Not HTTP, or not clear where it ends


SMUGGLED = {
    "length and coding": b"Content-Length: 5\r\nTransfer-Encoding: chunked",
    "coding and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6",
    "the same length twice": b"Content-Length: 5\r\nContent-Length: 5",
    "a list of lengths": b"Content-Length: 5, 5",
    "a signed length": b"Content-Length: +5",
    "a negative length": b"Content-Length: -5",
    "a hexadecimal length": b"Content-Length: 0x5",
    "an empty length": b"Content-Length: ",
    "a length of two words": b"Content-Length: 5 5",
    "a length with an underscore": b"Content-Length: 5_0",
    "a coding after chunked": b"Transfer-Encoding: chunked, identity",
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "a space before the colon": b"Transfer-Encoding : chunked",
    "a folded line": b"X: a\r\n b",
    "a folded coding": b"Transfer-Encoding:\r\n chunked",
    "a bare line feed": b"X: a\nContent-Length: 5",
    "a bare carriage return": b"X: a\rContent-Length: 5",
    "a zero byte": b"X: a\0b",
    "no name": b": a",
    "two hosts": b"Host: other",
}


@pytest.mark.parametrize("header", SMUGGLED.values(), ids=SMUGGLED.keys())
def test_a_request_that_others_may_read_differently_is_refused_and_the_connection_closed(header):
    smuggled = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    wire = Wire().send(b"POST /score HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\n" + smuggled, GET)
    assert wire.statuses == [400]
    assert wire.answers[0].headers["connection"] == "close"
    assert "message" in bodies(wire)[0]
    assert wire.handler.requests == []


@pytest.mark.parametrize("coding", ["gzip, chunked", "xchunked", "identity"])
def test_a_coding_that_is_not_undone_is_501(coding):
    wire = Wire().send(request("POST", Transfer_Encoding=coding) + chunked(b"x") + GET)
    assert wire.statuses == [501]
    assert wire.handler.requests == []


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/3.7\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /\xc3\xbc HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x00\x00\x00\x00",
    ],
)
def test_what_is_not_http_is_400(data):
    wire = Wire().send(data)
    assert wire.statuses == [400]
    assert wire.handler.requests == []


@pytest.mark.parametrize(
    "body", [b"1\r\nab0\r\n\r\n", b"g\r\n", b"ffffffffffffffffff\r\n", b"1;a\nb\r\na\r\n", b"-1\r\n"]
)
def test_chunks_that_are_none_are_400(body):
    assert Wire().send(request("POST", Transfer_Encoding="chunked") + body).statuses == [400]


# Limits


@pytest.mark.parametrize("pieces", [1, 40])
def test_headers_that_are_too_large_are_431(pieces):
    head = GET[:-2] + b"X: " + b"a" * module.MAX_HEAD_BYTES + b"\r\n\r\n"
    assert Wire().send(*split(head, pieces)).statuses == [431]


def test_a_header_that_never_ends_is_431():
    wire = Wire().send(GET[:-2] + b"X: ", *[b"a" * 10_000] * 7)
    assert wire.statuses == [431]


def test_a_trailer_that_never_ends_is_431():
    wire = Wire().send(request("POST", Transfer_Encoding="chunked") + b"1\r\na\r\n0\r\nX: ", *[b"a" * 10_000] * 7)
    assert wire.statuses == [431]


def test_a_chunks_extension_that_never_ends_is_431():
    wire = Wire().send(request("POST", Transfer_Encoding="chunked") + b"1;", *[b"a" * 10_000] * 7)
    assert wire.statuses == [431]


def test_many_headers_are_431_and_as_many_as_allowed_are_not():
    def with_headers(count):
        return request(**{f"x{number}": "1" for number in range(count - 1)})

    assert Wire().send(with_headers(module.MAX_HEADERS)).statuses == [200]
    assert Wire().send(with_headers(module.MAX_HEADERS + 1)).statuses == [431]


def test_a_target_that_is_too_long_is_414():
    assert Wire().send(request(target="/" + "a" * module.MAX_HEAD_BYTES)).statuses == [414]
    assert Wire().send(b"GET /", *[b"a" * 10_000] * 7).statuses == [414]


@pytest.mark.parametrize("length", ["1001", "9" * 18, "9" * 19])
def test_a_body_that_is_announced_too_large_is_413_before_it_comes(length):
    assert Wire().send(request("POST", Content_Length=length)).statuses == [413]


def test_a_body_of_the_largest_size_passes():
    assert Wire().send(request("POST", body=b"x" * 1000)).statuses == [200]
    assert Wire().send(request("POST", Transfer_Encoding="chunked") + chunked(b"x" * 1000)).statuses == [200]


def test_a_body_in_chunks_is_413_as_soon_as_it_is_too_large():
    wire = Wire().send(request("POST", Transfer_Encoding="chunked"), b"3e9\r\n", b"x" * 1000)
    assert wire.statuses == []
    assert wire.send(b"x").statuses == [413]


@pytest.mark.parametrize("asked", [{}, {"Expect": "100-continue"}])
def test_a_peer_that_still_sends_has_time_to_read_its_refusal(asked):
    wire = Wire().send(request("POST", Transfer_Encoding="chunked", **asked) + b"5dc\r\n" + b"x" * 1500)
    assert wire.statuses == [413]
    # A close while there is more to read would be a reset, which takes the answer back.
    assert wire.transport.has_written_eof
    assert not wire.transport.is_closed
    wire.send(b"x" * 500)
    assert wire.end().transport.is_closed


def test_a_refused_peer_may_send_much_before_it_reads_that():
    wire = Wire().send(request("POST", Content_Length="5000"), *[b"x" * 500] * 100)
    assert wire.statuses == [413]
    assert not wire.transport.is_closed


@pytest.mark.parametrize("sends", [b"", b"x"])
def test_a_refused_peer_that_stays_is_cut_off_after_a_while(sends):
    wire = Wire().send(request("POST", Content_Length="5000"))
    for _ in range(29):
        assert not wire.send(sends).wait(1).transport.is_closed
    assert wire.send(sends).wait(2).transport.is_aborted


def test_a_drain_does_not_wait_for_a_refused_peer():
    wire = Wire().send(request("POST", Content_Length="5000"))
    assert not wire.transport.is_closed
    wire.connection.drain()
    assert wire.transport.is_closed


def test_reading_pauses_while_many_requests_wait_for_their_turn():
    wire = Wire().send(LATE * 40)
    assert not wire.transport.is_reading
    wire.handler.answer()
    assert wire.transport.is_reading
    assert len(wire.answers) == 40


def test_reading_pauses_while_large_bodies_wait_for_their_turn():
    wire = Wire(Handler(max_body_bytes=10_000_000)).send(LATE, request("POST", body=b"x" * 2_000_000))
    assert not wire.transport.is_reading
    wire.handler.answer()
    assert wire.transport.is_reading
    assert wire.statuses == [200, 200]


# Time


def test_an_idle_connection_is_closed():
    assert Wire().send(GET).wait(module.KEEP_ALIVE_SECONDS - 1).transport.is_closed is False
    assert Wire().send(GET).wait(module.KEEP_ALIVE_SECONDS + 1).transport.is_closed
    assert Wire().wait(module.HEAD_SECONDS + 1).transport.is_closed


def test_a_head_that_comes_slowly_is_408():
    wire = Wire().send(GET[:5])
    for byte in range(5, 20):
        wire.wait(1.1).send(GET[byte : byte + 1])
    assert wire.statuses == [408]


def test_a_body_that_stalls_is_408_and_one_that_goes_on_is_not():
    piece = b"x" * module.LEAST_BYTES_PER_SECOND * int(module.STALLED_SECONDS)
    wire = Wire(Handler(max_body_bytes=len(piece) * 10)).send(request("POST", Content_Length=str(len(piece) * 10)))
    for _ in range(9):
        wire.wait(module.STALLED_SECONDS - 1).send(piece)
    assert wire.statuses == []
    assert wire.wait(module.STALLED_SECONDS + 1).statuses == [408]


def test_a_peer_waits_for_its_answer_as_long_as_it_takes():
    wire = Wire().send(LATE).wait(100)
    assert not wire.transport.is_closed
    wire.handler.answer()
    assert wire.statuses == [200]


def test_the_next_request_may_arrive_slowly_while_the_answer_is_made():
    wire = Wire().send(LATE + GET[:10]).wait(100)
    wire.handler.answer()
    assert wire.send(GET[10:]).statuses == [200, 200]


def test_a_peer_that_takes_none_of_its_answer_is_cut_off():
    wire = Wire()
    wire.transport.is_slow = True
    wire.send(GET)
    wire.connection.pause_writing()
    assert wire.send(GET).statuses == [200], "a further one waits"
    assert not wire.wait(module.STALLED_SECONDS - 1).transport.is_closed
    assert wire.wait(2).transport.is_aborted


def test_a_peer_that_takes_its_answer_slowly_gets_it():
    wire = Wire()
    wire.transport.is_slow = True
    wire.send(GET, GET)
    wire.connection.pause_writing()
    for _ in range(10):
        wire.transport.unsent -= 1
        assert not wire.wait(module.STALLED_SECONDS + 1).transport.is_closed
    wire.send(GET)
    wire.connection.resume_writing()
    assert wire.statuses == [200, 200, 200]


def test_a_closed_connection_whose_answer_is_not_taken_is_cut_off():
    wire = Wire()
    wire.transport.is_slow = True
    wire.send(request(Connection="close"))
    assert wire.transport.is_closed
    wire.clock.now += 100
    wire.connection.expire()
    assert wire.transport.is_aborted


# The end


def test_what_was_sent_before_the_peer_closed_its_side_is_answered():
    wire = Wire().send(LATE + request(target="/late2") + GET).end()
    wire.handler.answer()
    assert paths(wire) == ["/late", "/late2", "/score"]
    assert wire.transport.is_closed


def test_half_a_request_at_the_end_does_not_take_the_answer_before_it():
    wire = Wire().send(LATE + GET[:10]).end()
    wire.handler.answer()
    assert wire.statuses == [200]
    assert wire.transport.is_closed


@pytest.mark.parametrize("data", [b"", GET, GET[:10], request("POST", Content_Length="10") + b"abc"])
def test_a_peer_that_ends_with_nothing_under_way_is_left(data):
    assert Wire().send(data).end().transport.is_closed if data else Wire().end().transport.is_closed


def test_a_peer_that_left_has_its_request_taken_back_and_its_answer_dropped():
    wire = Wire().send(LATE + LATE)
    wire.connection.connection_lost(ConnectionResetError())
    assert wire.handler.abandoned == 1
    wire.handler.answer()
    assert len(wire.handler.requests) == 1
    assert wire.transport.written == b""
    assert not wire.connections


def test_a_peer_that_closed_its_side_and_is_gone_is_noticed():
    wire = Wire().send(LATE).end()
    wire.transport.pair[1].close()
    assert wire.wait(1).transport.is_aborted


def test_a_peer_that_closed_its_side_and_reads_on_stays():
    wire = Wire().send(LATE).end().wait(20)
    assert not wire.transport.is_closed
    wire.handler.answer()
    assert wire.statuses == [200]


def test_a_drain_closes_what_is_idle_at_once_and_the_rest_after_its_answers():
    idle, busy = Wire().send(GET), Wire().send(LATE + request(target="/late2"))
    for wire in (idle, busy):
        wire.handler.is_draining = True
        wire.connection.drain()
    assert idle.transport.is_closed
    assert not busy.transport.is_closed
    busy.handler.answer()
    assert paths(busy) == ["/late", "/late2"]
    assert [answer.headers.get("connection") for answer in busy.answers] == [None, "close"]
    assert busy.transport.is_closed


def test_an_answer_after_the_close_is_dropped():
    wire = Wire().send(LATE)
    wire.connection.expire()
    wire.handler.answer()
    assert wire.transport.written == b""


# Any split


def split(data: bytes, pieces: int) -> list[bytes]:
    size = -(-len(data) // pieces)
    return [data[start : start + size] for start in range(0, len(data), size)]


BODIES = st.binary(max_size=40)
PATHS = st.sampled_from(["/", "/score", "/late", "/late/%20x?a=b", "http://h/late?c", "/a%2Fb"])
REQUESTS = st.one_of(
    st.builds(request, st.sampled_from(["GET", "OPTIONS", "DELETE"]), PATHS),
    st.builds(lambda path, body: request("POST", path, body=body), PATHS, BODIES),
    st.builds(
        lambda path, chunks, trailer: (
            request("POST", path, Transfer_Encoding="chunked") + chunked(*chunks, trailer=trailer)
        ),
        PATHS,
        st.lists(st.binary(min_size=1, max_size=20), max_size=3),
        st.sampled_from([b"", b"X: y\r\n"]),
    ),
    st.builds(lambda path: request("GET", path, Connection="Upgrade", Upgrade="h2c"), PATHS),
    st.builds(lambda path: request("POST", path, Content_Length="2000"), PATHS),
)


def answered(pieces: list[bytes], *, at_once: bool) -> list[tuple[int, bytes]]:
    wire = Wire()
    for piece in pieces:
        wire.send(piece)
        if at_once:
            wire.handler.answer()
    wire.handler.answer()
    return [(answer.status, answer.body) for answer in wire.answers]


@given(st.lists(REQUESTS, min_size=1, max_size=6), st.data())
def test_any_split_of_the_same_bytes_gets_the_same_answers(requests, data):
    stream = b"".join(requests)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20).map(sorted))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True) if start < end]
    whole = answered([stream], at_once=False)
    too_large = next((number for number, one in enumerate(requests) if b"Content-Length: 2000" in one), len(requests))
    assert len(whole) == min(len(requests), too_large + 1)
    for at_once in (True, False):
        assert answered(pieces, at_once=at_once) == whole
    assert answered([stream[place : place + 1] for place in range(len(stream))], at_once=True) == whole


def test_connections_beyond_the_limit_are_told_to_come_later():
    handler = Handler()
    wires = [Wire(handler) for _ in range(2)]
    room = handler.room
    room.connections = 0
    late = Wire(handler)

    assert late.answers[0].status == 503
    assert b"retry-after: 1\r\n" in late.transport.written
    assert not any(wire.answers for wire in wires)


def test_bodies_that_come_in_at_once_have_a_limit_together():
    handler = Handler(max_body_bytes=1000)
    half = [Wire(handler).send(request("POST", body=b"x" * 1000)[:-1]) for _ in range(4)]
    more = Wire(handler).send(request("POST", body=b"x" * 1000)[:-1])

    assert more.answers[0].status == 503
    for wire in half:
        wire.send(b"x")
    assert [wire.answers[0].status for wire in half] == [200] * 4
    # Room is given back.
    assert Wire(handler).send(request("POST", body=b"x" * 1000)).answers[0].status == 200


def test_a_transfer_coding_beside_chunked_is_refused_also_in_a_header_of_its_own():
    head = b"POST /score HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert Wire(Handler()).send(head, b"3\r\nabc\r\n0\r\n\r\n").answers[0].status in {400, 501}


def test_a_body_that_drips_in_is_ended():
    wire = Wire(Handler())
    wire.send(request("POST", body=b"x" * 100)[:-100])
    for _ in range(40):
        wire.wait(5)
        wire.send(b"x")
    assert wire.answers[0].status == 408
