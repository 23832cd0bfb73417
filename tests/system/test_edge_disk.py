"""The edge module on a disk that takes nothing for a while: it waits, loses nothing, and goes on by itself."""

import contextlib
import resource
import sys
from pathlib import Path

import httpx
import pytest

from tests.system import edge_harness
from tests.system.edge_harness import until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the files of a process that runs"),
]
# It works on a reading until the test lets it go on.
SLOW = edge_harness.SCRIPT.replace(
    "return reading",
    "import os, time\n    while not os.path.exists('go'): time.sleep(0.02)\n    return reading",
)


@pytest.fixture
def start(device):
    """Starts the module, and waits until it answers."""
    started = []

    def start(script=edge_harness.SCRIPT):
        scorer = device.module("scorer", script).start()
        started.append(scorer)
        until(lambda: "connected to the hub" in scorer.log and "ready:" in scorer.log, lambda: scorer.log)
        return scorer

    yield start
    for scorer in started:
        scorer.kill()


def workers(scorer):
    pid = scorer.process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


@contextlib.contextmanager
def full_disk(scorer):
    """No file takes a byte more from the module's processes: the system refuses each write."""
    before = {one: resource.prlimit(one, resource.RLIMIT_FSIZE) for one in workers(scorer)}
    for one, (_, hard) in before.items():
        resource.prlimit(one, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        for one, limits in before.items():
            resource.prlimit(one, resource.RLIMIT_FSIZE, limits)


def numbers(device):
    return list(dict.fromkeys(body["n"] for body in device.bodies()))


def test_inputs_stay_with_the_hub_while_the_disk_is_full(device, sensor, start):
    scorer = start()
    sensor.send(10)
    until(lambda: len(numbers(device)) == 10, lambda: scorer.log)
    processes = workers(scorer)
    with full_disk(scorer):
        sensor.send(50)
        until(lambda: "inputs wait with the hub" in scorer.log, lambda: scorer.log)
        until(lambda: sensor.sent == 60, "the sensor has sent all")
        told = httpx.get(f"http://127.0.0.1:{scorer.port}/status", timeout=60).json()["edge"]["error"]
        assert "cannot be written to" in told
    until(lambda: len(numbers(device)) == 60, lambda: scorer.log)
    assert numbers(device) == list(range(60))
    assert workers(scorer) == processes


def test_what_was_scored_while_the_disk_was_full_is_sent_and_scoring_goes_on(device, sensor, start):
    scorer = start(SLOW)
    processes = workers(scorer)
    sensor.send(1)
    until(
        lambda: httpx.get(f"http://127.0.0.1:{scorer.port}/status", timeout=60).json()["state"] == "busy",
        lambda: scorer.log,
    )
    with full_disk(scorer):
        (scorer.app / "go").touch()
        until(lambda: "waiting until it can" in scorer.log, lambda: scorer.log)
        assert device.arrived == []
    until(lambda: len(numbers(device)) == 1, lambda: scorer.log)
    sensor.send(20)
    until(lambda: len(numbers(device)) == 21, lambda: scorer.log)
    assert numbers(device) == list(range(21))
    assert workers(scorer) == processes
