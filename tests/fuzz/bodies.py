"""Hostile bodies and queries: decompressed, parsed, converted, and given to a run() of each kind."""

from __future__ import annotations

import contextlib
import gzip
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import ormsgpack
import pyarrow as pa

from scoring.calling.parsing import is_binary, parse_binary
from scoring.codecs import as_json_text
from scoring.refused import RefusedError
from scoring.request import Request
from scoring.scorer import Failed, Scored, Scorer
from tests.fuzz.claims import hold_refusal

_LIMIT = 1 << 16
_CONTENT_TYPES = [
    b"application/json",
    b"text/plain",
    b"application/x-npy",
    b"application/msgpack",
    b"application/vnd.apache.arrow.stream",
    b"application/vnd.apache.arrow.file",
    b"application/x-www-form-urlencoded",
    b"application/problem+json; charset=utf-8",
]
_ENCODINGS = [b"", b"gzip", b"deflate", b"br, gzip"]
# One for each way in which run() is called.
_SCRIPTS = [
    "def run(data): return type(data).__name__",
    """
from slipway import decoded
@decoded
def run(data): return type(data).__name__
""",
    """
from azureml.contrib.services.aml_request import rawhttp
@rawhttp
def run(request): return str(request.path)
""",
    """
import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.schema_decorators import input_schema
@input_schema("data", NumpyParameterType(np.array([[1.5, 2]])))
def run(data): return list(data.shape)
""",
    """
import pandas as pd
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.schema_decorators import input_schema
@input_schema("data", PandasParameterType(pd.DataFrame({"a": [1], "b": ["x"]})))
def run(data): return list(data.shape)
""",
    """
import datetime
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema
@input_schema("data", StandardPythonParameterType({"a": [1], "b": datetime.date(2024, 1, 1), "c": b"x"}))
def run(data, other=1): return type(data).__name__
""",
]


class _Task:
    """A request and what became of it: `scoring.scorer.Task`."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.outcome: Any = None
        self.batch = 1


class Bodies:
    """Bodies of POST requests, and queries of GET requests.

    The first three bytes of an input choose content type, content encoding and the way in which run() is called.
    """

    def __init__(self) -> None:
        self._scorers = []
        with tempfile.TemporaryDirectory() as folder:
            for number, script in enumerate(_SCRIPTS):
                path = Path(folder, f"score_{number}.py")
                path.write_text(f"{script}\ndef init(): pass\n", encoding="utf-8")
                self._scorers.append(Scorer.load(path, Path(folder), max_body_bytes=_LIMIT))

    def __call__(self, data: bytes) -> None:
        if len(data) < 3:
            return
        content_type = _CONTENT_TYPES[data[0] % len(_CONTENT_TYPES)]
        headers = [(b"content-type", content_type)]
        if encoding := _ENCODINGS[data[1] % len(_ENCODINGS)]:
            headers.append((b"content-encoding", encoding))
        scorer, is_get = self._scorers[(data[2] & 0x7F) % len(self._scorers)], data[2] & 0x80
        if is_get:
            task = _Task(Request("GET", "/score", data[3:], headers))
        else:
            task = _Task(Request("POST", "/score", b"", headers, data[3:]))
        scorer.score(task)
        if isinstance(task.outcome, RefusedError):
            hold_refusal(task.outcome)
        elif isinstance(task.outcome, Failed):
            raise task.outcome.error
        else:
            assert isinstance(task.outcome, Scored)
        request = Request("POST", "/score", b"", headers, data[3:])
        if is_binary(request) and not encoding:
            with contextlib.suppress(RefusedError):
                as_json_text(parse_binary(request), _LIMIT)

    @staticmethod
    def seeds() -> list[bytes]:
        """A good body of each kind, in each way in which it can come."""
        table, array = pa.table({"a": [1, 2], "b": ["x", None]}), io.BytesIO()
        np.save(array, np.array([[1.5, 2.0], [3.0, float("nan")]]))
        stream, file = io.BytesIO(), io.BytesIO()
        for sink, open_sink in ((stream, pa.ipc.new_stream), (file, pa.ipc.new_file)):
            with open_sink(sink, table.schema) as writer:
                writer.write_table(table)
        values = [b'{"data": [[1.5, 2], [NaN, 18446744073709551616]]}', b'{"data": {"a": [1], "b": "2024-01-01"}}']
        bodies = [(0, value) for value in (*values, b'{"data": [{"a": 1, "b": "x"}]}', '\ufeff["é"]'.encode("utf-16"))]
        bodies += [(2, array.getvalue()), (3, ormsgpack.packb({"data": [[1, 2.5]], "b": b"x"}))]
        bodies += [(4, stream.getvalue()), (5, file.getvalue())]
        found = []
        for kind, body in bodies:
            for way in range(len(_SCRIPTS)):
                found.append(bytes([kind, 0, way]) + body)
                found.append(bytes([kind, 1, way]) + gzip.compress(body, mtime=0))
        found += [bytes([0, 0, 0x80 | way]) + b"data=%5B1%2C2%5D&a=b&a=c" for way in range(len(_SCRIPTS))]
        return found
