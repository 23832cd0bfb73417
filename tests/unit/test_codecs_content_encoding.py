"""Compressed bodies: undone up to a limit, and made for callers that accept them."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.answers import Answer
from scoring.codecs import decoded_body, encoded
from scoring.refused import RefusedError
from tests.unit.codecs_harness import memory

LIMIT = 100_000
TEXT = b"a body that is long enough to be worth it, " * 100


def headers(*encodings: bytes):
    return [(b"content-encoding", encoding) for encoding in encodings]


def refusal(*encodings: bytes, body: bytes = TEXT, limit: int = LIMIT):
    with pytest.raises(RefusedError) as refused:
        decoded_body(headers(*encodings), body, limit)
    return refused.value


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        (b"gzip", gzip.compress),
        (b"x-gzip", gzip.compress),
        (b"GZip", gzip.compress),
        (b"identity, gzip", gzip.compress),
        (b"deflate", zlib.compress),
        (b"deflate", raw_deflate),
        (b"identity", bytes),
        (b"", bytes),
    ],
)
def test_an_encoding_is_undone(encoding, compress):
    assert decoded_body(headers(encoding), compress(TEXT), LIMIT) == TEXT


def test_a_body_without_an_encoding_is_left_as_it_is():
    assert decoded_body([(b"accept", b"*/*")], TEXT, LIMIT) is TEXT


def test_an_empty_body_needs_no_undoing():
    assert decoded_body(headers(b"gzip"), b"", LIMIT) == b""


def test_a_gzip_body_may_have_several_members():
    assert (
        decoded_body(headers(b"gzip"), b"".join(gzip.compress(TEXT[i : i + 99]) for i in range(0, 990, 99)), LIMIT)
        == TEXT[:990]
    )


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5))
def test_what_gzip_made_comes_back(parts):
    assert decoded_body(headers(b"gzip"), b"".join(map(gzip.compress, parts)), LIMIT) == b"".join(parts)


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT, LIMIT + 1])
def test_the_limit_is_of_what_it_becomes(size):
    body = gzip.compress(bytes(size))
    if size <= LIMIT:
        assert len(decoded_body(headers(b"gzip"), body, LIMIT)) == size
    else:
        assert refusal(b"gzip", body=body).status == 413


def test_a_bomb_is_stopped_at_the_limit():
    bomb = gzip.compress(bytes(1 << 27))
    with memory() as peak:
        assert refusal(b"gzip", body=bomb).status == 413
    assert peak() < 4 * LIMIT


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate"])
def test_a_body_that_is_cut_off_is_refused(encoding):
    whole = gzip.compress(TEXT) if encoding == b"gzip" else zlib.compress(TEXT)
    for cut in (1, 8, len(whole) // 2):
        refused = refusal(encoding, body=whole[:-cut])
        assert (refused.status, str(refused)) == (400, f"The {encoding.decode()} body is cut off.")


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"gzip", b"no gzip at all"),
        (b"deflate", b"\xff\xff no deflate"),
        (b"gzip", gzip.compress(TEXT, mtime=0) + b"and more"),
        (b"deflate", zlib.compress(TEXT) + zlib.compress(TEXT)),
    ],
)
def test_a_damaged_body_is_refused(encoding, body):
    assert refusal(encoding, body=body).status == 400


def test_a_file_of_nothing_but_members_is_refused():
    assert refusal(b"gzip", body=gzip.compress(b"") * 20_000).status == 400


def test_an_unknown_encoding_is_refused_with_those_that_are_known():
    refused = refusal(b"br")
    assert (refused.status, refused.headers) == (415, ((b"accept-encoding", b"gzip, deflate"),))
    assert str(refused) == "Content-Encoding br is not known; allowed are gzip, deflate."


@pytest.mark.parametrize("encodings", [(b"gzip, gzip",), (b"gzip", b"deflate")])
def test_encodings_on_top_of_each_other_are_refused(encodings):
    assert refusal(*encodings, body=gzip.compress(gzip.compress(TEXT))).status == 415


@given(st.binary(max_size=300), st.sampled_from([b"gzip", b"deflate", b"x", b"gzip,gzip", b"\xff,"]))
def test_no_body_makes_anything_but_a_refusal(body, encoding):
    try:
        assert len(decoded_body(headers(encoding), body, 1000)) <= 1000
    except RefusedError as refused:
        assert refused.status in {400, 413, 415}  # noqa: PT017 - one of two good outcomes


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        (b"gzip", True),
        (b"GZIP;Q=0.5", True),
        (b"deflate, gzip;q=1.0, *;q=0.5", True),
        (b"br, *", True),
        (b"", False),
        (b"br", False),
        (b"gzip;q=0", False),
        (b"gzip;q=0.000", False),
        (b"*;q=0", False),
        (b"gzip;q=0, *", False),
        (b"gzip;q=0.2, identity;q=0.8", False),
        (b"gzip;q=inf", False),
    ],
)
def test_an_answer_is_compressed_as_its_caller_weighs_it(accepted, compressed):
    answer = encoded(Answer(TEXT), accepted)
    assert ((b"content-encoding", b"gzip") in answer.headers) is compressed
    assert (gzip.decompress(answer.body) if compressed else answer.body) == TEXT
    assert (b"vary", b"accept-encoding") in answer.headers


def test_a_compressed_answer_keeps_all_else():
    answer = encoded(Answer(TEXT, 503, b"text/plain", ((b"x-a", b"1"),), failed=True), b"gzip")
    assert (answer.status, answer.content_type, answer.failed, answer.headers[0]) == (
        503,
        b"text/plain",
        True,
        (b"x-a", b"1"),
    )
    assert encoded(Answer(TEXT), b"gzip").body == encoded(Answer(TEXT), b"gzip").body


@pytest.mark.parametrize(
    "answer",
    [
        Answer(TEXT[:1023]),
        Answer(TEXT, 304),
        Answer(TEXT, content_type=b"image/png"),
        Answer(TEXT, content_type=b"application/zip"),
        Answer(TEXT, content_type=None, headers=((b"content-type", b"video/mp4; x=y"),)),
        Answer(TEXT, headers=((b"content-encoding", b"br"),)),
        Answer(TEXT, headers=((b"cache-control", b"private, No-Transform"),)),
        Answer(TEXT, headers=((b"etag", b'"abc"'),)),
    ],
)
def test_what_is_short_or_compressed_or_not_to_be_changed_is_left(answer):
    assert encoded(answer, b"gzip") is answer


def test_a_drawing_is_text():
    assert (b"content-encoding", b"gzip") in encoded(Answer(TEXT, content_type=b"image/svg+xml"), b"gzip").headers
