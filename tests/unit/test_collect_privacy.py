"""A private column's value is in no written byte, wherever in a body or table it was."""

import json
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.collect.privacy import Privacy
from scoring.collect.read import read
from tests.unit.collect_harness import KEY, collecting, data_of, record

DROP, HASH = "ssn", "email"
# Private values are made of a letter that nothing else is made of: finding one byte of them is a leak.
PRIVATE = st.text("\u00a7", min_size=1, max_size=8)
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.floats(-9, 9), st.text("abc {[", max_size=4))
PRIVATE_NAMES = st.sampled_from([DROP, HASH, "SSN", "Email", " ssn "])
PRIVATE_VALUES = st.recursive(
    PRIVATE, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(PRIVATE, inner, max_size=2), max_leaves=4
)


def objects(inner):
    named = st.dictionaries(st.text("abcd", min_size=1, max_size=2), inner, max_size=3)
    private = st.dictionaries(PRIVATE_NAMES, PRIVATE_VALUES, max_size=2)
    return st.builds(lambda one, two: {**one, **two}, named, private)


@st.composite
def split_tables(draw):
    names = draw(st.lists(st.sampled_from(["a", "b", DROP, HASH]), min_size=1, max_size=4, unique=True))
    cell = {name: PRIVATE if name in {DROP, HASH} else PLAIN for name in names}
    rows = draw(st.lists(st.tuples(*(cell[name] for name in names)).map(list), max_size=3))
    columns, data = draw(st.sampled_from([("columns", "data"), ("columns", "rows"), ("ColumnNames", "Values")]))
    return {columns: names, data: rows}


@st.composite
def tensors(draw):
    name = draw(st.sampled_from(["a", "SSN", DROP, HASH]))
    cells = draw(st.lists(PLAIN if name == "a" else PRIVATE_VALUES, max_size=3))
    return {"name": name, "shape": [len(cells)], "datatype": "BYTES", draw(st.sampled_from(["data", "value"])): cells}


VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | objects(inner)
        | split_tables()
        | tensors()
        | st.lists(tensors(), max_size=2).map(lambda value: {"inputs": value})
        | objects(inner).map(json.dumps)
        | objects(inner).map(lambda value: json.dumps(json.dumps(value)))
    ),
    max_leaves=12,
)


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=4), st.lists(PRIVATE, min_size=1, max_size=3))
def test_no_written_byte_is_of_a_private_column(bodies, cells):
    with tempfile.TemporaryDirectory() as folder:
        with collecting(folder, drop=[DROP], hash=[HASH]) as sink:
            for number, (request, response) in enumerate(bodies):
                record(sink, json.dumps(request).encode(), json.dumps(response).encode(), f"id{number}")
            sink.put_frame("frames", pd.DataFrame({"a": 1, DROP: cells, HASH: cells}), request_id="id")
            assert sink.close(30)
            assert sink.counts().rows["frames"] == len(cells)
        written = b"".join(path.read_bytes() for path in Path(folder).rglob("*") if path.is_file())
        for form in ("\u00a7", "\\u00a7", "\\\\u00a7"):
            assert form.encode() not in written


