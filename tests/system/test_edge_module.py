"""The edge module against a real broker: messages, twin and methods, cut networks, kills."""

import errno
import json
import socket
import time

import httpx
import pytest

from tests.system import edge_harness
from tests.system.checkout import free_port
from tests.system.edge_harness import IN, OUT, Device, until

pytestmark = pytest.mark.system


@pytest.fixture
def scorer(device):
    made = device.module().start()
    yield made
    made.kill()


def numbers(device, output=None):
    """The readings that arrived, each where it arrived first."""
    return list(dict.fromkeys(body["n"] for body in device.bodies(output)))


def reported(device):
    return device.hub.twins.get("scorer")["reported"]


def test_messages_twin_methods_and_http(device, scorer, sensor):
    sensor.send(40, alert_every=10)
    until(lambda: len(device.arrived) == 40, lambda: scorer.log)
    # Without a threshold nothing is an alert.
    assert numbers(device, "scores") == list(range(40))
    first = device.arrived[0]
    assert first["properties"] == {"n": "0", "model": "scorer", "version": "3", "alert": "false"}
    assert first["system"] == {
        "$.mid": "scorer:reading-0",
        "$.cid": "reading-0",
        "$.ct": "application/json",
        "$.ce": "utf-8",
    }
    # The twin sets it, and the module says what it made of it.
    device.hub.set_desired("scorer", {"threshold": 0.5, "sampling": 7, "color": "red"})
    until(lambda: reported(device)["settings"]["threshold"].get("value") == 0.5, lambda: reported(device))
    settings = reported(device)["settings"]
    assert settings["threshold"] == {"value": 0.5, "ac": 200, "av": 2, "ad": "applied"}
    assert (settings["sampling"]["ac"], settings["color"]["ac"]) == (400, 404)
    sensor.send(20, alert_every=10)
    until(lambda: len(device.arrived) == 60, lambda: scorer.log)
    assert sorted(numbers(device, "alerts")) == [40, 50]
    assert all(one["properties"]["alert"] == "true" for one in device.arrived if one["output"] == "alerts")
    assert reported(device)["model"] == {"name": "scorer", "version": "3"}
    assert reported(device)["state"] == "ready"
    until(lambda: reported(device)["store"] == {"messages": 0, "bytes": 0, "dropped": 0}, lambda: reported(device))
    # Methods.
    assert device.hub.call("scorer", "score", {"n": 1, "score": 0.25}) == (200, {"n": 1, "score": 0.25})
    status, answer = device.hub.call("scorer", "score", {"n": 1, "score": -1})
    assert (status, "not negative" in answer["message"]) == (500, True)
    status, answer = device.hub.call("scorer", "diagnose", None)
    assert (status, answer["state"], answer["edge"]["connected"], answer["edge"]["sent"]) == (200, "ready", True, 60)
    assert device.hub.call("scorer", "explode", {})[0] == 404
    assert device.hub.call("scorer", "collect", {"count": 0})[0] == 400
    sensor.send(100, per_second=20)
    status, answer = device.hub.call("scorer", "collect", {"count": 3, "seconds": 20})
    assert status == 200
    assert [one["scores"] == one["body"] for one in answer["messages"]] == [True] * 3
    (scorer.app / "score.py").write_text(edge_harness.SCRIPT.replace("return reading", "return reading | {'new': 1}"))
    assert device.hub.call("scorer", "reload", None)[1]["generation"] == 2
    assert device.hub.call("scorer", "score", {"n": 1, "score": 0})[1]["new"] == 1
    (scorer.app / "score.py").write_text("def init(): raise RuntimeError('torn')\ndef run(data): return 1\n")
    assert device.hub.call("scorer", "reload", None)[0] == 500
    assert device.hub.call("scorer", "score", {"n": 1, "score": 0})[0] == 200
    # Neighbours on the device ask over HTTP.
    base = f"http://127.0.0.1:{scorer.port}"
    assert httpx.post(f"{base}/score", json={"n": 2, "score": 0.5}).json() == {"n": 2, "score": 0.5, "new": 1}
    assert httpx.get(f"{base}/ready").status_code == 200
    assert httpx.get(f"{base}/status").json()["edge"]["connected"]
    assert device.hub.refused == []


