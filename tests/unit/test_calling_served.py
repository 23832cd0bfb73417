"""Scripts as they were written for Azure ML, on a real server."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest

from tests.unit.compat_packages import FOLDER
from tests.unit.scoring_harness import ROOT, serving

PATH = os.pathsep.join([FOLDER, str(ROOT)])

SCHEMA = """
    import numpy as np
    from inference_schema.schema_decorators import input_schema, output_schema
    from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
    from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType

    def init():
        pass

    @input_schema("rows", NumpyParameterType(np.array([[1.0, 2.0]])))
    @input_schema("scale", StandardPythonParameterType(1.5), optional=True)
    @output_schema(StandardPythonParameterType({"sums": [1.0]}))
    def run(rows, scale=1.0):
        return {"sums": rows.sum(axis=1) * scale}
    """

RAW = """
    from azureml.contrib.services.aml_request import AMLRequest, rawhttp
    from azureml.contrib.services.aml_response import AMLResponse

    def init():
        pass

    @rawhttp
    def run(request):
        assert isinstance(request, AMLRequest)
        if request.method == "GET":
            return AMLResponse(str.encode(request.full_path), 200)
        body = request.get_data(False)
        return AMLResponse(body[::-1], 201, {"Content-Type": "image/jpeg", "X-Method": request.method})
    """

BATCHED = """
    import numpy as np
    from slipway import batched, decoded

    def init():
        pass

    @batched(max_size=4, max_wait_ms=1)
    @decoded
    def run(data):
        assert isinstance(data, list)
        return [np.asarray(item).sum() for item in data]
    """


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("schema"), SCHEMA, PYTHONPATH=PATH) as server:
        yield server.wait_for("ready")


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("raw"), RAW, PYTHONPATH=PATH) as server:
        yield server.wait_for("ready")


def test_a_schema_makes_arguments_of_an_objects_members(schema):
    answer = schema.client.post("/score", json={"rows": [[1, 2], [3, 4]], "scale": 2, "more": None})

    assert (answer.status_code, answer.json()) == (200, {"sums": [6.0, 14.0]})
    assert schema.client.get("/score?rows=[[1,2]]").json() == {"sums": [3.0]}


@pytest.mark.parametrize(
    ("sent", "status", "message"),
    [
        ({"json": {"rows": [[1]]}}, 400, "The value of 'rows' does not fit its schema: expected an array of float64"),
        ({"json": {"rows": [[1, 2]], "scale": "x"}}, 400, "'scale' does not fit its schema: expected a number, given"),
        ({"json": {}}, 400, "A value is not provided for the 'rows' parameter."),
        ({"json": []}, 400, "POST body should be a JSON dictionary."),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400, "line 1 column 2 (char 1)"),
        (
            {"content": b"{}", "headers": {"content-type": "text/csv"}},
            415,
            "Expects Content-Type to be application/json",
        ),
    ],
)
def test_a_request_that_does_not_fit_is_the_callers_mistake(schema, sent, status, message):
    answer = schema.client.post("/score", **sent)

    assert answer.status_code == status
    assert message in answer.json()["message"]
    assert answer.headers["x-ms-run-function-failed"] == "False"


def test_a_raw_request_and_its_response_are_the_scripts_own(raw):
    answer = raw.client.post("/score", content=b"\xff\x00\x01")

    assert (answer.status_code, answer.content) == (201, b"\x01\x00\xff")
    assert (answer.headers["content-type"], answer.headers["x-method"]) == ("image/jpeg", "POST")
    assert raw.client.get("/score?a=1").text == "/score?a=1"
    assert raw.client.options("/score").headers["x-method"] == "OPTIONS"


def test_batches_of_parsed_bodies_are_answered_one_by_one(tmp_path):
    array = io.BytesIO()
    np.save(array, np.arange(4))
    with serving(tmp_path, BATCHED, PYTHONPATH=PATH) as server:
        server.wait_for("ready")
        assert server.client.post("/score", json=[1, 2]).json() == 3
        sent = server.client.post("/score", content=array.getvalue(), headers={"content-type": "application/x-npy"})
        assert sent.json() == 6
        assert server.client.post("/score", content=b"{").status_code == 400
