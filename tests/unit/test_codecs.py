"""Arrays, tables and msgpack beside JSON: what is read, what is written, and what is refused."""

import ast
import dataclasses
import json
import math
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import ormsgpack
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from scoring import codecs
from scoring.calling.parsing import is_binary, parse_binary
from scoring.codecs import as_json_text, encode
from scoring.refused import RefusedError
from scoring.request import Request
from tests.unit.codecs_harness import memory

ROOT = Path(__file__).parents[2]
NPY, MSGPACK = b"application/x-npy", b"application/msgpack"
STREAM, FILE = b"application/vnd.apache.arrow.stream", b"application/vnd.apache.arrow.file"
ARROW = [STREAM, FILE]


def request(content_type: bytes, body: bytes) -> Request:
    return Request("POST", "/score", headers=[(b"content-type", content_type)], body=body)


def written(value, content_type: bytes) -> bytes:
    found = encode(value, content_type)
    assert found is not None
    assert found[1] == content_type
    return found[0]


def back(value, content_type: bytes):
    return parse_binary(request(content_type, written(value, content_type)))


def refusal(content_type: bytes, body: bytes) -> RefusedError:
    with pytest.raises(RefusedError) as refused:
        parse_binary(request(content_type, body))
    return refused.value


def npy(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode()
    return b"\x93NUMPY" + version + struct.pack("<H" if version[0] == 1 else "<I", len(text)) + text + data


# --- content types


@pytest.mark.parametrize("content_type", [NPY, MSGPACK, *ARROW, b"application/x-msgpack", b"Application/X-NPY ; a=b"])
def test_arrays_tables_and_msgpack_are_binary(content_type):
    assert is_binary(request(content_type, b""))


@pytest.mark.parametrize(
    "content_type", [b"", b"application/json", b"text/plain", b"application/octet-stream", b"\xff"]
)
def test_all_else_is_not(content_type):
    assert not is_binary(request(content_type, b""))


@pytest.mark.parametrize("content_type", [NPY, MSGPACK, *ARROW])
def test_an_empty_body_is_refused(content_type):
    assert refusal(content_type, b"").status == 400


def test_the_codecs_offer_what_serving_uses_and_nothing_else():
    used = set()
    for path in (ROOT / "scoring").rglob("*.py"):
        if path.parent.name != "codecs":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module == "scoring.codecs":
                    used |= {name.name for name in node.names}
                elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "codecs":
                    used.add(node.attr)
    assert set(codecs.__all__) <= used


def test_a_library_that_the_environment_lacks_is_named(tmp_path):
    code = (
        "import sys\n"
        "sys.modules.update({'numpy': None, 'pyarrow': None})\n"
        "from scoring.calling.parsing import parse_binary\n"
        "from scoring.codecs import encode\n"
        "from scoring.refused import RefusedError\n"
        "from scoring.request import Request\n"
        f"for kind in {[NPY, STREAM]!r}:\n"
        "    try:\n"
        "        parse_binary(Request('POST', '/score', headers=[(b'content-type', kind)], body=b'x'))\n"
        "    except RefusedError as refused:\n"
        "        print(refused.status, refused)\n"
        f"print(encode([1], {NPY!r}), encode([1], {STREAM!r}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    first, second, third = done.stdout.splitlines()
    assert first == (
        "415 A body of type application/x-npy needs numpy, which this model's environment has not: "
        "add numpy to its requirements, or send JSON."
    )
    assert "pyarrow" in second
    assert third == "None None"


# --- arrays

_NUMBERS = st.one_of(
    arrays.boolean_dtypes(),
    arrays.integer_dtypes(endianness="?"),
    arrays.floating_dtypes(endianness="?"),
    arrays.complex_number_dtypes(endianness="?"),
    arrays.datetime64_dtypes(endianness="?"),
    arrays.timedelta64_dtypes(endianness="?"),
    arrays.unicode_string_dtypes(endianness="?", min_len=1),
    arrays.byte_string_dtypes(min_len=1),
)


@given(arrays.arrays(_NUMBERS, arrays.array_shapes(min_dims=0, max_dims=3, max_side=4)), st.booleans())
def test_an_array_comes_back(array, fortran):
    given_array = np.asfortranarray(array) if fortran else array
    read = back(given_array, NPY)
    np.testing.assert_array_equal(read, given_array)
    assert read.dtype == array.dtype.newbyteorder("=")
    assert read.flags.writeable


@pytest.mark.parametrize("shape", [(0,), (0, 30), (3, 0), (0, 10**12)])
def test_an_empty_array_comes_back(shape):
    assert back(np.empty(shape), NPY).shape == shape


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_format_is_read(tmp_path, version):
    path = tmp_path / "array.npy"
    with path.open("wb") as file:
        np.lib.format.write_array(file, np.arange(6).reshape(2, 3), version=version)
    assert parse_binary(request(NPY, path.read_bytes())).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"\x93NUMPY", "does not begin as one"),
        (b"PK\x03\x04 an npz file", "does not begin as one"),
        (npy("{}", version=b"\x09\x00"), "version is 9"),
        (npy("(" * 5000), "at most 4096"),
        (npy("(" * 3000), "header is not that"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", bytes(8)), "'|O'"),
        (npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }", bytes(8)), "send tables as Arrow"),
        (npy("{'descr': '<f8', 'descr': '<f8', 'shape': (1,), }", bytes(8)), "has not descr"),
        (npy("{'descr': '<f7', 'fortran_order': False, 'shape': (1,), }", bytes(8)), "'<f7'"),
        (npy("{'descr': '<U0', 'fortran_order': False, 'shape': (99999999,), }"), "'<U0'"),
        (
            npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", bytes(8)),
            "which are 16 bytes, and 8 follow",
        ),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999999,), }", bytes(8)), "and 8 follow"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999999999,), }"), "its shape is"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999, 0), }"), "too large"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (" + "1," * 40 + ")}", bytes(8)), "its shape is"),
        (npy("{'descr': '<U1', 'fortran_order': False, 'shape': (1,), }", b"\xff\xff\xff\x7f"), "characters"),
    ],
)
def test_a_hostile_array_is_refused_before_memory_is_taken(body, says):
    with memory() as peak:
        refused = refusal(NPY, body)
    assert refused.status == 400
    assert says in str(refused)
    assert peak() < 1 << 20


