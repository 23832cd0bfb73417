"""What an operator sees and sets: health, pages, access, other origins, TLS, metrics, collection, traces, the log."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from scoring.process import private_memory
from scoring.server.receiving import MAX_HEAD_BYTES
from tests.unit.scoring_harness import PATIENCE_SECONDS, Server, environment, serving, until, write
from tests.unit.security_harness import issue
from tests.unit.server_harness import Gates, Peer, peer, request, workers
from tests.unit.telemetry_harness import collecting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "primary-key-of-the-service-0123456789"
BEARER = {"authorization": f"Bearer {KEY}"}
PAGE = "https://page.example"
SCRIPT = """
    import os, pathlib, time

    def init():
        print("loading")

    def run(data):
        print("scoring", data[:20])
        if data == "raise":
            raise ValueError("the reason")
        if data.startswith("wait for "):
            gate = pathlib.Path(os.environ["GATES"], data.removeprefix("wait for "))
            gate.with_suffix(".entered").touch()
            while not gate.exists():
                time.sleep(0.005)
        if data.startswith("large "):
            return "x" * int(data.removeprefix("large "))
        return {"length": len(data)}
    """


@pytest.fixture(scope="module")
def gates(tmp_path_factory) -> Gates:
    return Gates(tmp_path_factory.mktemp("operations") / "gates")


@pytest.fixture(scope="module")
def server(tmp_path_factory, gates) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("app")
    variables = {
        "AML_CORS_ORIGINS": PAGE,
        "SCORING_TIMEOUT_MS": "60000",
        "SERVICE_NAME": "iris",
        "SERVICE_VERSION": "3",
        "SLIPWAY_MAX_BODY_BYTES": "2000000",
        "SLIPWAY_PRIMARY_KEY": KEY,
        "SLIPWAY_QUEUE": "1",
    }
    with serving(folder, SCRIPT, GATES=str(gates.folder), **variables) as running:
        until(lambda: running.client.get("/ready").status_code == 200, "the service is ready")
        yield running


# Access


@pytest.mark.parametrize("path", ["/", "/live", "/ready"])
def test_probes_need_no_key(server, path):
    assert server.client.get(path).status_code == 200


@pytest.mark.parametrize(
    "path", ["/score", "/%73core", "/score?x=1", "/status", "/metrics", "/swagger.json", "/docs", "/docs/", "/other"]
)
def test_everything_else_needs_one(server, path):
    assert server.client.get(path).status_code == 401
    assert server.client.get(path, headers=BEARER).status_code != 401


def test_a_target_in_absolute_form_goes_past_no_guard(server):
    with peer(server.port) as connection:
        connection.send(request("POST", "http://test/score", body=b"x"))
        assert connection.receive().status == 401
        connection.send(request("POST", "http://test/score", body=b"x", **BEARER))
        assert connection.receive().status == 200


def test_a_large_body_without_a_key_is_refused_before_it_is_sent(server):
    with peer(server.port) as connection:
        connection.send(request("POST", Content_Length="1500000"))
        assert connection.receive().status == 401
        assert connection.rest() == b""


# Pages of another origin


def origin(answer: httpx.Response) -> str | None:
    return answer.headers.get("access-control-allow-origin")


def test_a_browser_asks_before_without_a_key(server):
    headers = {
        "origin": PAGE,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    answer = server.client.options("/score", headers=headers)
    assert answer.status_code == 200
    assert origin(answer) == PAGE
    assert answer.headers["access-control-allow-headers"] == "authorization"
    assert origin(server.client.options("/score", headers={**headers, "origin": "https://other.example"})) is None


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"content": b"x", "headers": BEARER}, 200),
        ({"content": b"raise", "headers": BEARER}, 500),
        ({"content": b"x"}, 401),
        ({"content": b"\xff", "headers": BEARER}, 400),
        ({"method": "PUT", "headers": BEARER}, 405),
        ({"url": "/nothing", "headers": BEARER}, 404),
        ({"headers": {**BEARER, "x-request-id": "x" * 101}}, 431),
        ({"content": b"x" * 2_000_001, "headers": BEARER}, 413),
        ({"content": b"x" * 1_500_000}, 401),
    ],
)
def test_a_page_of_a_listed_origin_is_given_every_answer(server, sent, status):
    headers = {"origin": PAGE, **sent.get("headers", {})}
    answer = server.client.request(
        sent.get("method", "POST"), sent.get("url", "/score"), content=sent.get("content"), headers=headers
    )
    assert answer.status_code == status
    assert origin(answer) == PAGE
    assert answer.headers["vary"] == "Origin"


def test_a_page_is_told_of_a_full_queue_and_of_a_deadline(server, gates):
    def send(body: bytes) -> Peer:
        return Peer(server.port).send(request("POST", body=body, Origin=PAGE, **BEARER))

    first = send(b"wait for full")
    gates.entered("full")
    second = send(b"second")
    for _ in range(4):
        server.client.get("/live")
    third = send(b"third").receive()
    assert third.status == 503
    assert third.headers["access-control-allow-origin"] == PAGE
    gates.open("full")
    assert [one.receive().status for one in (first, second)] == [200, 200]


# Over real sockets


def test_a_large_answer_arrives_whole(server):
    answer = server.client.post("/score", content="large 30000000", headers=BEARER)
    assert len(answer.json()) == 30_000_000


def test_a_large_answer_is_pressed_where_the_caller_takes_that(server):
    answer = server.client.post("/score", content="large 100000", headers={**BEARER, "accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < 10_000
    assert len(answer.json()) == 100_000


def test_large_answers_are_sent_one_after_the_other_as_the_caller_takes_them(server):
    with peer(server.port) as connection:
        connection.send(request("POST", body=b"large 5000000", **BEARER) * 3 + request("GET", "/live"))
        # Nothing was read so far, and others are answered meanwhile.
        assert server.client.get("/live").status_code == 200
        assert [len(connection.receive().body) for _ in range(3)] == [5_000_002] * 3
        assert connection.receive().status == 200


@pytest.mark.parametrize("announced", [True, False])
def test_who_sends_too_much_without_a_look_at_the_answer_can_still_read_it(server, announced):
    # More than lies between two ends of a connection.
    body = b"x" * 30_000_000
    framed = body if announced else b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    headers = {"Content_Length": str(len(body))} if announced else {"Transfer_Encoding": "chunked"}
    with peer(server.port) as connection:
        connection.send(request("POST", **headers, **BEARER) + framed)
        assert connection.receive().status == 413
        assert connection.rest() == b""


def test_who_sends_too_large_a_head_can_read_that(server):
    with peer(server.port) as connection:
        connection.send(request()[:-2] + b"X: " + b"a" * (4 * MAX_HEAD_BYTES))
        assert connection.receive().status == 431
        assert connection.rest() == b""


def test_who_never_ends_a_head_can_read_that_and_takes_no_memory(server):
    (worker,) = workers(server)
    with peer(server.port) as connection:
        connection.send(request()[:-2] + b"X: ")
        before = private_memory(worker)
        connection.send(b"a" * 200_000_000)
        assert connection.receive().status == 431
        assert connection.rest() == b""
        assert private_memory(worker) - before < 20_000_000


def test_the_bytes_of_tls_are_answered_as_what_they_are_not(server):
    with peer(server.port) as connection:
        connection.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500)
        assert connection.receive().status == 400
        assert connection.rest() == b""


def test_tls_serves_what_is_sent_ahead_and_large_bodies(tmp_path):
    folder = tmp_path / "tls"
    issue(folder, "first")
    files = {"SLIPWAY_TLS_CERT": str(folder / "tls.crt"), "SLIPWAY_TLS_KEY": str(folder / "tls.key")}
    context = ssl.create_default_context(cafile=folder / "tls.crt")
    with serving(tmp_path / "app", SCRIPT, SLIPWAY_MAX_BODY_BYTES="2000000", **files) as server:
        url = f"https://127.0.0.1:{server.port}"
        until(
            lambda: httpx.get(f"{url}/ready", verify=context, timeout=PATIENCE_SECONDS).status_code == 200,
            "the service is ready",
        )
        connection = Peer(server.port)
        connection.socket = context.wrap_socket(connection.socket, server_hostname="127.0.0.1")
        connection.file = connection.socket.makefile("rb")
        connection.send(b"".join(request("POST", body=b"x" * size) for size in (1, 1_000_000, 2)))
        assert [json.loads(connection.receive().body) for _ in range(3)] == [{"length": n} for n in (1, 1_000_000, 2)]
        connection.send(request("POST", Content_Length="2000001"))
        assert connection.receive().status == 413
        connection.close()
        # One that leaves in the middle of its request.
        other = Peer(server.port)
        other.socket = context.wrap_socket(other.socket, server_hostname="127.0.0.1")
        other.send(request("POST", body=b"x")[:-1])
        other.close()
        assert httpx.post(f"{url}/score", content="abc", verify=context, timeout=PATIENCE_SECONDS).json() == {
            "length": 3
        }
        assert not server.find("internal error")


# Pages, metrics


def test_the_pages_are_there_in_development_or_when_asked_for(tmp_path):
    for variables, status in (({}, 404), ({"SLIPWAY_DEVELOPMENT": "1"}, 200), ({"SLIPWAY_DOCS": "1"}, 200)):
        with serving(tmp_path, SCRIPT, SLIPWAY_PRIMARY_KEY=KEY, **variables) as running:
            until(lambda: running.client.get("/ready").status_code == 200, "the service is ready")
            found = running.client.get("/docs", headers=BEARER)
            assert found.status_code == status
            if status == 200:
                # A browser that opens it has no key yet.
                assert running.client.get("/docs").status_code == 200
                assert running.client.get("/docs/app.js").status_code == 200
                assert running.client.post("/docs").status_code == 405


def test_the_document_about_the_service_is_for_who_may_ask_it(server):
    assert server.client.get("/swagger.json").status_code == 401
    found = server.client.get("/swagger.json", headers=BEARER).json()
    assert "/score" in found["paths"]


def test_the_metrics_count_by_route_and_status(server):
    def count(route: str, code: int) -> float:
        lines = server.client.get("/metrics", headers=BEARER).text.splitlines()
        wanted = {f'route="{route}"', f'code="{code}"'}
        return sum(
            float(line.split()[-1])
            for line in lines
            if line.startswith("slipway_requests_total{") and all(part in line for part in wanted)
        )

    before = {key: count(*key) for key in (("/score", 200), ("/score", 401), ("other", 404), ("other", 400))}
    server.client.post("/score", content="x", headers=BEARER)
    server.client.post("/score", content="x")
    server.client.get("/nothing", headers=BEARER)
    with peer(server.port) as connection:
        connection.send(b"nonsense\r\n\r\n").receive()
    assert {key: count(*key) - value for key, value in before.items()} == dict.fromkeys(before, 1)


# Collection and traces


def test_inputs_and_outputs_are_collected_and_written_at_the_end(tmp_path):
    to = tmp_path / "collected"
    variables = {"SLIPWAY_COLLECT": json.dumps({"to": str(to)}), "SERVICE_NAME": "iris", "SERVICE_VERSION": "3"}
    with serving(tmp_path / "app", SCRIPT, WORKER_COUNT="2", **variables) as running:
        running.wait_for("ready")
        sent = {f"id-{number}" for number in range(20)}
        for identifier in sent:
            url = f"http://127.0.0.1:{running.port}/score"
            httpx.post(url, json={"a": 1}, headers={"x-request-id": identifier}, timeout=PATIENCE_SECONDS)
        running.terminate()
        assert running.exit_code() == 0
    rows = [(path, json.loads(line)) for path in to.rglob("*.jsonl") for line in path.read_text().splitlines()]
    for collection in ("request", "response"):
        found = [
            row["_request_id"] for path, row in rows if path.relative_to(to).parts[:3] == ("iris", "3", collection)
        ]
        assert sorted(found) == sorted(sent)


def test_requests_reach_a_collector_of_traces(tmp_path):
    with collecting() as collector:
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "SERVICE_NAME": "iris"}
        with serving(tmp_path, SCRIPT, WORKER_COUNT="2", **endpoint) as running:
            running.wait_for("ready")
            running.client.post("/score", content="x", headers={"x-request-id": "the-traced-one"})
            running.terminate()
            assert running.exit_code() == 0
        sent = [body for path, body in collector.received if path == "/v1/traces"]
        assert any(b"the-traced-one" in body for body in sent)


# The log


def test_prints_and_errors_have_the_requests_id(server):
    headers = {**BEARER, "x-request-id": "the-bad-one"}
    server.client.post("/score", content="raise", headers=headers)
    until(lambda: server.find("ValueError: the reason"), "the log has it")
    until(lambda: server.find("slipway.print [the-bad-one]: scoring raise"), "the log has it")
    until(lambda: server.find("[the-bad-one]: run() failed: ValueError: the reason"), "the log has it")
    until(lambda: server.find("loading"), "the log has it")
    assert KEY not in server.log


def test_the_log_is_json_by_default(tmp_path: Path):
    write(tmp_path, "score.py", SCRIPT)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = environment(tmp_path, SERVER_PORT=str(port), WORKER_COUNT="2")
    del variables["SLIPWAY_LOG"]
    with subprocess.Popen(
        [sys.executable, "-m", "scoring", "serve"],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            url = f"http://127.0.0.1:{port}"

            def is_ready() -> bool:
                try:
                    return httpx.get(f"{url}/ready", timeout=PATIENCE_SECONDS).status_code == 200
                except httpx.ConnectError:
                    return False

            until(is_ready, "the service is ready")
            httpx.post(
                f"{url}/score", content="raise", headers={"x-request-id": "the-bad-one"}, timeout=PATIENCE_SECONDS
            )
            process.terminate()
            output, _ = process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
    events = [json.loads(line) for line in output.splitlines()]
    assert {"time", "level", "logger", "message"} <= set.intersection(*map(set, events))
    of_request = [event for event in events if event.get("request_id") == "the-bad-one"]
    assert [event["message"] for event in of_request if event["logger"] == "slipway.print"] == ["scoring raise"]
    assert "ValueError: the reason" in next(event["exception"] for event in of_request if event["level"] == "ERROR")
    assert process.returncode == 0
