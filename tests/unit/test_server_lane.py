"""Calls under load: batches, the bounded queue, deadlines, callers that leave, and scripts that misbehave."""

from __future__ import annotations

import collections
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.unit.scoring_harness import PATIENCE_SECONDS, Server, in_background, serving, until
from tests.unit.server_harness import Gates, Peer, peer, request, workers

if TYPE_CHECKING:
    from collections.abc import Iterator

# `wait for NAME` holds run() until the file NAME is there, and says by NAME.entered that it is in run().
GATE = """
    import json, os, pathlib, time

    def init():
        pass

    def wait_for(data):
        gate = pathlib.Path(os.environ["GATES"], data.removeprefix("wait for "))
        gate.with_suffix(".entered").touch()
        while not gate.exists():
            time.sleep(0.005)
    """
ONE = (
    GATE
    + """
    def run(data):
        print("run", data[:20])
        if data.startswith("wait for "):
            wait_for(data)
        while data == "spin":
            pass
        return data[:100]
    """
)


@pytest.fixture
def gates(tmp_path) -> Gates:
    return Gates(tmp_path / "gates")


def ask(server: Server, body: str, **headers: str) -> Peer:
    """Send a request and do not wait for its answer."""
    return Peer(server.port).send(request("POST", body=body.encode(), **headers))


def seen(server: Server, rounds: int = 4) -> None:
    """Let the server's event loop take in what was sent: accept, read, and once more for good measure."""
    for _ in range(rounds):
        assert server.client.get("/live").status_code == 200


def waiting(server: Server) -> float:
    """How many calls wait or are under way; counted once a second."""
    rows = server.client.get("/metrics").text.splitlines()
    found = [float(row.rpartition(" ")[2]) for row in rows if row.startswith("slipway_queue")]
    assert found, rows
    return sum(found)


# The queue


def test_past_the_queue_requests_are_refused_at_once_and_later_taken_again(tmp_path, gates):
    with serving(tmp_path / "app", ONE, GATES=str(gates.folder), SLIPWAY_QUEUE="2") as server:
        server.wait_for("ready")
        first = ask(server, "wait for a")
        gates.entered("a")
        accepted = [ask(server, name) for name in ("b", "c")]
        refused = ask(server, "d").receive()
        assert refused.status == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["x-ms-run-function-failed"] == "False"
        assert json.loads(refused.body) == {"message": "The service is busy: 2 requests are waiting already."}
        assert server.client.get("/ready").status_code == 200
        gates.open("a")
        assert [json.loads(one.receive().body) for one in (first, *accepted)] == ["wait for a", "b", "c"]
        assert server.score("d").json() == "d"


def test_past_the_bytes_that_may_wait_requests_are_refused_and_later_taken_again(tmp_path, gates):
    with serving(tmp_path / "app", ONE, GATES=str(gates.folder), SLIPWAY_MAX_BODY_BYTES="1000") as server:
        server.wait_for("ready")
        first = ask(server, "wait for a")
        gates.entered("a")
        accepted = [ask(server, str(number) * 1000) for number in range(3)]
        seen(server)
        refused = server.score("4" * 1000)
        assert refused.status_code == 503
        assert "too large" in refused.json()["message"]
        assert refused.headers["retry-after"] == "1"
        gates.open("a")
        assert [one.receive().status for one in (first, *accepted)] == [200] * 4
        assert server.score("4" * 1000).status_code == 200


def test_no_queue_at_all_takes_what_run_can_take(tmp_path, gates):
    with serving(tmp_path / "app", ONE, GATES=str(gates.folder), SLIPWAY_QUEUE="0") as server:
        server.wait_for("ready")
        first = ask(server, "wait for a")
        gates.entered("a")
        assert server.score("b").status_code == 503
        gates.open("a")
        assert first.receive().status == 200
        assert server.score("b").status_code == 200


# Callers that leave


