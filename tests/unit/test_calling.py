"""How run() is called for a request, by its decorators."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import math
import types

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.codecs.text import parse_json, parse_query
from scoring.refused import RefusedError
from scoring.request import Request
from scoring.script import ScriptError, inspect_script
from tests.unit.compat_packages import (
    NumpyParameterType,
    PandasParameterType,
    StandardPythonParameterType,
    batched,
    decoded,
    input_schema,
    output_schema,
    rawhttp,
)

JSON = b"application/json"
NO_UTF_8 = "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"


def script_of(run):
    module = types.ModuleType("score")
    module.init, module.run = (lambda: None), run
    return inspect_script(module, "score.py")


def post(body, content_type=JSON):
    headers = [(b"host", b"x")]
    if content_type is not None:
        headers.append((b"content-type", content_type))
    return Request("POST", "/score", b"", headers, body)


def get(query):
    return Request("GET", "/score", query)


def called(run, request):
    """What run() returns for a request."""
    script = script_of(run)
    return script.run(**script.calling.arguments(request))


def refused(run, request):
    with pytest.raises(RefusedError) as error:
        called(run, request)
    return error.value.status, str(error.value)


def packed_array(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def packed_table(table):
    file = io.BytesIO()
    with pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    return file.getvalue()


@pytest.mark.parametrize(
    ("decorator", "kind"),
    [
        (lambda run: run, "text"),
        (decoded, "decoded"),
        (rawhttp, "raw"),
        (input_schema("data", StandardPythonParameterType(1)), "schema"),
    ],
)
def test_a_call_tells_what_run_gets(decorator, kind):
    assert script_of(decorator(lambda data: data)).calling.kind == kind


class TestText:
    @pytest.mark.parametrize(
        "content_type", [None, JSON, b"text/csv", b"application/x-www-form-urlencoded", b"image/png"]
    )
    def test_the_body_is_text_whatever_its_content_type(self, content_type):
        assert called(lambda data: data, post("a=1&ü".encode(), content_type)) == "a=1&ü"

    def test_bytes_that_are_no_text_are_refused(self):
        status, message = refused(lambda data: data, post(b"\xff"))
        assert status == 400
        assert message.startswith("Input cannot be decoded as UTF-8:")

    def test_a_query_is_the_json_text_of_its_values(self):
        text = called(lambda data: data, get("a=1&b=[1]&c=ü&d=%C3%BC&e=1&e=x&f=".encode()))
        assert json.loads(text) == {"a": 1, "b": [1], "c": "ü", "d": "ü", "e": [1, "x"], "f": ""}

    def test_headers_are_given_to_those_who_take_them(self):
        assert called(lambda data, request_headers: request_headers, post(b""))["Content-Type"] == "application/json"

    def test_an_array_is_the_json_text_of_its_rows(self):
        body = packed_array(np.array([[1.5, 2], [3, 4]]))
        assert json.loads(called(lambda data: data, post(body, b"application/x-npy"))) == [[1.5, 2], [3, 4]]

    def test_a_table_is_the_json_text_of_its_records(self):
        body = packed_table(pa.table({"a": [1, 2], "b": ["x", None]}))
        text = called(lambda data: data, post(body, b"application/vnd.apache.arrow.stream"))
        assert json.loads(text) == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]

    def test_options_is_not_for_run(self):
        assert script_of(lambda data: data).calling.methods == ("GET", "POST")


class TestDecoded:
    def test_json_is_its_value(self):
        assert called(decoded(lambda data: data), post(b'{"a": [1, null]}')) == {"a": [1, None]}

    def test_an_array_is_an_array(self):
        value = called(decoded(lambda data: data), post(packed_array(np.arange(3)), b"application/x-npy"))
        assert isinstance(value, np.ndarray)
        assert value.tolist() == [0, 1, 2]

    def test_a_table_is_a_table(self):
        table = pa.table({"a": [1, 2]})
        body = packed_table(table)
        assert called(decoded(lambda data: data), post(body, b"application/vnd.apache.arrow.stream")).equals(table)

    def test_a_query_is_a_dictionary(self):
        assert called(decoded(lambda data: data), get(b"a=1")) == {"a": 1}

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"", "POST body is empty. Expecting JSON."),
            (
                b'{"a": 1,\n "b": }',
                "POST body could not be decoded as JSON: Expecting value: line 2 column 7 (char 15)",
            ),
        ],
    )
    def test_what_is_no_json_is_refused(self, body, message):
        assert refused(decoded(lambda data: data), post(body)) == (400, message)

    def test_headers_are_given_to_those_who_take_them(self):
        @decoded
        def run(data, request_headers):
            return request_headers

        assert called(run, post(b"1"))["Host"] == "x"


class TestRaw:
    def test_the_whole_request_is_given(self):
        @rawhttp
        def run(request, request_headers):
            return request.method, request.path, request.args["a"], request.headers["content-TYPE"], request.data

        request = Request("OPTIONS", "/score", b"a=1", [(b"content-type", b"image/png")], b"\xff")
        assert called(run, request) == ("OPTIONS", "/score", "1", "image/png", b"\xff")
        assert script_of(run).calling.methods == ("GET", "POST", "OPTIONS")


@input_schema("count", StandardPythonParameterType(1))
@input_schema("rows", NumpyParameterType(np.array([[1.0, 2.0]])))
def two(rows, count=7, further="a default", request_headers=None):
    return rows, count, further, request_headers


@input_schema("rows", NumpyParameterType(np.array([[1.0, 2.0]])))
def one(rows):
    return rows


class TestSchema:
    def test_members_are_arguments_converted(self):
        body = b'{"rows": [[1, 2], [3, 4]], "count": 3, "further": [null], "unknown": 1}'
        rows, count, further, headers = called(two, post(body))

        assert rows.dtype == float
        assert rows.tolist() == [[1, 2], [3, 4]]
        assert (count, further, headers["Host"]) == (3, [None], "x")

    def test_what_is_missing_has_its_default(self):
        assert called(two, post(b'{"rows": [[1, 2]]}'))[1:3] == (7, "a default")

    def test_a_query_is_such_an_object(self):
        rows, count, _, _ = called(two, get(b"rows=[[1,2]]&count=5"))
        assert (rows.tolist(), count) == ([[1, 2]], 5)

    @pytest.mark.parametrize(
        "content_type", [JSON, b"application/json; charset=utf-8", b"application/vnd.x+json", b"Application/JSON"]
    )
    def test_every_kind_of_json_is_taken(self, content_type):
        assert called(one, post(b'{"rows": [[1, 2]]}', content_type)).tolist() == [[1, 2]]

    @pytest.mark.parametrize("content_type", [None, b"text/plain", b"text/json", b"application/x-www-form-urlencoded"])
    def test_another_content_type_is_415(self, content_type):
        assert refused(one, post(b'{"rows": [[1, 2]]}', content_type)) == (
            415,
            "Expects Content-Type to be application/json",
        )

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"", "POST body is empty. Expecting a JSON dictionary."),
            (b"[1]", "POST body should be a JSON dictionary."),
            (b"{}", "A value is not provided for the 'rows' parameter."),
            (b'{"rows"', "POST body could not be decoded as JSON: Expecting ':' delimiter: line 1 column 8 (char 7)"),
            (b"\xff", f"Input cannot be decoded as UTF-8: {NO_UTF_8}"),
            (b"[" * 200_000, "POST body could not be decoded as JSON: it is nested too deeply"),
        ],
    )
    def test_what_is_no_such_object_is_refused(self, body, message):
        assert refused(one, post(body)) == (400, message)

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            (b'{"rows": 5}', ["'rows'", "an array of float64 of the shape (any, 2)", "given the whole number 5"]),
            (b'{"rows": [[1]]}', ["'rows'", "(any, 2)", "given one of the shape (1, 1)"]),
            (b'{"rows": [[1, 2], [3]]}', ["'rows'", "(any, 2)", "inhomogeneous"]),
            (b'{"rows": [["a", 2]]}', ["'rows'", "float64", "could not convert string to float"]),
            (b'{"rows": [[1, 2]], "count": "x"}', ["'count'", "expected a whole number, given the text 'x'"]),
            (b'{"rows": [[1, 2]], "count": null}', ["'count'", "expected a whole number, given null"]),
        ],
    )
    def test_what_does_not_fit_is_told_with_parameter_expected_and_given(self, body, told):
        status, message = refused(two, post(body))

        assert status == 400
        assert all(part in message for part in told), message

    def test_an_array_is_the_one_parameter_itself(self):
        body = packed_array(np.array([[1, 2], [3, 4]], dtype=np.int8))
        rows = called(one, post(body, b"application/x-npy"))
        assert (rows.dtype, rows.tolist()) == (np.dtype(float), [[1, 2], [3, 4]])

    def test_an_array_of_another_shape_is_refused(self):
        status, message = refused(one, post(packed_array(np.zeros((2, 3))), b"application/x-npy"))
        assert (status, "given one of the shape (2, 3)" in message) == (400, True)

    def test_an_array_for_several_parameters_is_refused(self):
        status, message = refused(two, post(packed_array(np.zeros((2, 2))), b"application/x-npy"))
        assert (status, "run() takes rows, count, further" in message) == (400, True)

    def test_a_table_is_a_data_frame(self):
        pd = pytest.importorskip("pandas")

        @input_schema("rows", PandasParameterType(pd.DataFrame({"a": [1.0], "b": ["x"]})))
        def run(rows):
            return rows

        body = packed_table(pa.table({"a": [1, 2], "b": ["x", "y"]}))
        frame = called(run, post(body, b"application/vnd.apache.arrow.stream"))
        assert frame.to_dict("list") == {"a": [1.0, 2.0], "b": ["x", "y"]}
        assert frame["a"].dtype == float

    def test_a_documented_output_asks_for_an_object_too(self):
        @output_schema(StandardPythonParameterType(1))
        def run(data):
            return data

        assert called(run, post(b'{"data": [1]}')) == [1]

    def test_what_a_script_raises_is_not_taken_for_the_callers_mistake(self):
        @input_schema("rows", NumpyParameterType(np.array([1.0])))
        def run(rows):
            raise ValueError("of the model")

        with pytest.raises(ValueError, match="of the model"):
            called(run, post(b'{"rows": [1]}'))


class TestDecorators:
    @pytest.mark.parametrize("order", [0, 1])
    @pytest.mark.parametrize(
        ("first", "second", "names"),
        [
            (rawhttp, input_schema("data", StandardPythonParameterType(1)), "@rawhttp and @input_schema"),
            (decoded, input_schema("data", StandardPythonParameterType(1)), "@input_schema and @decoded"),
            (rawhttp, decoded, "@rawhttp and @decoded"),
        ],
    )
    def test_decorators_that_contradict_each_other_are_told(self, first, second, names, order):
        outer, inner = (first, second) if order else (second, first)

        with pytest.raises(ScriptError, match=f"cannot be decorated with both {names}"):
            script_of(outer(inner(lambda data: data)))

    def test_a_decorator_of_the_scripts_own_is_kept_around_run(self):
        def twice(function):
            @functools.wraps(function)
            def wrapper(*arguments, **named):
                return [function(*arguments, **named), function(*arguments, **named)]

            return wrapper

        first, second = called(twice(one), post(b'{"rows": [[1, 2]]}'))
        assert first.tolist() == second.tolist() == [[1, 2]]

    def test_a_decorator_without_wraps_hides_nothing(self):
        def forward(function):
            def wrapper(rows):
                return function(rows)

            return wrapper

        assert called(forward(one), post(b'{"rows": [[1, 2]]}')).tolist() == [[1, 2]]

    def test_a_wrong_value_is_400_through_a_decorator_of_the_scripts_own(self):
        @functools.wraps(one)
        def run(*arguments, **named):
            return one(*arguments, **named)

        assert refused(run, post(b'{"rows": 1}'))[0] == 400

    @pytest.mark.parametrize("outermost", [True, False])
    def test_batches_are_asked_for_by_a_decorator(self, outermost):
        convert, batches = input_schema("rows", StandardPythonParameterType(1.0)), batched(max_size=8, max_wait_ms=2)

        def run(rows):
            return rows

        script = script_of(batches(convert(run)) if outermost else convert(batches(run)))
        assert (script.batching.max_size, script.batching.max_wait_ms) == (8, 2)
        assert script.run is run

    def test_without_it_there_are_none(self):
        assert script_of(one).batching is None

    @pytest.mark.parametrize(
        "decorate", [lambda run: run, input_schema("data", StandardPythonParameterType(1)), decoded]
    )
    def test_a_coroutine_function_stays_one(self, decorate):
        async def run(data):
            return data

        assert script_of(decorate(run)).is_async

    def test_a_signature_that_cannot_be_called_is_told(self):
        @rawhttp
        def run(request, other):
            pass

        with pytest.raises(ScriptError, match="a default is missing for other"):
            script_of(run)


class TestJson:
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda items: st.lists(items) | st.dictionaries(st.text(), items),
        ),
        st.sampled_from([None, 2]),
        st.booleans(),
    )
    def test_it_is_what_pythons_own_module_makes_of_it(self, value, indent, escaped):
        text = json.dumps(value, indent=indent, ensure_ascii=escaped)
        try:
            body = text.encode()
        except UnicodeEncodeError:
            return
        assert repr(parse_json(body, exact=True)) == repr(json.loads(body))

    @pytest.mark.parametrize(
        "number", [2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**18, 10**19, 10**40]
    )
    def test_integers_of_any_size_stay_integers_where_they_can(self, number):
        assert parse_json(b"[1, %d]" % number, exact=True) == [1, number]
        assert parse_json(b"[1, %d]" % number, exact=False)[1] == pytest.approx(number)

    @pytest.mark.parametrize("text", ["0.1234567890123456789012", "1234567890123456789.5", "1234567890123456789e3"])
    def test_long_fractions_are_floats(self, text):
        assert parse_json(text.encode(), exact=True) == float(text)

    @pytest.mark.parametrize("exact", [True, False])
    def test_what_only_python_takes_is_taken(self, exact):
        nan, infinity = parse_json(b"[NaN, -Infinity]", exact=exact)
        assert math.isnan(nan)
        assert infinity == -math.inf
        assert parse_json(b'\xef\xbb\xbf"\\ud800"', exact=exact) == "\ud800"
        assert parse_json('["ü"]'.encode("utf-16"), exact=exact) == ["ü"]

    @given(st.binary(max_size=64) | st.text(alphabet='[]{}",:0123456789eE.-tfn \n', max_size=64).map(str.encode))
    def test_whatever_comes_is_a_value_or_a_refusal(self, body):
        for exact in (True, False):
            with contextlib.suppress(RefusedError):
                parse_json(body, exact=exact)

    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
    def test_numbers_are_the_same_either_way(self, values):
        body = orjson.dumps(values)
        assert parse_json(body, exact=True) == parse_json(body, exact=False) == values

    @given(st.binary(max_size=64))
    def test_every_query_has_values(self, query):
        assert all(isinstance(name, str) for name in parse_query(query))
