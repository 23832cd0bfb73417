"""inference_schema, as scripts and their authors' own tests use it."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import json
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tests.unit.compat_packages import (
    AbstractParameterType,
    NumpyParameterType,
    PandasParameterType,
    StandardPythonParameterType,
    batched,
    input_schema,
    output_schema,
    schema_util,
)

UTC = dt.timezone.utc  # noqa: UP017 - as the runtime writes it, for Python 3.10


def convert(kind, value, **options):
    """What run() gets for a JSON value, when an author's own test calls it."""

    @input_schema("value", kind, **options)
    def run(value=None):
        return value

    return run(json.loads(json.dumps(value)))


class TestStandard:
    @pytest.mark.parametrize(
        ("sample", "value"),
        [
            (1, 5),
            (1, True),
            (1.5, 2.5),
            (1.5, 2),
            ("a", "b"),
            (True, False),
            ([1], ["anything"]),
            ({"a": 1}, {"b": None}),
        ],
    )
    def test_a_value_of_the_samples_type_is_given_as_it_is(self, sample, value):
        given_value = convert(StandardPythonParameterType(sample), value)
        assert (given_value, type(given_value)) == (value, type(value))

    @pytest.mark.parametrize(
        ("sample", "text", "value"),
        [
            (dt.date(2020, 1, 2), "2021-03-04", dt.date(2021, 3, 4)),
            (dt.datetime(2020, 1, 2), "2021-03-04T05:06:07", dt.datetime(2021, 3, 4, 5, 6, 7)),  # noqa: DTZ001 - without
            (dt.datetime(2020, 1, 2), "2021-03-04T05:06:07Z", dt.datetime(2021, 3, 4, 5, 6, 7, tzinfo=UTC)),  # noqa: DTZ001
            (dt.datetime(2020, 1, 2), "2021-03-04 05:06:07.000000 +0000", dt.datetime(2021, 3, 4, 5, 6, 7, tzinfo=UTC)),  # noqa: DTZ001
            (dt.datetime(2020, 1, 2), "4 March 2021", dt.datetime(2021, 3, 4)),  # noqa: DTZ001
            (dt.time(1, 2), "05:06:07", dt.time(5, 6, 7)),
            (dt.time(1, 2), "05:06:07.000000 +0000", dt.time(5, 6, 7, tzinfo=UTC)),
            (b"x", "aGVsbG8=", b"hello"),
            (bytearray(b"x"), "aGVsbG8=", bytearray(b"hello")),
        ],
    )
    def test_text_becomes_what_json_has_not(self, sample, text, value):
        assert convert(StandardPythonParameterType(sample), text) == value

    @pytest.mark.parametrize(
        ("sample", "value", "message"),
        [
            (1, 1.5, "expected a whole number, given the number 1.5"),
            (1, "1", "expected a whole number, given the text '1'"),
            (1.5, True, "expected a number, given true"),
            ("a", None, "expected a text, given null"),
            (True, 1, "expected true or false, given the whole number 1"),
            ([1], {"a": 1}, "expected a list, given an object with the members a"),
            ((1,), 1, "expected a list"),
            ({"a": 1}, [1, 2], "expected an object, given a list of 2"),
            (dt.date(2020, 1, 2), "tomorrow", "expected a date, such as '2026-01-31', given the text 'tomorrow'"),
            (dt.datetime(2020, 1, 2), 5, "expected a date and time, such as"),  # noqa: DTZ001
            (dt.datetime(2020, 1, 2), "never", "expected a date and time, such as"),  # noqa: DTZ001
            (dt.time(1, 2), 5, "expected a time, such as '12:00:00', given the whole number 5"),
            (b"x", 5, "expected bytes as base64, given the whole number 5"),
            (b"x", "a", "expected bytes as base64, given the text 'a'"),
        ],
    )
    def test_another_value_is_told_with_what_was_expected(self, sample, value, message):
        with pytest.raises(ValueError, match="the value of 'value' does not fit its schema") as error:
            convert(StandardPythonParameterType(sample), value)
        assert message in str(error.value)

    def test_types_within_a_dictionary_or_list_convert_their_members(self):
        kind = StandardPythonParameterType({"rows": NumpyParameterType(np.array([1.0])), "n": 1})
        found = convert(kind, {"rows": [1, 2], "n": "not looked at", "more": 3})
        assert isinstance(found["rows"], np.ndarray)
        assert (found["n"], found["more"]) == ("not looked at", 3)

        first, second = convert(StandardPythonParameterType([StandardPythonParameterType(b"x")]), ["YQ==", "Yg=="])
        assert (first, second) == (b"a", b"b")

    def test_a_mistake_within_is_told_with_its_place(self):
        kind = StandardPythonParameterType({"a": StandardPythonParameterType([StandardPythonParameterType(1)])})
        with pytest.raises(ValueError, match=r"'a': item 1: expected a whole number, given the text 'x'"):
            convert(kind, {"a": [1, "x"]})

    @pytest.mark.parametrize(
        ("sample", "schema"),
        [
            (1, {"type": "integer", "format": "int64", "example": 1}),
            (1.5, {"type": "number", "format": "double", "example": 1.5}),
            (True, {"type": "boolean", "example": True}),
            ("a", {"type": "string", "example": "a"}),
            (b"abc", {"type": "string", "format": "byte", "example": "YWJj"}),
            (dt.date(2020, 1, 2), {"type": "string", "format": "date", "example": "2020-01-02"}),
            (
                dt.datetime(2020, 1, 2, 3, 4, 5),  # noqa: DTZ001
                {"type": "string", "format": "date-time", "example": "2020-01-02 03:04:05.000000 +0000"},
            ),
            (dt.time(3, 4, 5), {"type": "string", "format": "time", "example": "03:04:05.000000 +0000"}),
            ([], {"type": "array", "items": {"type": "object"}, "example": []}),
            ([1, 2.5], {"type": "array", "items": {"type": "number", "format": "double"}, "example": [1, 2.5]}),
            ([None, "a"], {"type": "array", "items": {"type": "string"}, "example": [None, "a"]}),
            (
                {"a": [True]},
                {
                    "type": "object",
                    "required": ["a"],
                    "properties": {"a": {"type": "array", "items": {"type": "boolean"}}},
                    "example": {"a": [True]},
                },
            ),
        ],
    )
    def test_a_sample_has_its_schema(self, sample, schema):
        assert StandardPythonParameterType(sample).input_to_swagger() == schema

    def test_a_sample_that_json_has_nothing_for_is_told(self):
        with pytest.raises(ValueError, match="the sample is None"):
            input_schema("a", StandardPythonParameterType(None))
        with pytest.raises(TypeError, match="the sample has no JSON form"):
            input_schema("a", StandardPythonParameterType({1, 2}))