@pytest.mark.parametrize("leave", [Peer.close, Peer.reset])
def test_the_request_of_a_caller_that_left_is_not_run(tmp_path, gates, leave):
    with serving(tmp_path / "app", ONE, GATES=str(gates.folder)) as server:
        server.wait_for("ready")
        first = ask(server, "wait for a")
        gates.entered("a")
        leaving = ask(server, "from one that left")
        stays = ask(server, "from one that stays")
        until(lambda: waiting(server) == 3, "all are accepted")
        leave(leaving)
        stays.half_close()
        until(lambda: waiting(server) == 2, "it is noticed")
        gates.open("a")
        assert first.receive().status == 200
        answers = b"".join(stays.rest().split(b"HTTP/1.1 100 Continue\r\n\r\n"))
        assert answers.startswith(b"HTTP/1.1 200 ")
        assert server.score("last").status_code == 200
        until(lambda: server.find("run from one that stays"), "the log has it")
        assert not server.find("run from one that left")


def test_callers_that_leave_keep_no_memory_in_the_queue(tmp_path, gates):
    variables = {"GATES": str(gates.folder), "SLIPWAY_MAX_BODY_BYTES": "20000000", "SLIPWAY_QUEUE": "4"}
    with serving(tmp_path / "app", ONE, **variables) as server:
        server.wait_for("ready")
        first = ask(server, "wait for a")
        gates.entered("a")
        before = resident(server)
        for _ in range(12):
            other = ask(server, "x" * 15_000_000)
            seen(server, 60)
            other.reset()
        seen(server)
        assert resident(server) - before < 100_000_000
        gates.open("a")
        assert first.receive().status == 200


def test_an_endless_run_whose_caller_left_does_not_keep_its_thread(tmp_path):
    with serving(tmp_path, ONE, SCORING_TIMEOUT_MS="800") as server:
        server.wait_for("ready")
        gone = ask(server, "spin")
        until(lambda: server.find("run spin"), "it runs")
        gone.reset()
        until(lambda: server.score("next").status_code == 200, "the thread is free")


# Deadlines


def test_a_request_that_waited_too_long_is_not_run_and_those_after_it_are(tmp_path, gates):
    with serving(tmp_path / "app", ONE, GATES=str(gates.folder), SCORING_TIMEOUT_MS="600", SLIPWAY_QUEUE="3") as server:
        server.wait_for("ready")
        with (
            in_background(lambda: server.score("spin")) as first,
            in_background(lambda: server.score("spin")) as second,
        ):
            pass
        assert {first[0].status_code, second[0].status_code} == {500}
        assert first[0].json() == {"message": "Scoring timeout after 600 ms"}
        assert server.score("next").json() == "next"
        assert server.status()["state"] == "ready"


ASYNC = """
    import asyncio, time

    async def init():
        global started
        started = []

    async def run(data):
        if data == "cancel":
            raise asyncio.CancelledError
        if data == "block":
            time.sleep(3600)
        if data.startswith("meet "):
            started.append(data)
            while len(started) < int(data.split()[1]):
                await asyncio.sleep(0.005)
        if data == "sleep":
            try:
                await asyncio.sleep(3600)
            finally:
                print("cancelled")
        return data
    """


@pytest.fixture(scope="module")
def coroutines(tmp_path_factory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("async"), ASYNC, SCORING_TIMEOUT_MS="1500") as server:
        yield server.wait_for("ready")


def test_calls_of_a_coroutine_are_under_way_at_once(coroutines):
    # Each waits until all have begun.
    peers = [ask(coroutines, "meet 20") for _ in range(20)]
    assert [one.receive().status for one in peers] == [200] * 20


def test_a_coroutine_that_was_cancelled_is_answered(coroutines):
    assert coroutines.score("cancel").status_code == 500
    assert coroutines.score("next").json() == "next"


def test_a_coroutine_past_its_deadline_is_cancelled(coroutines):
    assert coroutines.score("sleep").json() == {"message": "Scoring timeout after 1500 ms"}
    until(lambda: coroutines.find("cancelled"), "it was cancelled")
    assert coroutines.score("next").json() == "next"


# Batches


BATCHED = (
    GATE
    + """
    from slipway import batched

    @batched(max_size=8, max_wait_ms=MAX_WAIT)
    def run(data, other=None):
        print("size", len(data), data[-1][:10])
        for one in data:
            if one.startswith("wait for "):
                wait_for(one)
            if one == "raise":
                raise ValueError("one is bad")
            while one == "spin":
                pass
        if "short" in data:
            return [0] * (len(data) - 1)
        if "set" in data:
            return {0}
        if "not a list" in data:
            return "x" * len(data)
        others = other or [None] * len(data)
        return [ValueError("this one") if one == "error" else [one, it] for one, it in zip(data, others)]
    """
)


