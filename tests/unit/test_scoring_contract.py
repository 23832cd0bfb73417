"""What a client of a scoring script may rely on, asked of a real server."""

from __future__ import annotations

import json
import socket

import pytest

from tests.unit.scoring_harness import in_background, serving, until

ECHO = """
    import json, os, pathlib, time

    def init():
        print("init was called")

    def run(data, request_headers):
        if data.startswith("raise"):
            raise ValueError("a secret of the model")
        if data.startswith("exit"):
            raise SystemExit(7)
        if data.startswith("spin"):
            while True:
                pass
        if data.startswith("wait for "):
            pathlib.Path(data.removeprefix("wait for ") + ".entered").touch()
            while not pathlib.Path(data.removeprefix("wait for ")).exists():
                time.sleep(0.01)
            return "released"
        return {"data": data, "headers": request_headers}
    """


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("echo")
    with serving(folder, ECHO, SLIPWAY_MAX_BODY_BYTES="1000", SCORING_TIMEOUT_MS="2000") as server:
        yield server.wait_for("ready")


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", "image/png"]
)
def test_the_body_is_given_as_text_whatever_its_content_type(echo, content_type):
    answer = echo.client.post("/score", content="a=1&b=ü", headers={"content-type": content_type})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["data"] == "a=1&b=ü"


def test_a_query_is_given_as_the_json_text_of_its_values(echo):
    answer = echo.client.get('/score?a=1&b=[1,2]&c=text&d=null&e=&f=x&f=2&g={"h":"%20"}')

    assert json.loads(answer.json()["data"]) == {
        "a": 1,
        "b": [1, 2],
        "c": "text",
        "d": None,
        "e": "",
        "f": ["x", 2],
        "g": {"h": " "},
    }


def test_deeply_nested_json_in_a_query_stays_text(echo):
    deep = "[" * 5000
    assert json.loads(echo.client.get(f"/score?a={deep}").json()["data"]) == {"a": deep}


def test_request_headers_have_the_names_that_scripts_know(echo):
    sent = [("x-custom-id", "7"), ("x-many", "a"), ("x-many", "b")]
    headers = echo.client.post("/score", content="", headers=sent).json()["headers"]

    assert headers["X-Custom-Id"] == "7"
    assert headers["X-Many"] == "a,b"
    assert headers["Content-Length"] == "0"


def test_an_answer_tells_whether_run_failed_and_how_long_it_took(echo):
    answer = echo.score("x")

    assert answer.headers["x-ms-run-function-failed"] == "False"
    assert float(answer.headers["x-ms-run-fn-exec-ms"]) > 0
    assert "x-slipway-generation" not in answer.headers


@pytest.mark.parametrize("data", ["raise", "exit"])
def test_what_run_raises_is_told_to_the_log_and_not_to_the_caller(echo, data):
    answer = echo.client.post("/score", content=data, headers={"x-request-id": f"the-{data}-request"})

    assert answer.status_code == 500
    assert answer.json() == {"message": "An unexpected error occurred in scoring script. Check the logs for more info."}
    assert answer.headers["x-ms-run-function-failed"] == "True"
    assert "x-ms-run-fn-exec-ms" not in answer.headers
    assert until(lambda: echo.find(f"[the-{data}-request]: run() failed: "), "the log tells it")
    assert echo.score("next").status_code == 200


def test_the_traceback_in_the_log_has_the_scripts_frames_only(echo):
    echo.score("raise")
    until(lambda: echo.find("ValueError: a secret of the model"), "the log tells it")

    frames = [line for line in echo.lines if line.strip().startswith("File ")]
    assert frames
    assert all("score.py" in line for line in frames)


def test_a_run_that_does_not_end_is_broken_off_at_its_deadline(echo):
    answer = echo.score("spin")

    assert answer.status_code == 500
    assert answer.json() == {"message": "Scoring timeout after 2000 ms"}
    assert answer.headers["x-ms-run-function-failed"] == "True"
    assert echo.score("next").status_code == 200


