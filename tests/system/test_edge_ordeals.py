"""The edge module through minutes without a network, and through fifty kills: nothing lost, order kept, alerts first.

Both happen at the same time, each to a device of its own: the one mostly waits, the other is seldom idle.
"""

import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path

import httpx
import pytest

from tests.system import edge_harness
from tests.system.edge_harness import Device, until

pytestmark = pytest.mark.system

CUT_SECONDS = 150
KILLS = 50
ALERT_EVERY = 9
# A reading takes its time while there is a file of that name: a network that is cut is not waited for.
SLOWLY = edge_harness.SCRIPT.replace(
    "return reading", "import os, time\n    os.path.exists('slow') and time.sleep(0.3)\n    return reading"
)
# No more than were on their way when the network went, and when it came.
ON_THEIR_WAY = 64


def another_device(folder):
    routes = {"in": edge_harness.IN, "out": edge_harness.OUT}
    return Device(folder, ["sensor", "scorer"], routes)


def numbers(device, output=None):
    """The readings that arrived, each where it arrived first."""
    return list(dict.fromkeys(body["n"] for body in device.bodies(output)))


def status(scorer):
    told = httpx.get(f"http://127.0.0.1:{scorer.port}/status", timeout=60).json()["edge"]
    assert told["store"]["dropped"] == {}
    return told


def waiting(scorer):
    return status(scorer)["store"]["waiting"]


def with_threshold(device, scorer):
    """Have what is at least 0.5 be an alert."""
    device.hub.set_desired("scorer", {"threshold": 0.5})

    def holds():
        settings = device.hub.twins.get("scorer")["reported"].get("settings", {})
        return settings.get("threshold", {}).get("value") == 0.5

    until(holds, lambda: scorer.log)


def assert_all_are_there_in_order(device, count, told=""):
    meant = {"alerts": range(0, count, ALERT_EVERY), "scores": [n for n in range(count) if n % ALERT_EVERY]}
    for output, those in meant.items():
        found = numbers(device, output)
        wrong = next((index for index, pair in enumerate(zip_longest(found, those)) if pair[0] != pair[1]), None)
        assert wrong is None, f"{output}: ... {found[max(0, wrong - 5) : wrong + 20]} ... {told}"
    # Whoever gets one twice knows it by its id, and no two have the same.
    ids = {(one["system"]["$.mid"], one["properties"]["n"]) for one in list(device.arrived)}
    assert len(ids) == len(dict(ids)) == count, told


class Cut:
    """What became of a device whose network was silent for minutes: no answer, and nothing that tells of it."""

    def __init__(self, device):
        self.device = device
        scorer = device.module(script=SLOWLY).start()
        sensor = device.sensor()
        try:
            self._live_through(scorer, sensor)
        finally:
            scorer.kill()
            sensor.close()
        self.log = scorer.log

    def _live_through(self, scorer, sensor):
        device, broker = self.device, self.device.brokers["scorer"]
        with_threshold(device, scorer)
        (scorer.app / "slow").touch()
        in_hand, meanwhile = 540, 160
        sensor.send(in_hand, alert_every=ALERT_EVERY)
        until(lambda: sum(waiting(scorer).values()) + len(numbers(device)) >= in_hand, lambda: scorer.log)
        # These wait with the hub.
        sensor.send(meanwhile, per_second=1, alert_every=ALERT_EVERY)
        os.kill(broker.process, signal.SIGSTOP)
        try:
            time.sleep(5)
            self.before = len(device.arrived)
            scored = in_hand - waiting(scorer)["input"]
            time.sleep(CUT_SECONDS - 5)
            self.arrived_meanwhile = len(device.arrived) - self.before
            self.was_noticed = not status(scorer)["connected"]
            left = waiting(scorer)
            self.scored_meanwhile = in_hand - left["input"] - scored
            self.alerts_of_the_cut = left["alert"]
        finally:
            os.kill(broker.process, signal.SIGCONT)
        (scorer.app / "slow").unlink()
        self.count = in_hand + meanwhile
        until(lambda: len(numbers(device)) == self.count, lambda: f"{len(numbers(device))} {scorer.log}")


@pytest.fixture(scope="module")
def cut(tmp_path_factory, mosquitto):
    """A device that is cut from its network, while the tests of this file go on."""
    device = another_device(tmp_path_factory.mktemp("cut"))
    with ThreadPoolExecutor(1) as meanwhile:
        yield meanwhile.submit(Cut, device)
    device.close()


def test_broker_and_module_killed_at_random_fifty_times_lose_nothing_and_keep_the_order(cut, tmp_path):
    seed = int(os.environ.get("SLIPWAY_TEST_SEED") or random.randrange(10**6))
    chance = random.Random(seed)
    device = another_device(tmp_path)
    scorer = device.module().start()
    sensor = device.sensor()
    kills = []

    def told():
        return f"SLIPWAY_TEST_SEED={seed}: {kills} {len(numbers(device))} {scorer.log}"

    try:
        with_threshold(device, scorer)
        each = 40
        for _ in range(KILLS):
            sensor.send(each, per_second=40, alert_every=ALERT_EVERY)
            # Now and then while it still comes back from the kill before.
            if chance.random() < 0.8:
                seen = len(device.arrived)
                until(lambda: kept(scorer) and len(device.arrived) > seen, told)  # noqa: B023 - of this round
            time.sleep(chance.uniform(0, 0.5))
            kills.append(chance.choice((kill_module, kill_worker, kill_broker, kill_both)).__name__)
            globals()[kills[-1]](device, scorer)
        count = KILLS * each
        until(lambda: kept(scorer) and len(numbers(device)) == count, told)
        assert_all_are_there_in_order(device, count, told())
    finally:
        scorer.kill()
        sensor.close()
        device.close()


def kept(scorer):
    """Start it again when it has ended, as the edge agent does: so it does when its worker is killed while it loads."""
    if scorer.process.poll() is not None:
        scorer.start()
    return True


def kill_module(_device, scorer):
    scorer.kill()
    scorer.start()


def kill_worker(_device, scorer):
    """The process that has the model; the one above it starts another."""
    children = Path(f"/proc/{scorer.process.pid}/task/{scorer.process.pid}/children").read_text(encoding="ascii")
    for worker in children.split():
        os.kill(int(worker), signal.SIGKILL)


def kill_broker(device, _scorer):
    # It writes down what it has; a SIGKILL would lose what it has acknowledged, as no hub does.
    device.brokers["scorer"].stop(signal.SIGTERM)
    device.brokers["scorer"].start()


def kill_both(device, scorer):
    scorer.kill()
    kill_broker(device, scorer)
    scorer.start()


def test_a_network_cut_for_minutes_loses_nothing_keeps_the_order_and_sends_alerts_first(cut):
    found = cut.result(CUT_SECONDS + 2 * edge_harness.PATIENCE)
    device = found.device
    assert_all_are_there_in_order(device, found.count, found.log)
    # It went on scoring, and noticed by itself that nobody answered.
    assert found.arrived_meanwhile == 0
    assert found.scored_meanwhile > CUT_SECONDS / 2
    assert found.was_noticed
    assert "the hub is not there" in found.log
    # All alerts of the cut come before its other results, but for those that were on their way.
    after = [one["output"] for one in device.arrived[found.before :]]
    alerts = [index for index, output in enumerate(after) if output == "alerts"]
    last = alerts[found.alerts_of_the_cut - 1]
    assert after[:last].count("scores") <= ON_THEIR_WAY