def test_a_module_without_packages_for_http_works_by_messages_and_listens_nowhere(device, sensor, tmp_path):
    """As on linux/arm/v7, for which these packages have no wheels."""
    for package in ("httptools", "uvloop"):
        (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError('no {package}', name='{package}')\n")
    port = free_port()
    scorer = device.module(PYTHONPATH=f"{tmp_path}:{edge_harness.ROOT}", SERVER_PORT=str(port)).start()
    try:
        sensor.send(40)
        until(lambda: len(device.arrived) == 40, lambda: scorer.log)
        assert numbers(device, "scores") == list(range(40))
        assert device.hub.call("scorer", "score", {"n": 1, "score": 0.25}) == (200, {"n": 1, "score": 0.25})
        assert "starting: scorer 3, without HTTP: this image has no httptools" in scorer.log
        with socket.socket() as peer:
            assert peer.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
        assert scorer.stop() == 0
    finally:
        scorer.kill()


def test_what_cannot_be_scored_goes_to_errors_with_the_reason(device, scorer):
    routes = {
        "in": IN,
        "out": OUT,
        "raw": 'FROM /messages/modules/sensor/* INTO BrokeredEndpoint("/modules/scorer/inputs/x")',
    }
    device.hub.configure({"schemaVersion": "1.1", "routes": routes})
    for body in (b'{"score": -1}', b"no JSON", b"\xff"):
        device.hub.take("sensor", f"devices/{Device.NAME}/modules/sensor/messages/events/%24.on=raw", body)
    until(lambda: len(device.arrived) == 3, lambda: scorer.log)
    assert {one["output"] for one in device.arrived} == {"errors"}
    assert "not negative" in device.arrived[0]["properties"]["error"]
    assert [one["properties"]["status"] for one in device.arrived] == ["500", "500", "400"]


def test_a_cut_network_loses_nothing_keeps_the_order_and_sends_alerts_first(device, scorer, sensor):
    device.hub.set_desired("scorer", {"threshold": 0.5})
    until(lambda: reported(device).get("settings", {}).get("threshold", {}).get("value") == 0.5, lambda: scorer.log)
    sensor.send(50, alert_every=10)
    until(lambda: len(numbers(device)) == 50, lambda: scorer.log)
    # The scorer's network is cut while inputs wait for it in its own store, and results behind them.
    slow = device.module(
        "scorer", edge_harness.SCRIPT.replace("return reading", "import time; time.sleep(.01); return reading")
    )
    assert scorer.stop() == 0
    scorer = slow.start()
    try:
        until(lambda: "connected to the hub" in scorer.log, lambda: scorer.log)
        sensor.send(800, alert_every=10)
        until(lambda: sensor.sent == 850, "the sensor has sent all")
        until(lambda: sum(waiting(scorer).values()) + len(numbers(device)) >= 850, lambda: scorer.log)
        device.brokers["scorer"].stop()
        until(lambda: "was lost" in scorer.log, lambda: scorer.log)
        before = len(numbers(device))
        # Scored meanwhile.
        until(lambda: waiting(scorer)["input"] == 0, lambda: waiting(scorer), 60)
        time.sleep(3)
        assert len(numbers(device)) == before
        device.brokers["scorer"].start()
        until(lambda: len(numbers(device)) == 850, lambda: scorer.log)
    finally:
        scorer.kill()
    assert numbers(device, "alerts") == list(range(0, 850, 10))
    assert numbers(device, "scores") == [n for n in range(850) if n % 10]
    # All alerts of the cut come before its other results, but for those that were on their way already.
    after = [one["output"] for one in device.arrived[before:]]
    last_alert = max(index for index, output in enumerate(after) if output == "alerts")
    assert sum(output == "scores" for output in after[:last_alert]) <= 64
    # Whoever got one twice knows it by its id.
    ids = {one["system"]["$.mid"] for one in device.arrived}
    assert len(ids) == 850


def waiting(scorer):
    status = httpx.get(f"http://127.0.0.1:{scorer.port}/status", timeout=20).json()
    return status["edge"]["store"]["waiting"]


def test_a_restart_keeps_what_waits_and_a_full_store_drops_the_oldest_that_matter_least(device, sensor):
    device.hub.set_desired("scorer", {"threshold": 0.5, "storeMaxBytes": 65536})
    scorer = device.module().start()
    try:
        until(lambda: reported(device).get("settings", {}).get("storeMaxBytes", {}).get("value") == 65536, scorer.log)
        device.brokers["scorer"].stop()
        until(lambda: "was lost" in scorer.log, lambda: scorer.log)
        # What reaches the module over its cut network is in its store already: here by its own hand.
        scorer.stop()
        put_inputs(scorer, 240)
        scorer.start()
        until(lambda: waiting(scorer)["input"] == 0, lambda: scorer.log)
        status = httpx.get(f"http://127.0.0.1:{scorer.port}/status").json()["edge"]["store"]
        assert status["bytes"] <= 65536
        assert status["dropped"]["telemetry"] > 10
        assert status["waiting"]["alert"] == 8
        scorer.kill()
        scorer.start()
        device.brokers["scorer"].start()
        until(lambda: len(device.arrived) >= 8 + status["waiting"]["telemetry"], lambda: scorer.log)
    finally:
        scorer.kill()
    assert numbers(device, "alerts") == list(range(0, 240, 30))
    scores = numbers(device, "scores")
    assert scores == [n for n in range(240) if n % 30][-len(scores) :]


def put_inputs(scorer, count):
    """Put inputs into the store of a module that does not run."""
    from scoring.edge.store import Message, Rank, Store  # noqa: PLC0415 - the module's own code, which this stands for

    store = Store(scorer.store / "messages.db", max_bytes=10**8, max_age_seconds=10**6)
    for n in range(count):
        body = json.dumps({"n": n, "score": 0.0 if n % 30 else 1.0}).encode()
        store.put([Message(f"reading-{n}", "input", {"$.mid": f"reading-{n}"}, body, Rank.INPUT)])
    store.close()


def test_a_message_that_ends_the_process_again_and_again_goes_to_errors(device):
    script = edge_harness.SCRIPT.replace(
        "return reading", "import os; reading['n'] == 1 and os._exit(9); return reading"
    )
    scorer = device.module("scorer", script)
    scorer.start()
    try:
        for n in range(3):
            topic = f"devices/{Device.NAME}/modules/sensor/messages/events/%24.on=readings&%24.mid=r{n}"
            device.hub.take("sensor", topic, json.dumps({"n": n, "score": 0}).encode())
        until(lambda: len({one["system"]["$.mid"] for one in device.arrived}) == 3, lambda: scorer.log)
    finally:
        scorer.kill()
    [error] = [one for one in device.arrived if one["output"] == "errors"]
    assert error["system"]["$.cid"] == "r1"
    assert "ended the process" in error["properties"]["error"]


def test_a_module_that_cannot_load_its_model_tells_why_before_it_ends(device):
    device.brokers["scorer"].stop()
    script = edge_harness.SCRIPT.replace("pass", "raise RuntimeError('no driver')")
    scorer = device.module("scorer", script, SLIPWAY_DRAIN_SECONDS="240").start()
    try:
        until(lambda: "failed: " in scorer.log and "the hub is not there" in scorer.log, lambda: scorer.log)
        # Longer than a process goes on that has nothing to tell.
        time.sleep(5)
        device.brokers["scorer"].start()
        until(lambda: "no driver" in str(reported(device).get("error")), lambda: scorer.log)
        assert reported(device)["state"] == "failed"
        assert scorer.process.wait(edge_harness.PATIENCE) != 0
    finally:
        scorer.kill()
