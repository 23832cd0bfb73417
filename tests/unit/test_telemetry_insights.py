"""Application Insights, as a real ingestion endpoint receives it."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from scoring.request import Request
from scoring.telemetry.insights import Insights
from scoring.variables import Reader
from tests.unit.telemetry_harness import Collector, collecting, run

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "12345678-abcd-abcd-abcd-1234567890ab"
REQUEST = """
    headers = [(b"host", b"models.example"), (b"x-ms-client-request-id", b"theirs")]
    request = Request("POST", "/score", b"a=1", headers, b"[]", "abc")
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        made.answer = json.dumps({"itemsReceived": 1, "itemsAccepted": 1, "errors": []}).encode()
        yield made


def variables(collector: Collector) -> dict[str, str]:
    return {
        "APPLICATIONINSIGHTS_CONNECTION_STRING": f"InstrumentationKey={KEY};IngestionEndpoint={collector.url}",
        "HOSTNAME": "box",
        "WORKSPACE_NAME": "garden",
    }


def items(collector: Collector, kind: str) -> list[dict[str, Any]]:
    found = []
    for path, body in collector.received:
        assert path.startswith(("/v2.1/track", "/v2/track")), path
        text = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        found += json.loads(text)
    assert {item["iKey"] for item in found} == {KEY}
    return [item for item in found if item["data"]["baseType"] == kind]


def test_a_request_has_the_fields_of_azures_server(collector):
    code = f"""
    {REQUEST}
    tracing.start_worker()
    tracing.end(tracing.start(request), 200, 0.1, 1, None, b'{{"species": "setosa"}}')
    tracing.shutdown(20)
    """
    done = run(code, **variables(collector))
    assert (done.returncode, done.stdout) == (0, "")
    [item] = items(collector, "RequestData")
    data = item["data"]["baseData"]
    assert (data["name"], data["responseCode"], data["success"]) == ("POST /score", "200", True)
    found = data["properties"]
    assert found.pop("start_time").endswith("Z")
    assert found.pop("duration").startswith("00:00:0")
    assert found == {
        "Client Request Id": "theirs",
        "Container Id": "box",
        "Request Id": "abc",
        "Response Value": '{"species": "setosa"}',
        "Service Name": "iris",
        "Workspace Name": "garden",
        "http_method": "POST",
        "name": "/score",
        "resultCode": "200",
        "slipway.batch_size": "1",
        "slipway.request_id": "abc",
        "slipway.run_duration_seconds": "0.1",
        "success": "True",
        "url": "http://models.example/score?a=1",
    }
    assert item["tags"]["ai.cloud.role"] == "iris"


def test_the_log_and_the_prints_arrive_with_their_request(collector):
    code = f"""
    {REQUEST}
    tracing.start_worker()
    handle = tracing.start(request)
    with tracing.running(handle):
        REQUEST_ID.set("abc")
        print("three petals")
        try: {{}}["colour"]
        except KeyError: logging.getLogger("slipway").exception("run() failed")
    tracing.end(handle, 500, 0.1, 1, ValueError("in its span"))
    tracing.shutdown(20)
    """
    done = run(code, **variables(collector))
    assert done.returncode == 0
    [printed] = items(collector, "MessageData")
    [request] = items(collector, "RequestData")
    assert printed["data"]["baseData"]["message"] == "three petals"
    assert printed["data"]["baseData"]["properties"]["Request Id"] == "abc"
    assert printed["tags"]["ai.operation.id"] == request["tags"]["ai.operation.id"]
    assert request["data"]["baseData"]["success"] is False
    exceptions = {
        item["data"]["baseData"]["exceptions"][0]["typeName"]: item["data"]["baseData"]
        for item in items(collector, "ExceptionData")
    }
    assert set(exceptions) == {"KeyError", "ValueError"}
    assert exceptions["KeyError"]["exceptions"][0]["message"] == "run() failed"
    assert exceptions["KeyError"]["properties"]["Request Id"] == "abc"


def test_answers_stay_at_home_when_they_are_switched_off(collector):
    code = f"""
    {REQUEST}
    tracing.start_worker()
    tracing.end(tracing.start(request), 200, 0.1, 1, None, b'"private"')
    tracing.shutdown(20)
    """
    done = run(code, **variables(collector), APP_INSIGHTS_LOG_RESPONSE_ENABLED="false")
    assert done.returncode == 0
    [item] = items(collector, "RequestData")
    assert "Response Value" not in item["data"]["baseData"]["properties"]
    assert not any(b"private" in body for _, body in collector.received)


@pytest.mark.parametrize("status", [200, 400, 500, 307])
def test_the_key_is_in_no_log(collector, status):
    collector.status = status
    code = f"""
    {REQUEST}
    tracing.start_worker()
    print(tracing._settings)
    tracing.end(tracing.start(request), 200, 0.1, 1)
    tracing.shutdown(3)
    """
    done = run(code, **variables(collector), AZUREML_LOG_LEVEL="DEBUG")
    assert done.returncode == 0
    assert "TracingSettings" in done.stdout
    assert KEY not in done.stdout + done.stderr
    assert collector.received


def test_what_is_not_taken_is_counted_and_does_not_begin_to_be_about_itself(collector):
    collector.status = 400
    code = f"""
    {REQUEST}
    tracing.start_worker()
    tracing.end(tracing.start(request), 200, 0.1, 1)
    time.sleep(0.5)
    tracing.shutdown(3)
    assert tracing.dropped == 1, tracing.dropped
    """
    done = run(code, **variables(collector), OTEL_BSP_SCHEDULE_DELAY="50")
    assert done.returncode == 0, done.stdout


def test_a_key_alone_is_enough_and_a_connection_string_may_stand_in_its_place():
    for given in (KEY, f"InstrumentationKey={KEY}"):
        found = Insights.from_reader(Reader({"AML_APP_INSIGHTS_ENABLED": "True", "AML_APP_INSIGHTS_KEY": given}))
        assert found is not None
        assert found.connection_string == f"InstrumentationKey={KEY}"
        assert found.responses
        assert KEY not in repr(found)


@pytest.mark.parametrize("key", ["", "secret-but-no-key", "InstrumentationKey=", "Endpoint=http://x"])
def test_a_key_that_is_none_is_refused_without_being_shown(key):
    reader = Reader({"AML_APP_INSIGHTS_ENABLED": "1", "AML_APP_INSIGHTS_KEY": key})
    assert Insights.from_reader(reader) is None
    [problem] = reader.problems
    assert problem.startswith("environment variable AML_APP_INSIGHTS_KEY has no instrumentation key in it")
    assert not key or key not in problem


@pytest.mark.parametrize(
    ("response", "shown"),
    [
        (b'{"a": "\xc3\xa4"}', '{"a": "ä"}'),
        (b"\xff\xfe", '"Scoring request response payload is a non serializable object or raw binary"'),
        ("ä".encode() * 10_000, "ä" * 4096),
        (b"x" + "ä".encode() * 10_000, "x" + "ä" * 4095),
    ],
)
def test_an_answer_is_shown_as_text_and_as_much_as_is_kept(response, shown):
    found = Insights.from_reader(Reader({"AML_APP_INSIGHTS_ENABLED": "1", "AML_APP_INSIGHTS_KEY": KEY}))

    attributes = found.attributes(Request("GET", "/score"), 0.0, 93784.5678, 404, response)
    assert attributes["Response Value"] == shown
    assert attributes["start_time"] == "1970-01-01T00:00:00Z"
    assert attributes["duration"] == "1.02:03:04.568"
    assert attributes["success"] is False