@pytest.mark.parametrize(
    "body",
    [
        b"ssn,email\n1,SECRET",
        b"\xff\xfe binary SECRET",
        b'{"ssn": "SECRET"',
        b'["SECRET", 1]',
        b'{"data": [["SECRET"]]}',
        b'"SECRET"',
        b'{"instances": [[1, "SECRET"]]}',
        b'{"instances": ["SECRET"], "signature_name": "x"}',
        b'{"inputs": {"dense": [[1, "SECRET"]]}}',
        b'{"inputs": [{"name": "input-0", "shape": [1, 2], "data": [1, "SECRET"]}]}',
        b'{"inputs": [{"name": "input-0", "data": [[1, "SECRET"]]}]}',
        b'{"input_data": [[1, "SECRET"]], "params": {}}',
        b'{"rows": [[1, "SECRET"]]}',
        b'{"data": [[1, "SECRET"]], "method": "predict"}',
        b'{"data": {"ndarray": [[1, "SECRET"]]}}',
        b'{"a": {"b": [{"instances": [[1, "SECRET"]]}]}}',
        b'{"a": "{\\"instances\\": [[1, \\"SECRET\\"]]}"}',
    ],
    ids=[
        "CSV",
        "binary",
        "broken",
        "rows without names",
        "table without names",
        "text",
        "instances",
        "instances of one value",
        "tensor of several columns by its name",
        "flat tensor of several columns",
        "tensor of several columns",
        "input_data beside params",
        "rows",
        "data beside a method",
        "ndarray",
        "instances further down",
        "instances in a text",
    ],
)
def test_an_input_in_which_private_columns_cannot_be_found_is_not_collected(tmp_path, body):
    with collecting(tmp_path, drop=[DROP]) as sink:
        record(sink, body)
        assert sink.close(30)
        assert sum(sink.counts().dropped.values()) == 1
    assert list(read(str(tmp_path), "iris", "1", "request")) == []


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ({"instances": [{"a": 1, "ssn": "SECRET"}]}, {"instances": [{"a": 1}]}),
        (
            {"inputs": [{"name": "ssn", "shape": [1], "data": ["SECRET"]}, {"name": "a", "shape": [1], "data": [1]}]},
            {"inputs": [{"name": "ssn", "shape": [1]}, {"name": "a", "shape": [1], "data": [1]}]},
        ),
        ({"features": [{"Name": "SSN", "Value": "SECRET"}]}, {"features": [{"Name": "SSN"}]}),
        ({"columns": ["a", "ssn"], "rows": [[1, "SECRET"]]}, {"columns": ["a"], "rows": [[1]]}),
        (
            {"columns": [{"name": "a"}, {"name": "ssn"}], "rows": [[1, "SECRET"]]},
            {"columns": [{"name": "a"}], "rows": [[1]]},
        ),
        (
            {"Inputs": {"input1": {"ColumnNames": ["a", "ssn"], "Values": [["1", "SECRET"]]}}, "GlobalParameters": {}},
            {"input1": {"ColumnNames": ["a"], "Values": [["1"]]}, "GlobalParameters": {}},
        ),
        ({"data": {"names": ["ssn", "a"], "ndarray": [["SECRET", 1]]}}, {"data": {"names": ["a"], "ndarray": [[1]]}}),
        ({"inputs": {"ssn": [["SECRET"]], "a": [[1]]}}, {"inputs": {"a": [[1]]}}),
        ({"image": [[0, 1], [1, 0]], "ssn": "SECRET"}, {"image": [[0, 1], [1, 0]]}),
    ],
    ids=[
        "TensorFlow Serving",
        "KServe",
        "names and values",
        "rows",
        "described columns",
        "Azure ML Studio",
        "Seldon",
        "TensorFlow Serving by column",
        "a matrix in a column",
    ],
)
def test_a_private_column_is_left_out_of_the_usual_shapes_of_requests(tmp_path, body, kept):
    with collecting(tmp_path, drop=[DROP]) as sink:
        record(sink, json.dumps(body).encode())
        assert sink.close(30)
    assert [data_of(row) for row in read(str(tmp_path), "iris", "1", "request")] == [kept]


def test_a_tensor_by_a_hashed_name_has_its_values_hashed():
    privacy = Privacy((), ["email"], KEY.encode())
    cleaned = privacy.clean({"inputs": [{"name": "email", "shape": [1], "data": ["x@y"]}]})
    assert cleaned == {"inputs": [{"name": "email", "shape": [1], "data": [privacy.clean({"email": "x@y"})["email"]]}]}


def test_a_table_by_a_private_name_loses_its_rows():
    table = {"name": "ssn", "columns": ["a"], "rows": [["SECRET"]]}
    assert Privacy(["ssn"], (), b"").clean(table) == {"name": "ssn", "columns": ["a"]}


def test_a_table_with_two_lists_of_names_loses_its_cells():
    table = {"columns": ["a", "b"], "names": ["a", "ssn"], "rows": [[1, "SECRET"]], "index": [0]}
    assert Privacy(["ssn"], (), b"").clean(table) == {"index": [0]}


def test_the_query_of_a_get_is_cleaned_too(tmp_path):
    with collecting(tmp_path, drop=[DROP]) as sink:
        record(sink, b"", query=b"a=1&ssn=SECRET")
        assert sink.close(30)
    assert [data_of(row) for row in read(str(tmp_path), "iris", "1", "request")] == [{"a": 1}]


def test_equal_values_have_equal_hashes_so_that_rows_can_be_joined():
    privacy = Privacy((), ["email"], KEY.encode())
    one, two = (privacy.clean({"email": "x@y"})["email"] for _ in range(2))
    assert one == two
    assert one != privacy.clean({"email": "x@z"})["email"]
    assert one != Privacy((), ["email"], b"another key").clean({"email": "x@y"})["email"]


def test_lists_are_hashed_item_by_item_and_null_stays_null():
    privacy = Privacy((), ["email"], KEY.encode())
    cleaned = privacy.clean({"email": ["a", None, ["b"]]})["email"]
    assert cleaned[1] is None
    assert cleaned[0] == privacy.clean({"email": "a"})["email"]
    assert cleaned[2] == [privacy.clean({"email": "b"})["email"]]


def test_what_only_looks_like_json_is_left_out_where_it_names_a_private_column():
    privacy = Privacy(["ssn"], (), b"")
    assert privacy.clean({"a": "{'ssn': '1'}", "b": "(a smile)", "c": "my ssn"}) == {
        "a": None,
        "b": "(a smile)",
        "c": "my ssn",
    }


def test_names_of_several_levels_are_private_by_any_level():
    table = {"columns": [["x", "ssn"], ["x", "a"]], "data": [["SECRET", 1]]}
    assert Privacy(["ssn"], (), b"").clean(table) == {"columns": [["x", "a"]], "data": [[1]]}


def test_a_table_whose_cells_cannot_be_matched_to_columns_loses_its_cells():
    table = {"columns": ["a"], "data": [["x", "SECRET"]], "index": [0]}
    assert Privacy(["ssn"], (), b"").clean(table) == {"index": [0]}