class TestNumpy:
    @given(
        arrays(
            st.sampled_from(["float64", "float32", "int64", "int8", "uint64", "bool", "U3"]),
            array_shapes(max_dims=3, max_side=3),
            elements={"allow_nan": False, "allow_infinity": False},
        ).filter(lambda array: array.dtype.kind != "U" or not any("\x00" in text for text in array.flat))
    )
    def test_an_array_comes_back_from_json_as_it_was(self, array):
        kind = NumpyParameterType(array)
        found = convert(kind, kind.input_to_swagger()["example"])

        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)

    def test_only_the_first_dimension_may_differ(self):
        kind = NumpyParameterType(np.zeros((1, 2)))
        assert convert(kind, [[1, 2]] * 5).shape == (5, 2)
        for value in ([[1, 2, 3]], [1, 2], [[[1, 2]]]):
            with pytest.raises(ValueError, match=r"expected an array of float64 of the shape \(any, 2\)"):
                convert(kind, value)

    def test_shape_and_type_need_not_be_enforced(self):
        sample = np.zeros((1, 2))
        assert convert(NumpyParameterType(sample, enforce_shape=False), [1]).shape == (1,)
        assert convert(NumpyParameterType(sample, enforce_column_type=False), [["a", "b"]]).dtype.kind == "U"

    def test_rows_of_a_structured_array_are_objects_or_lists(self):
        kind = NumpyParameterType(np.array([(1, 2.5)], dtype=[("i", "i4"), ("f", "f8")]))
        assert convert(kind, [{"f": 1, "i": 3}, [4, 5]]).tolist() == [(3, 1.0), (4, 5.0)]
        assert kind.input_to_swagger()["example"] == [{"i": 1, "f": 2.5}]
        with pytest.raises(ValueError, match="does not fit its schema"):
            convert(kind, [{"f": 1}])

    def test_dates_and_durations_are_text(self):
        days = NumpyParameterType(np.array(["2020-01-01"], dtype="datetime64[D]"))
        assert convert(days, ["2021-02-03"])[0] == np.datetime64("2021-02-03")
        assert days.input_to_swagger()["example"] == ["2020-01-01"]
        with pytest.raises(ValueError, match="expected dates as text"):
            convert(days, [5])
        spans = NumpyParameterType(np.array([5], dtype="timedelta64[D]"))
        assert convert(spans, ["7 days"])[0] == np.timedelta64(7, "D")
        assert spans.input_to_swagger()["example"] == ["5 days"]
        with pytest.raises(ValueError, match="expected a duration, such as '5 days'"):
            convert(spans, ["long"])

    def test_an_integer_that_is_too_large_is_told(self):
        with pytest.raises(ValueError, match="an array of int8"):
            convert(NumpyParameterType(np.array([1], dtype="int8")), [1000])

    def test_a_sample_that_is_no_array_is_told(self):
        with pytest.raises(TypeError, match="takes an array as its sample, given list"):
            NumpyParameterType([1])
        with pytest.raises(TypeError, match="complex128 has no JSON form"):
            input_schema("a", NumpyParameterType(np.array([1j])))