def test_health_answers_while_run_is_busy(echo, tmp_path):
    gate = tmp_path / "gate"
    with in_background(lambda: echo.score(f"wait for {gate}")) as answers:
        until((tmp_path / "gate.entered").exists, "run() was entered")
        assert echo.status()["state"] == "busy"
        assert echo.client.get("/ready").status_code == 200
        assert echo.client.get("/").text == "Healthy"
        gate.touch()

    assert answers[0].json() == "released"
    assert echo.status()["state"] == "ready"


def test_request_ids_are_echoed(echo):
    sent = {"x-request-id": "r", "x-ms-client-request-id": "c", "x-ms-request-id": "l", "TraceId": "t"}
    answer = echo.client.get("/score", headers=sent)

    assert {name: answer.headers[name] for name in sent} == sent


def test_missing_request_ids_are_made(echo):
    first, second = echo.client.get("/score"), echo.client.get("/score")

    assert first.headers["x-request-id"] == first.headers["x-ms-request-id"]
    assert len(first.headers["x-request-id"]) == 36
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert "x-ms-client-request-id" not in first.headers


def test_the_older_request_id_stands_in_for_the_clients(echo):
    answer = echo.client.get("/score", headers={"x-ms-request-id": "old"})
    assert answer.headers["x-ms-client-request-id"] == "old"

    answer = echo.client.get("/score", headers={"x-ms-client-request-id": "new"})
    assert answer.headers["x-ms-request-id"] == "new"


@pytest.mark.parametrize("name", ["x-request-id", "x-ms-request-id", "x-ms-client-request-id"])
def test_a_request_id_of_more_than_100_characters_is_refused(echo, name):
    assert echo.client.get("/score", headers={name: "x" * 100}).status_code == 200

    answer = echo.client.get("/score", headers={name: "x" * 101})
    assert answer.status_code == 431
    assert "must not exceed 100 characters" in answer.json()["message"]
    assert "x" * 101 not in answer.headers.values()


def test_options_is_answered_empty(echo):
    answer = echo.client.options("/score")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD"])
def test_a_method_that_a_route_lacks_names_those_that_it_has(echo, method):
    answer = echo.client.request(method, "/score")

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST, OPTIONS"
    if method != "HEAD":
        assert answer.json()["message"].endswith("Allowed: GET, POST, OPTIONS.")


def test_an_unknown_path_is_404_with_a_message(echo):
    answer = echo.client.get("/nothing")

    assert answer.status_code == 404
    assert "/score" in answer.json()["message"]


def test_a_body_that_is_not_utf8_is_400(echo):
    answer = echo.client.post("/score", content=b"\xff")

    assert answer.status_code == 400
    assert answer.json()["message"].startswith("Input cannot be decoded as UTF-8:")
    assert answer.headers["x-ms-run-function-failed"] == "False"


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_beyond_the_limit_is_413(echo, announced):
    allowed, refused = b"x" * 1000, b"x" * 1001
    assert echo.client.post("/score", content=allowed).status_code == 200

    answer = echo.client.post("/score", content=refused if announced else iter([refused]))
    assert answer.status_code == 413
    assert "SLIPWAY_MAX_BODY_BYTES" in answer.json()["message"]
    assert answer.headers["connection"] == "close"


def test_a_caller_that_asks_first_is_told_of_a_large_body_before_it_sends_it(echo):
    with socket.create_connection(("127.0.0.1", echo.port), timeout=10) as connection:
        connection.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_caller_that_leaves_half_way_harms_nobody(echo):
    with socket.create_connection(("127.0.0.1", echo.port), timeout=10) as connection:
        connection.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")

    assert echo.score("next").status_code == 200
    assert not echo.find("internal error")


def test_health_routes_of_a_ready_service(echo):
    home = echo.client.get("/")

    assert (home.status_code, home.text) == (200, "Healthy")
    assert "x-ms-run-function-failed" not in home.headers
    assert echo.client.get("/live").json() == {"state": "ready"}
    assert echo.client.get("/ready").json() == {"state": "ready"}


def test_what_a_script_prints_is_in_the_log(echo):
    assert until(lambda: echo.find("init was called"), "the log has it")
