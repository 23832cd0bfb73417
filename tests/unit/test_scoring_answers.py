"""What run() may return, and what a caller gets for it."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import enum
import json
import math
import re
import uuid
from typing import NamedTuple

import flask
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.answers import AnswerError, to_answer


def named(value):
    """A case's name, the same in every process."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Response:
    """What Azure ML's AMLResponse offers."""

    def __init__(self, message, status_code, response_headers=None, json_str=False, run_function_failed=False):
        self.message = message
        self.status_code = status_code
        self.response_headers = response_headers or {}
        self.json_str = json_str
        self.run_function_failed = run_function_failed


class Pair(NamedTuple):
    left: object
    right: object


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (None, {}),
        ("text", "text"),
        ("ü\ud800", "ü\ud800"),
        (True, True),
        ((1, (2, 3)), [1, [2, 3]]),
        (Pair(1, (2,)), [1, [2]]),
        ({2: "a", 2.5: "b", None: "c", True: "d"}, {"2": "a", "2.5": "b", "null": "c", "true": "d"}),
        (2**70, 2**70),
        ({"big": -(2**70), "nan": math.nan}, {"big": -(2**70), "nan": None}),
        ([math.nan, math.inf, -math.inf, 1.5], [None, None, None, 1.5]),
        (b"\x00\xff", base64.b64encode(b"\x00\xff").decode()),
        (bytearray(b"a"), "YQ=="),
        (memoryview(b"a"), "YQ=="),
        (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), "2026-01-02T03:04:05+00:00"),
        (dt.datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),  # noqa: DTZ001 - one without a zone
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.time(3, 4), "03:04:00"),
        ({dt.date(2026, 1, 2): 1}, {"2026-01-02": 1}),
        (uuid.UUID(int=1), str(uuid.UUID(int=1))),
        (Colour.RED, "red"),
        (Point(1, 2.5), {"x": 1, "y": 2.5}),
        (np.array([[1.5, math.nan], [3.0, 4.0]]), [[1.5, None], [3.0, 4.0]]),
        (np.array([[1, 2], [3, 4]]).T, [[1, 3], [2, 4]]),
        (np.array([1, 2], dtype=">i4"), [1, 2]),
        (np.array([1.5, 2.5], dtype=np.float16), [1.5, 2.5]),
        (np.array(3), 3),
        (np.array([]), []),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array([{"x": np.int64(1)}, None], dtype=object), [{"x": 1}, None]),
        (np.array(["2026-01-02T03:04:05"], dtype="datetime64[s]"), ["2026-01-02T03:04:05"]),
        ([np.int64(1), np.uint8(2), np.float32(0.5), np.bool_(True), np.str_("s")], [1, 2, 0.5, True, "s"]),
        (np.float64("nan"), None),
        ({np.int64(1): np.float64(2)}, {"1": 2.0}),
        ({np.int64(1): {"deep": [np.array([1, 2]), 2**70, Point(1, math.nan)]}},
         {"1": {"deep": [[1, 2], 2**70, {"x": 1, "y": None}]}}),
    ],
    ids=named,
)  # fmt: skip
def test_everything_that_scripts_return_has_a_json_form(returned, expected):
    answer = to_answer(returned)

    assert json.loads(answer.body) == expected
    assert (answer.status, answer.content_type, answer.failed) == (200, b"application/json", False)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
)


@given(JSON_VALUES.filter(lambda value: value is not None))
def test_json_values_come_through_unchanged(value):
    assert json.loads(to_answer(value).body) == value


def endless():
    loop: list[object] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    ("returned", "named"),
    [
        ({1, 2}, "type set"),
        ([object()], "type object"),
        (1j, "type complex"),
        (np.array([1j]), "type complex"),
        ({(1, 2): 3}, "a key of type tuple"),
        ((number for number in ()), "type generator"),
        (endless(), "contains itself"),
        (np.longdouble(1), "type numpy.longdouble"),
    ],
    ids=named,
)
def test_what_has_no_json_form_is_named(returned, named):
    with pytest.raises(AnswerError, match=named):
        to_answer(returned)


def test_a_pandas_table_is_a_list_of_records():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(
        {
            "n": [1, 2],
            "f": [0.5, math.nan],
            "t": [pandas.Timestamp("2026-01-02", tz="UTC"), pandas.NaT],
            "s": ["a", None],
        }
    )
    table["i"] = pandas.array([1, None], dtype="Int64")

    assert json.loads(to_answer(table).body) == [
        {"n": 1, "f": 0.5, "t": "2026-01-02T00:00:00+00:00", "s": "a", "i": 1},
        {"n": 2, "f": None, "t": None, "s": None, "i": None},
    ]
    assert json.loads(to_answer(table["n"]).body) == [1, 2]
    assert json.loads(to_answer({"rows": table[["n"]], "index": table.index}).body) == {
        "rows": [{"n": 1}, {"n": 2}],
        "index": [0, 1],
    }


@pytest.mark.parametrize(
    ("message", "body", "content_type"),
    [
        ("<p>", b"<p>", b"text/html; charset=utf-8"),
        (b"\x89PNG", b"\x89PNG", b"application/octet-stream"),
        (None, b"{}", b"application/json"),
        ({"a": 1}, b'{"a":1}', b"application/json"),
    ],
)
def test_a_response_is_sent_as_it_is(message, body, content_type):
    answer = to_answer(Response(message, 201))
    assert (answer.status, answer.body, answer.content_type, answer.failed) == (201, body, content_type, False)


def test_a_response_may_ask_for_json():
    assert to_answer(Response("quoted", 200, json_str=True)).body == b'"quoted"'


def test_header_values_with_commas_are_repeated_headers():
    answer = to_answer(Response("", 200, {"X-Many": "a, b", "Content-Type": "image/png", "Content-Length": "7"}))

    assert answer.headers == ((b"x-many", b"a"), (b"x-many", b"b"), (b"content-type", b"image/png"))
    assert answer.content_type is None


@pytest.mark.parametrize(("status", "said", "failed"), [(200, False, False), (200, True, True), (503, False, True)])
def test_a_response_tells_whether_the_script_failed(status, said, failed):
    assert to_answer(Response("", status, run_function_failed=said)).failed is failed


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none(status):
    answer = to_answer(Response("ignored", status))
    assert (answer.body, answer.content_type) == (b"", None)


@pytest.mark.parametrize(
    ("response", "named"),
    [
        (Response("", 99), "status 99"),
        (Response("", "200"), "status '200'"),
        (Response("", 200, {"X-A": "1\r\nX-Injected: 2"}), "header X-A"),
        (Response("", 200, {"X A": "1"}), "header name 'X A'"),
        (Response("", 200, {"X-A": "\u20ac"}), "header X-A"),
    ],
)
def test_a_response_that_http_does_not_allow_is_named(response, named):
    with pytest.raises(AnswerError, match=named):
        to_answer(response)


def test_a_response_of_flask_is_sent_as_it_is():
    response = flask.Response("no, thanks", status=418, mimetype="text/plain", headers={"Vary": "Accept, Origin"})
    response.headers.add("Set-Cookie", "a=1")
    response.headers.add("Set-Cookie", "b=2")

    answer = to_answer(response)

    assert (answer.status, answer.body, answer.content_type, answer.failed) == (418, b"no, thanks", None, False)
    assert [value for name, value in answer.headers if name == b"set-cookie"] == [b"a=1", b"b=2"]
    assert (b"vary", b"Accept, Origin") in answer.headers
    assert dict(answer.headers)[b"content-type"] == b"text/plain; charset=utf-8"