def sizes(server: Server) -> list[int]:
    """How many requests each call of run() had; asks one more, whose line in the log comes after all others."""
    assert server.score("the end").status_code == 200
    until(lambda: server.find("size 1 the end"), "the log has all")
    found = [line.split("size ")[1] for line in list(server.lines) if "size " in line]
    return [int(each.split()[0]) for each in found if not each.endswith("the end")]


@pytest.fixture
def batches(tmp_path, gates) -> Iterator[Server]:
    script = BATCHED.replace("MAX_WAIT", "0")
    with serving(tmp_path / "app", script, GATES=str(gates.folder), SCORING_TIMEOUT_MS="8000") as server:
        yield server.wait_for("ready")


def while_busy(server: Server, gates: Gates, *bodies: str, name: str = "a") -> list[tuple[int, object]]:
    """What is answered to requests that wait together."""
    first = ask(server, f"wait for {name}")
    gates.entered(name)
    peers = []
    for body in bodies:
        peers.append(ask(server, body))
        seen(server)
    gates.open(name)
    assert first.receive().status == 200
    answers = [one.receive() for one in peers]
    return [(answer.status, json.loads(answer.body)) for answer in answers]


def test_what_waits_together_is_run_together_and_each_gets_its_own(batches, gates):
    answers = while_busy(batches, gates, *"abcdefghij")
    assert answers == [(200, [letter, None]) for letter in "abcdefghij"]
    assert sizes(batches) == [1, 8, 2]


def test_one_alone_is_a_batch_of_one(batches):
    assert batches.score("x").json() == ["x", None]
    assert sizes(batches) == [1]


def test_one_bad_request_fails_alone(batches, gates):
    answers = while_busy(batches, gates, "a", "raise", "b")
    assert [status for status, _ in answers] == [200, 500, 200]
    assert [answers[0][1], answers[2][1]] == [["a", None], ["b", None]]


def test_one_that_run_says_has_failed_fails_alone_and_run_is_called_once(batches, gates):
    answers = while_busy(batches, gates, "a", "error", "b")
    assert [status for status, _ in answers] == [200, 500, 200]
    assert sizes(batches) == [1, 3]


@pytest.mark.parametrize("kind", ["short", "set", "not a list"])
def test_answers_that_are_not_one_for_each_are_told(batches, gates, kind):
    answers = while_busy(batches, gates, "a", kind, "b")
    assert [status for status, _ in answers] == [200, 500, 200]
    until(lambda: batches.find("for 1 requests it has to return 1 values"), "the log tells it")


def test_a_request_that_is_refused_does_not_reach_the_batch(batches, gates):
    first = ask(batches, "wait for a")
    gates.entered("a")
    bad = Peer(batches.port).send(request("POST", body=b"\xff"))
    good = ask(batches, "good")
    zipped = ask(batches, "not gzip", Content_Encoding="gzip")
    seen(batches)
    gates.open("a")
    assert [one.receive().status for one in (first, bad, good, zipped)] == [200, 400, 200, 400]
    assert sizes(batches) == [1, 1]


def test_a_batch_whose_callers_left_is_run_without_them(batches, gates):
    first = ask(batches, "wait for a")
    gates.entered("a")
    leaving, staying = ask(batches, "leaves"), ask(batches, "stays")
    seen(batches)
    leaving.reset()
    seen(batches)
    gates.open("a")
    assert first.receive().status == 200
    assert json.loads(staying.receive().body) == ["stays", None]
    assert sizes(batches) == [1, 1]


def test_a_batch_waits_for_others_as_long_as_it_may_and_no_longer_than_until_it_is_full(tmp_path):
    with serving(tmp_path, BATCHED.replace("MAX_WAIT", "60000")) as server:
        server.wait_for("ready")
        peers = [ask(server, str(number)) for number in range(8)]
        assert [json.loads(one.receive().body)[0] for one in peers] == [str(number) for number in range(8)]
        until(lambda: server.find("size 8 "), "they were run together")
    with serving(tmp_path, BATCHED.replace("MAX_WAIT", "50")) as server:
        assert server.wait_for("ready").score("alone").json() == ["alone", None]