FRAME = pd.DataFrame({"a": [1, 2], "b": [1.5, 2.5], "c": ["x", "y"]})


class TestPandas:
    @pytest.mark.parametrize("orient", ["split", "records", "index", "columns", "table"])
    def test_a_frame_comes_back_from_json_as_it_was(self, orient):
        kind = PandasParameterType(FRAME, orient=orient)
        found = convert(kind, json.loads(FRAME.to_json(orient=orient)))
        pd.testing.assert_frame_equal(found.reset_index(drop=True), FRAME)

    def test_columns_have_the_samples_types(self):
        found = convert(PandasParameterType(FRAME), [{"a": "5", "b": 1, "c": 7}])
        assert (found["a"].dtype, found["b"].dtype) == (np.dtype("int64"), np.dtype("float64"))
        assert found["c"].tolist() == ["7"]

    def test_columns_with_numbers_for_names_are_found(self):
        found = convert(PandasParameterType(pd.DataFrame([[1.0, 2.0]])), [{"0": 1, "1": 2}])
        assert list(found.columns) == [0, 1]
        assert found.dtypes.tolist() == [np.dtype("float64")] * 2

    def test_dates_and_durations_are_text(self):
        sample = pd.DataFrame({"d": pd.to_datetime(["2020-01-01"]), "t": pd.to_timedelta(["1 days"])})
        found = convert(PandasParameterType(sample), [{"d": "2021-02-03", "t": "2 days"}])
        assert found.dtypes.tolist() == sample.dtypes.tolist()
        assert (found["d"][0], found["t"][0]) == (pd.Timestamp("2021-02-03"), pd.Timedelta(days=2))

    def test_a_column_is_no_date_for_its_name_alone(self):
        kind = PandasParameterType(pd.DataFrame({"date": ["2020-01-01"], "modified": [1]}))
        found = convert(kind, [{"date": "2021-02-03", "modified": 1_700_000_000}])
        assert found.to_dict("records") == [{"date": "2021-02-03", "modified": 1_700_000_000}]

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ([{"a": 1}], "with 3 columns: a, b, c, given 1: a"),
            ([], "with 3 columns: a, b, c, given none"),
            ([{"a": "x", "b": 1, "c": ""}], "column 'a' as int64: invalid literal"),
            ([{"a": None, "b": 1, "c": ""}], "column 'a' as int64"),
            (5, "expected a list or an object, given the whole number 5"),
            ({"a": 1, "b": 2, "c": 3}, "(orient 'records')"),
        ],
    )
    def test_what_does_not_fit_is_told(self, value, message):
        with pytest.raises(ValueError, match="does not fit its schema") as error:
            convert(PandasParameterType(FRAME), value)
        assert message in str(error.value)

    def test_shape_and_types_need_not_be_enforced(self):
        assert convert(PandasParameterType(FRAME, enforce_shape=False), [{"a": 1}]).shape == (1, 1)
        found = convert(PandasParameterType(FRAME, enforce_column_type=False), [{"a": "5", "b": 1, "c": 7}])
        assert found["a"].tolist() == ["5"]

    def test_names_may_be_the_samples(self):
        with pytest.warns(DeprecationWarning, match="apply_column_names"):
            kind = PandasParameterType(FRAME, apply_column_names=True)
        assert list(convert(kind, [[1, 2, "x"]]).columns) == ["a", "b", "c"]

    def test_a_sample_that_cannot_be_one_is_told(self):
        with pytest.raises(TypeError, match="takes a data frame as its sample, given list"):
            PandasParameterType([1])
        with pytest.raises(ValueError, match="orient is 'rows'; allowed are split, records"):
            PandasParameterType(FRAME, orient="rows")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["2020-01-01", "5 days"]),
    lambda items: st.lists(items, max_size=3) | st.dictionaries(st.sampled_from("abcdft01"), items, max_size=4),
    max_leaves=8,
)
KINDS = [
    *(
        StandardPythonParameterType(sample)
        for sample in (1, 1.5, "a", True, b"a", [1], {"a": NumpyParameterType(np.zeros(1))})
    ),
    *(StandardPythonParameterType(sample) for sample in (dt.date(2020, 1, 2), dt.datetime(2020, 1, 2), dt.time(1))),  # noqa: DTZ001 - a sample
    *(
        NumpyParameterType(np.zeros((1, 2), dtype=dtype))
        for dtype in ("f8", "i2", "U3", "S3", "M8[s]", "m8[s]", "?", "O")
    ),
    NumpyParameterType(np.zeros(1), enforce_shape=False, enforce_column_type=False),
    NumpyParameterType(np.zeros(1, dtype=[("f", "f8"), ("t", "m8[s]"), ("d", [("a", "U3")])])),
    *(
        PandasParameterType(FRAME, orient=orient)
        for orient in ("split", "records", "index", "columns", "values", "table")
    ),
    PandasParameterType(
        pd.DataFrame({"d": pd.to_datetime(["2020-01-01"], utc=True), "t": pd.to_timedelta(["1 days"])})
    ),
]


