"""Traces, as a real collector over OTLP/HTTP receives them."""

from __future__ import annotations

import json
import re
import socket
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from scoring.telemetry import tracing_settings
from scoring.telemetry.tracing import Tracing
from scoring.variables import Reader
from tests.unit.telemetry_harness import Collector, collecting, run

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SCORE = f"""
def score(identifier="abc", path="/score"):
    headers = [(b"traceparent", b"00-{TRACE}-{CALLER}-01"), (b"host", b"example")]
    return tracing.start(Request("POST", path, b"", headers, b"[]", identifier))
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


def value(attribute: Any) -> Any:
    return getattr(attribute.value, attribute.value.WhichOneof("value"))


def spans(collector: Collector) -> list[tuple[dict[str, Any], Any]]:
    """Each span that arrived, with its resource's attributes."""
    found = []
    for path, body in collector.received:
        assert path == "/v1/traces"
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = {each.key: value(each) for each in of_resource.resource.attributes}
            found += [(resource, span) for scope in of_resource.scope_spans for span in scope.spans]
    return found


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: value(each) for each in span.attributes}


def test_a_request_is_a_span_of_its_caller_with_the_scripts_spans_below(collector):
    code = f"""
    {SCORE.replace(chr(10), chr(10) + "    ")}
    from opentelemetry import trace
    of_script = trace.get_tracer("script")
    tracing.start_worker()
    handle = score()
    def lane():
        with tracing.running(handle):
            with of_script.start_as_current_span("features"):
                pass
    thread = threading.Thread(target=lane); thread.start(); thread.join()
    tracing.end(handle, 200, 0.25, 4, None)
    tracing.shutdown(10)
    """
    done = run(code, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (resource, child), (_, span) = spans(collector)
    assert (resource["service.name"], resource["service.version"]) == ("iris", "3")
    assert span.name == "POST /score"
    assert span.trace_id.hex() == child.trace_id.hex() == TRACE
    assert span.parent_span_id.hex() == CALLER
    assert child.name == "features"
    assert child.parent_span_id == span.span_id
    assert span.kind == span.SPAN_KIND_SERVER
    assert attributes(span) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/score",
        "slipway.batch_size": 4,
        "slipway.request_id": "abc",
        "slipway.run_duration_seconds": 0.25,
        "url.path": "/score",
        "url.scheme": "http",
    }