def test_arrays_are_never_pickled():
    assert encode(np.array([object()]), NPY) is None
    assert encode(np.zeros(1, dtype=[("a", "f8")]), NPY) is None


def test_a_numpy_scalar_is_an_array_without_dimensions():
    assert back(np.float32(1.5), NPY).shape == ()


# --- tables

FRAME = pd.DataFrame(
    {
        "number": [1.5, math.nan],
        "count": [1, 2],
        "text": ["a", None],
        "flag": [True, False],
        "kind": pd.Categorical(["x", "y"]),
        "day": pd.to_datetime(["2024-01-01", "2024-01-02"]),
        "list": [[1], [2, 3]],
        "nothing": [None, None],
    }
)
_COLUMNS = st.one_of(
    st.tuples(st.just(pa.int64()), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(pa.float64()), st.floats(allow_nan=False)),
    st.tuples(st.just(pa.string()), st.text(max_size=5)),
    st.tuples(st.just(pa.bool_()), st.booleans()),
    st.tuples(st.just(pa.list_(pa.int8())), st.lists(st.integers(-128, 127), max_size=3)),
    st.tuples(st.just(pa.struct([("a", pa.binary())])), st.fixed_dictionaries({"a": st.binary(max_size=3)})),
)


@given(st.data(), st.integers(0, 4), st.sampled_from(ARROW))
def test_a_table_comes_back(data, rows, content_type):
    columns = {}
    for name in data.draw(st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=3, unique=True)):
        kind, value = data.draw(_COLUMNS)
        columns[name] = pa.array([value] * rows, kind)
    table = pa.table(columns)
    assert back(table, content_type).equals(table)


@pytest.mark.parametrize("content_type", ARROW)
def test_a_data_frame_comes_back(content_type):
    frame = back(FRAME, content_type).to_pandas()
    pd.testing.assert_frame_equal(frame.drop(columns="list"), FRAME.drop(columns="list"), check_dtype=False)
    assert [list(value) for value in frame["list"]] == [[1], [2, 3]]


def _nulls_in_a_list() -> pa.Table:
    return pa.table({"a": pa.array([[None, None]], pa.list_(pa.null()))})


def _repeated_long_texts() -> pa.Table:
    return pa.table({"a": pa.DictionaryArray.from_arrays(pa.array([0] * 300, pa.int8()), ["x" * 1_000_000])})


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (_nulls_in_a_list, "type list<item: null>"),
        (lambda: pa.table({"a": pa.Array.from_buffers(pa.null(), 10**9, [None])}), "rows without values"),
        (lambda: pa.table({"a": pa.RunEndEncodedArray.from_arrays([10**9], [1])}), "not taken"),
        (lambda: pa.table({"a": pa.StructArray.from_buffers(pa.struct([]), 10**9, [None])}), "not taken"),
        (_repeated_long_texts, "too long"),
    ],
)
@pytest.mark.parametrize("content_type", ARROW)
def test_a_small_body_does_not_become_a_huge_table(table, says, content_type):
    refused = refusal(content_type, written(table(), content_type))
    assert refused.status == 400
    assert says in str(refused)


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
@pytest.mark.parametrize("value", [pa.array([0.0] * 1000), pa.array(["x" * 100] * 1000).dictionary_encode()])
def test_compressed_buffers_are_refused(codec, value):
    table = pa.table({"a": value})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write_table(table)
    assert "Content-Encoding: gzip" in str(refusal(STREAM, sink.getvalue().to_pybytes()))