@pytest.mark.parametrize("kind", KINDS)
@given(value=JSON)
def test_whatever_comes_is_a_value_of_the_type_or_a_value_error(kind, value):
    with contextlib.suppress(ValueError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind.deserialize_input(value)


class Celsius(AbstractParameterType):
    """A type of a script's own, as inference_schema lets one write it."""

    def deserialize_input(self, input_data):
        if not str(input_data).endswith("C"):
            raise ValueError("degrees end with C")
        return float(input_data[:-1])

    def input_to_swagger(self):
        return {"type": "string", "example": f"{self.sample_input}C"}


class TestDecorators:
    def test_a_type_of_the_scripts_own_is_used(self):
        assert convert(Celsius(20.0), "21.5C") == 21.5
        with pytest.raises(ValueError, match="degrees end with C"):
            convert(Celsius(20.0), "300K")

    def test_a_function_takes_its_arguments_by_place_and_by_name(self):
        @input_schema("a", StandardPythonParameterType(b"x"))
        @input_schema("b", StandardPythonParameterType(b"x"))
        @output_schema(StandardPythonParameterType([1]))
        def run(a, b, c=1):
            """What it does."""
            return a, b, c

        one, two = (base64.b64encode(text).decode() for text in (b"one", b"two"))
        assert run(one, b=two) == run(b=two, a=one, c=1) == (b"one", b"two", 1)
        assert (run.__name__, run.__doc__) == ("run", "What it does.")
        with pytest.raises(TypeError, match="missing a required argument: 'b'"):
            run(one)

    def test_converted_values_are_left_alone(self):
        array = np.array([[1.0, 2.0]])
        assert convert_value(NumpyParameterType(array), array) is array
        assert convert_value(PandasParameterType(FRAME), FRAME).equals(FRAME)
        assert convert_value(StandardPythonParameterType(b"x"), b"YQ==") == b"YQ=="

    def test_converting_is_optional(self):
        assert convert(StandardPythonParameterType(b"x"), "YQ==", convert_to_provided_type=False) == "YQ=="

    @pytest.mark.parametrize("value", [None, "", [], {}, 0, False])
    def test_an_optional_parameter_takes_nothing_for_an_answer(self, value):
        assert convert(StandardPythonParameterType(b"x"), value, optional=True) == value

    def test_an_optional_parameter_is_converted_when_it_is_there(self):
        assert convert(StandardPythonParameterType(b"x"), "YQ==", optional=True) == b"a"

    def test_a_function_that_takes_batches_has_each_item_converted(self):
        @batched
        @input_schema("a", StandardPythonParameterType(b"x"))
        def run(a):
            return a

        assert run(["YQ==", "Yg=="]) == [b"a", b"b"]

    def test_a_parameter_that_is_not_there_is_told_when_the_script_is_loaded(self):
        with pytest.raises(TypeError, match=r"@input_schema\('b'\): run\(\) has no such parameter; it has a"):

            @input_schema("b", StandardPythonParameterType(1))
            def run(a):
                pass

    def test_a_sample_without_a_type_around_it_is_told(self):
        with pytest.raises(TypeError, match="wrap the sample in a parameter type"):
            input_schema("a", 5)
        with pytest.raises(TypeError, match="wrap the sample in a parameter type"):
            output_schema(5)

    def test_two_outputs_are_told(self):
        decorate = output_schema(StandardPythonParameterType(1))
        with pytest.raises(TypeError, match="has one already"):
            decorate(decorate(lambda data: data))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"max_size": 0}, "max_size is 0"),
            ({"max_size": True}, "max_size is True"),
            ({"max_wait_ms": -1}, "max_wait_ms is -1"),
        ],
    )
    def test_batches_of_no_size_are_told(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            batched(**arguments)

    def test_spark_is_told_to_be_missing(self):
        from inference_schema.parameter_types.spark_parameter_type import (  # noqa: PLC0415 - what is tested
            SparkParameterType,
        )

        with pytest.raises(NotImplementedError, match="use PandasParameterType"):
            SparkParameterType(None)


def convert_value(kind, value):
    @input_schema("value", kind)
    def run(value):
        return value

    return run(value)


class TestUtilities:
    def test_schemas_are_told_of_a_decorated_function(self):
        @input_schema("a", StandardPythonParameterType([1, "x"]))
        @output_schema(StandardPythonParameterType(1.5))
        def a_function(a, request_headers=None):
            pass

        assert schema_util.is_schema_decorated(a_function)
        assert schema_util.get_input_schema(a_function)["example"] == {"a": [1, "x"]}
        assert schema_util.get_output_schema(a_function) == {"type": "number", "format": "double", "example": 1.5}
        assert schema_util.get_supported_versions(a_function) == ["3.0", "3.1"]
        assert set(schema_util.get_schemas_dict()[f"{__name__}.a_function"]) == {"input_schema", "output_schema"}

    def test_nothing_is_told_of_another(self):
        assert not schema_util.is_schema_decorated(print)
        assert schema_util.get_input_schema(print) == schema_util.get_output_schema(print) == {"type": "object"}
        assert schema_util.get_supported_versions(print) == ["2.0", "3.0", "3.1"]