def test_what_run_raised_is_in_its_span(collector):
    code = f"""
    {SCORE.replace(chr(10), chr(10) + "    ")}
    tracing.start_worker()
    tracing.end(score(), 500, 0.1, 1, KeyError("colour"))
    tracing.end(score(path="/elsewhere"), 404)
    tracing.end(score(), 503)
    tracing.shutdown(10)
    """
    assert run(code, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/v1/traces").returncode == 0
    raised, elsewhere, refused = [span for _, span in spans(collector)]
    assert raised.status.code == refused.status.code == raised.status.STATUS_CODE_ERROR
    assert attributes(raised)["error.type"] == "KeyError"
    assert attributes(refused)["error.type"] == "503"
    assert {each.key: value(each) for each in raised.events[0].attributes}["exception.message"] == "'colour'"
    assert elsewhere.status.code == elsewhere.status.STATUS_CODE_UNSET
    assert elsewhere.name == "POST"


def test_each_forked_worker_sends_its_own_spans(collector):
    code = f"""
    {SCORE.replace(chr(10), chr(10) + "    ")}
    for number in range(2):
        if not (pid := os.fork()):
            tracing.start_worker()
            for each in range(3):
                tracing.end(score(f"{{number}}-{{each}}"), 200, 0.1, 1)
            tracing.shutdown(10)
            os._exit(0)
    assert os.wait()[1] == os.wait()[1] == 0
    """
    assert run(code, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url).returncode == 0
    identifiers = sorted(attributes(span)["slipway.request_id"] for _, span in spans(collector))
    assert identifiers == [f"{number}-{each}" for number in range(2) for each in range(3)]


def test_spans_are_sent_at_the_end_of_a_process_that_calls_no_shutdown(collector):
    code = f"""
    {SCORE.replace(chr(10), chr(10) + "    ")}
    tracing.start_worker()
    tracing.end(score(), 200, 0.1, 1)
    """
    assert run(code, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url).returncode == 0
    assert len(spans(collector)) == 1


def test_a_collector_that_does_not_answer_holds_nobody_up_and_costs_spans(collector):
    collector.open.clear()
    code = f"""
    {SCORE.replace(chr(10), chr(10) + "    ")}
    told = []
    tracing.start_worker(told.append)
    for _ in range(500):
        tracing.end(score(), 200, 0.1, 1)
    # At most those that wait, and those that the collector has been given.
    assert tracing.dropped >= 500 - 10 - 5, tracing.dropped
    tracing.shutdown(0.2)
    assert sum(told) == tracing.dropped >= 500 - 5, tracing.dropped
    """
    # An export that is waited for would last longer than the test has.
    queue = {
        "OTEL_BSP_MAX_QUEUE_SIZE": "10",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "5",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "900",
    }
    done = run(code, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **queue)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_a_collector_that_is_down_does_not_take_is_counted():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    code = f"""
    {SCORE.replace(chr(10), chr(10) + "    ")}
    tracing.start_worker()
    for _ in range(3):
        tracing.end(score(), 200, 0.1, 1)
    tracing.shutdown(30)
    assert tracing.dropped == 3
    """
    timeout = {"OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    done = run(code, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}", **timeout)
    assert done.returncode == 0, done.stdout


def test_a_collector_that_refuses_costs_spans(collector):
    collector.status = 400
    code = f"""
    {SCORE.replace(chr(10), chr(10) + "    ")}
    tracing.start_worker()
    tracing.end(score(), 200, 0.1, 1)
    tracing.shutdown(10)
    assert tracing.dropped == 1
    tracing.end(score(), 200, 0.1, 1)
    assert tracing.dropped == 2
    """
    done = run(code, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    assert done.returncode == 0, done.stdout


def test_the_sampler_and_the_service_are_those_of_the_environment(collector):
    code = f"""
    {SCORE.replace(chr(10), chr(10) + "    ")}
    tracing.start_worker()
    tracing.end(score(), 200, 0.1, 1)
    tracing.end(tracing.start(Request("GET", "/score", b"", [], b"", "mine")), 200, 0.1, 1)
    tracing.shutdown(10)
    """
    variables = {"OTEL_TRACES_SAMPLER": "parentbased_always_off", "OTEL_SERVICE_NAME": "other"}
    assert run(code, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **variables).returncode == 0
    [(resource, span)] = spans(collector)
    assert resource["service.name"] == "other"
    assert attributes(span)["slipway.request_id"] == "abc"


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_TRACES_EXPORTER": "none"},
        {"AML_APP_INSIGHTS_ENABLED": "false", "AML_APP_INSIGHTS_KEY": "0" * 8},
        {"AML_APP_INSIGHTS_KEY": "0" * 8},
    ],
)
def test_without_a_collector_nothing_is_traced(variables):
    reader = Reader(variables)
    assert Tracing.from_reader(reader) is None
    assert reader.problems == []


def test_a_service_that_is_not_traced_imports_nothing_for_it():
    done = run("print(tracing, [name for name in sys.modules if 'opentelemetry' in name])", SLIPWAY_LOG="json")
    assert json.loads(done.stdout)["message"] == "None []"


def test_packages_that_are_missing_are_named_with_the_key_that_brings_them(monkeypatch):
    monkeypatch.setitem(tracing_settings._OTLP_PACKAGES, "opentelemetry.nothing.here", "opentelemetry-nothing")
    reader = Reader({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"})
    assert Tracing.from_reader(reader) is None
    [problem] = reader.problems
    assert problem.startswith(
        "OTEL_EXPORTER_OTLP_ENDPOINT is set, but the image has no opentelemetry-nothing: set `telemetry: true`"
    )


def test_a_protocol_that_is_not_spoken_is_refused():
    reader = Reader({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    assert Tracing.from_reader(reader) is None
    [problem] = reader.problems
    assert re.fullmatch(".*OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'; allowed is http/protobuf", problem)
