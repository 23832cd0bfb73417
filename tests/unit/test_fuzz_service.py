"""A live service and its own /swagger.json: whatever is sent, no answer is a failure that is not the script's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import response_schema_conformance

from tests.unit.scoring_harness import Server, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

SCRIPT = """
    import datetime

    import numpy as np
    from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
    from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
    from inference_schema.schema_decorators import input_schema, output_schema

    SAMPLE = {"name": "x", "day": datetime.date(2024, 1, 1), "raw": b"bytes", "some": [1, 2], "deep": {"ratio": 0.5}}

    def init():
        pass

    @input_schema("data", NumpyParameterType(np.array([1.5, 2.5]), enforce_shape=False))
    @input_schema("options", StandardPythonParameterType(SAMPLE), optional=True)
    @output_schema(StandardPythonParameterType({"rows": 1}))
    def run(data, options=None):
        return {"rows": len(data)}
    """


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("app"), SCRIPT) as running:
        yield running.wait_for("ready")


def operations(server: Server) -> list[Any]:
    """What the service says that it does."""
    schema = schemathesis.openapi.from_url(f"{server.client.base_url}/swagger.json?version=3.1")
    return [result.ok() for result in schema.get_all_operations()]


def hold(response: Any) -> None:
    """No answer tells of the inside, and each refusal says why."""
    text = response.text
    assert "Traceback" not in text
    assert "site-packages" not in text
    if response.status_code >= 400:
        assert isinstance(response.json()["message"], str)


def test_the_service_describes_what_can_be_asked(server):
    assert {"GET /", "POST /score"} <= {operation.label for operation in operations(server)}


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_request_makes_the_server_fail(server, mode):
    for operation in operations(server):

        @given(operation.as_strategy(generation_mode=mode))
        @settings(max_examples=40, suppress_health_check=list(HealthCheck))
        def ask(case: Any) -> None:
            response = case.call()
            case.validate_response(response, checks=[not_a_server_error, response_schema_conformance])
            hold(response)

        ask()
    assert not server.find("internal error"), server.log
    assert not server.find("Traceback"), server.log
    assert server.status()["state"] == "ready"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"[" * 50_000, "application/json"),
        (b'{"data": ' + b"[" * 900 + b"]" * 900 + b"}", "application/json"),
        (b'{"data": [[1, 2]], "options": 5}', "application/json"),
        (b'{"data": [[' + b"9" * 5000 + b", 1]]}", "application/json"),
        (b'{"data": [["\\ud800", 1]]}', "application/json"),
        (b"\x93NUMPY\x01\x00", "application/x-npy"),
        (b"\xc1", "application/msgpack"),
        (b"ARROW1", "application/vnd.apache.arrow.file"),
        (b"x", "\x7f;;=,"),
    ],
)
def test_a_body_that_is_none_is_the_callers_mistake(server, body, content_type):
    response: httpx.Response = server.client.post("/score", content=body, headers={"content-type": content_type})
    hold(response)
    assert 400 <= response.status_code < 500
    assert response.headers["x-ms-run-function-failed"] == "False"