def test_one_of_a_batch_past_its_deadline_does_not_take_the_others_time(tmp_path, gates):
    script = BATCHED.replace("MAX_WAIT", "0")
    with serving(tmp_path / "app", script, GATES=str(gates.folder), SCORING_TIMEOUT_MS="1200") as server:
        server.wait_for("ready")
        late = server.score("spin")
        assert late.json() == {"message": "Scoring timeout after 1200 ms"}
        assert server.score("next").json() == ["next", None]


def test_one_of_a_batch_that_lacks_an_optional_parameter_has_its_default(tmp_path, gates):
    script = (
        GATE
        + """
    from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
    from inference_schema.schema_decorators import input_schema
    from slipway import batched

    @batched(max_size=8)
    @input_schema("data", StandardPythonParameterType("text"))
    @input_schema("other", StandardPythonParameterType(1), optional=True)
    def run(data, other=None):
        for one in data:
            if one.startswith("wait for "):
                wait_for(one)
        return [[one, len(data), it] for one, it in zip(data, other)]
    """
    )
    with serving(tmp_path / "app", script, GATES=str(gates.folder)) as server:
        server.wait_for("ready")
        bodies = [json.dumps({"data": one, **extra}) for one, extra in (("a", {}), ("b", {"other": 2}), ("c", {}))]
        first = ask(server, json.dumps({"data": "wait for a"}), Content_Type="application/json")
        gates.entered("a")
        peers = [ask(server, body, Content_Type="application/json") for body in bodies]
        seen(server)
        gates.open("a")
        first.receive()
        assert [json.loads(one.receive().body) for one in peers] == [["a", 3, None], ["b", 3, 2], ["c", 3, None]]


def test_raw_requests_in_a_batch_get_responses_of_their_own(tmp_path):
    script = """
        from azureml.contrib.services.aml_request import AMLRequest, rawhttp
        from azureml.contrib.services.aml_response import AMLResponse
        from slipway import batched

        def init():
            pass

        @batched(max_size=4, max_wait_ms=60000)
        @rawhttp
        def run(requests):
            return [AMLResponse(one.get_data(), 200 + int(one.args["n"])) for one in requests]
        """
    with serving(tmp_path, script) as server:
        server.wait_for("ready")
        peers = [Peer(server.port).send(request("POST", f"/score?n={n}", body=b"body %d" % n)) for n in range(4)]
        answers = [one.receive() for one in peers]
        assert [answer.status for answer in answers] == [200, 201, 202, 203]
        assert [answer.body for answer in answers] == [b"body 0", b"body 1", b"body 2", b"body 3"]


@pytest.mark.parametrize("threads", ["1", "3"])
def test_many_clients_at_once_get_each_their_own_answers(tmp_path, threads):
    with serving(tmp_path, BATCHED.replace("MAX_WAIT", "1"), SLIPWAY_THREADS=threads) as server:
        server.wait_for("ready")

        def client(name: int) -> collections.Counter[bool]:
            with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=PATIENCE_SECONDS) as http:
                sent = [f"{name}-{number}" for number in range(40)]
                found = [http.post("/score", content=body, headers={"x-request-id": body}) for body in sent]
            return collections.Counter(
                one.json() == [body, None] and one.headers["x-request-id"] == body
                for one, body in zip(found, sent, strict=True)
            )

        with ThreadPoolExecutor(16) as pool:
            assert sum(pool.map(client, range(16)), collections.Counter()) == {True: 640}
        assert max(sizes(server)) > 1


def test_pipelined_requests_of_one_connection_are_answered_in_order_over_a_socket(batches):
    with peer(batches.port) as connection:
        connection.send(b"".join(request("POST", body=b"%d" % number) for number in range(50)))
        assert [json.loads(connection.receive().body)[0] for _ in range(50)] == [str(number) for number in range(50)]


def resident(server: Server) -> int:
    """The memory of all of the service's processes, in bytes."""
    return sum(
        int(line.split()[1]) * 1024
        for process in (server.process.pid, *workers(server))
        for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
        if line.startswith("VmRSS")
    )