def test_an_old_pyarrow_that_runs_code_of_a_body_is_not_used(monkeypatch):
    monkeypatch.setattr(pa, "__version__", "14.0.0")
    refused = refusal(STREAM, b"x")
    assert refused.status == 415
    assert "14.0.1" in str(refused)


# --- msgpack

_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(_PLAIN)
def test_a_plain_value_comes_back(value):
    assert back(value, MSGPACK) == value


def test_arrays_and_tables_are_written_as_their_json_is():
    assert back({"a": np.array([[1, 2]]), "b": np.float32(0.5)}, MSGPACK) == {"a": [[1, 2]], "b": 0.5}
    assert back(pd.DataFrame({"a": [1], "b": ["x"]}), MSGPACK) == [{"a": 1, "b": "x"}]


@pytest.mark.parametrize(
    "body", [b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x91" * 5000, b"\xd6\xff\0\0\0\0", b"\xc1"]
)
def test_hostile_msgpack_is_refused(body):
    with memory() as peak:
        assert refusal(MSGPACK, body).status == 400
    assert peak() < 1 << 20


# --- any body


@pytest.mark.parametrize("content_type", [NPY, MSGPACK, *ARROW])
@given(data=st.data())
def test_no_body_makes_anything_but_a_refusal(content_type, data):
    value = {NPY: np.arange(6.0).reshape(2, 3), MSGPACK: {"a": [1, 2.5, b"x"]}}.get(content_type, FRAME)
    body = bytearray(written(value, content_type))
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255)), max_size=8)):
        body[place] = byte
    end = data.draw(st.one_of(st.just(len(body)), st.integers(0, len(body))))
    try:
        read = parse_binary(request(content_type, bytes(body[:end])))
        json.loads(as_json_text(read))
    except RefusedError as refused:
        assert 400 <= refused.status < 500  # noqa: PT017 - one of two good outcomes


# --- the text of an undecorated run()


@pytest.mark.parametrize(
    ("value", "content_type", "text"),
    [
        (np.array([[1.5, np.nan], [np.inf, 2]]), NPY, [[1.5, None], [None, 2.0]]),
        (np.array([b"\xff"]), NPY, ["/w=="]),
        (np.array(["2024-01-01"], "M8[D]"), NPY, ["2024-01-01"]),
        (pa.table({"a": [1.5, math.nan], "b": ["x", None]}), STREAM, [{"a": 1.5, "b": "x"}, {"a": None, "b": None}]),
        ({"a": b"\xff", "b": math.nan}, MSGPACK, {"a": "/w==", "b": None}),
    ],
)
def test_a_binary_body_has_a_json_text(value, content_type, text):
    found = json.loads(as_json_text(back(value, content_type)))
    if content_type == NPY and value.dtype.kind == "M":
        found = [day[:10] for day in found]
    assert found == text


def test_values_without_json_are_refused():
    with pytest.raises(RefusedError) as refused:
        as_json_text(np.array([1 + 2j]))
    assert refused.value.status == 400


def test_long_names_do_not_make_a_small_table_a_huge_text():
    with pytest.raises(RefusedError) as refused:
        as_json_text(pa.table({"x" * 100_000: pa.array(range(100_000), pa.int32())}))
    assert refused.value.status == 413


# --- what Accept asks for


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (b"application/x-npy", NPY),
        (b"application/x-npy, */*", NPY),
        (b"application/json;q=0.5, application/x-npy", NPY),
        (b"application/x-npy;q=0.5, application/msgpack", MSGPACK),
        (b"application/vnd.apache.arrow.stream, application/x-npy", NPY),  # There is no table for the array.
        (b"APPLICATION/X-NPY", NPY),
        (b"application/vnd.msgpack", MSGPACK),
        (b"*/*", None),
        (b"application/*", None),
        (b"", None),
        (b"application/json", None),
        (b"application/json, application/x-npy", None),
        (b"application/x-npy;q=0", None),
        (b"application/x-npy;q=0.1, application/json;q=0.2", None),
        (b"application/x-npy-zipped", None),
    ],
)
def test_an_answer_has_the_form_that_accept_names(accept, content_type):
    found = encode(np.array([1.0]), accept)
    assert (found[1] if found else None) == content_type


@pytest.mark.parametrize("content_type", [NPY, *ARROW])
@pytest.mark.parametrize("value", [{"a": 1}, [1, 2], "x", None, 1.5])
def test_what_is_no_array_and_no_table_stays_json(content_type, value):
    assert encode(value, content_type) is None


def test_a_table_that_arrow_has_no_types_for_stays_json():
    assert encode(pd.DataFrame({"a": [1, "x"]}), STREAM) is None


@dataclasses.dataclass
class Response:
    message: str
    status_code: int = 200


def test_a_response_that_the_script_made_is_left_to_it():
    assert encode(Response("fine"), MSGPACK) is None


def test_dictionaries_with_numbers_as_keys_can_be_packed():
    assert ormsgpack.unpackb(written({0: 0.5}, MSGPACK), option=ormsgpack.OPT_NON_STR_KEYS) == {0: 0.5}
