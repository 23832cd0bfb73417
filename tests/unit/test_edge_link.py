"""The edge module's link to the hub, with connections of the test's in place of azure-iot-device's client."""

import threading
from types import SimpleNamespace

import pytest

from scoring.edge import link as edge_link
from scoring.edge.link import Link
from scoring.edge.store import Message, Rank, Store
from tests.unit.scoring_harness import in_background, until


class Hub:
    """What all connections of a test have in common.

    Attributes:
        connections: Those that were made.
        sent: The ids of the messages that were sent, each time.
        told: What was reported and answered.
    """

    def __init__(self):
        self.connections, self.sent, self.told = [], [], []
        self.is_away = False
        self.acknowledges = True
        self.refuses = None
        self.refuses_twin = 0
        self.tries = self.asked = 0


class Connection:
    """A connection that is there at once, and takes and acknowledges what is sent."""

    def __init__(self, hub, *, on_input, on_twin, on_method, on_lost):
        self._hub, self._on_twin, self._on_lost = hub, on_twin, on_lost
        self.over = threading.Event()
        self.is_old = False
        self.lost_while_opened = False
        hub.connections.append(self)

    @property
    def is_over(self):
        return self.over.is_set()

    def open(self):
        if self._hub.is_away:
            raise ConnectionError("away")
        if self.lost_while_opened:
            self.over.set()

    def send(self, messages):
        self._hub.sent += [one.id for one in messages]
        return ([one.number for one in messages] if self._hub.acknowledges else []), None

    def synchronize(self):
        self._hub.asked += 1
        if self._hub.refuses_twin:
            self._hub.refuses_twin -= 1
            raise OSError("twin operation returned status 429")
        self._on_twin({"$version": 3}, True)

    def report(self, properties):
        self._hub.tries += 1
        if properties == self._hub.refuses:
            raise OSError("twin operation returned status 400")
        self._hub.told.append(properties)

    def answer(self, _request, status, payload):
        self._hub.told.append((status, payload))

    def lose(self):
        self.over.set()
        self._on_lost()

    def close(self):
        self.over.set()


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(edge_link, "_DISK_SECONDS", 0.01)
    monkeypatch.setattr(edge_link, "_FIRST_WAIT_SECONDS", 0.01)
    made = Store(tmp_path / "messages.db", max_bytes=10**6, max_age_seconds=10**6)
    yield made
    made.close()


@pytest.fixture
def hub(monkeypatch):
    made = Hub()
    monkeypatch.setattr(edge_link, "Connection", lambda **given: Connection(made, **given))
    return made


@pytest.fixture
def link(store, hub):
    """A link that is not started yet."""
    made = Link(store, on_input=lambda: None, on_twin=lambda *_: None, on_method=lambda *_: None)
    yield made
    made._stops.set()
    made.stop(0)


def result(name):
    return Message(name, "scores", {"$.mid": name}, b"1", Rank.TELEMETRY)


def disk_takes(store, something):
    store._db.execute(f"PRAGMA query_only = {'OFF' if something else 'ON'}")


def test_what_the_hub_has_is_not_sent_again_while_the_disk_takes_nothing(store, link, hub, monkeypatch):
    store.put([result("first")])
    disk_takes(store, something=False)
    tries, settle = [], store.settle
    monkeypatch.setattr(store, "settle", lambda *given: tries.append(given) or settle(*given))
    link.start()
    until(lambda: len(tries) > 5, "the link has tried several times")
    assert "cannot be written to" in link.error
    disk_takes(store, something=True)
    store.put([result("second")])
    until(lambda: link.sent == 2 and not store.take([Rank.TELEMETRY], 1), "both are sent")
    assert hub.sent == ["first", "second"]
    assert link.error == ""


def test_a_result_that_no_hub_can_take_is_dropped_and_counted_and_those_behind_it_are_sent(store, link, hub, caplog):
    # As a version stored it that did not look at the length.
    too_long = Message("long", "scores", {"$.mid": "long", "site": "x" * 70_000}, b"1", Rank.ALERT)
    store.put([result("first"), too_long, result("second")])
    link.start()
    until(lambda: link.sent == 2, "the others are sent")
    assert hub.sent == ["first", "second"]
    assert store.counts().dropped == {"too large": 1}
    assert "result long is dropped" in caplog.text


def test_an_input_is_not_acknowledged_until_the_disk_has_it(store, link):
    disk_takes(store, something=False)
    # What acknowledges it waits for this to return.
    with in_background(lambda: link._keep("devices/d/modules/m/inputs/in/%24.mid=one", b"1")) as returned:
        until(lambda: link.error, "the link has tried")
        assert (returned, store.take([Rank.INPUT], 1)) == ([], [])
        disk_takes(store, something=True)
        until(lambda: store.take([Rank.INPUT], 1), "the input is stored")
    assert [one.id for one in store.take([Rank.INPUT], 10)] == ["one"]
    assert link.error == ""


def test_a_report_that_the_hub_refuses_does_not_keep_back_what_comes_behind_it(link, hub):
    hub.refuses = {"error": "too long"}
    link._on_method = lambda _name, _payload, answer: answer(200, "pong")
    link.start()
    until(lambda: link.is_connected, "the hub is there")
    link.report(hub.refuses)
    link._answer_method(SimpleNamespace(request_id="1", name="ping", payload=None))
    link.report({"state": "ready"})
    until(lambda: len(hub.told) == 2, "what is behind it is told")
    assert hub.told == [(200, "pong"), {"state": "ready"}]
    assert link.owes_report


def test_a_report_that_the_hub_does_not_take_at_once_is_told_in_its_turn(link, hub):
    hub.refuses = {"state": "loading"}
    link.start()
    until(lambda: link.is_connected, "the hub is there")
    link.report({"state": "loading"})
    until(lambda: hub.tries, "it was tried")
    hub.refuses = None
    link.report({"state": "ready"})
    until(lambda: len(hub.told) == 2, "both are told")
    assert hub.told == [{"state": "loading"}, {"state": "ready"}]
    assert not link.owes_report


def test_the_twin_is_asked_for_until_the_hub_gives_it(link, hub):
    given = []
    link._on_twin = lambda desired, whole: given.append((desired, whole))
    hub.refuses_twin = 7
    link.start()
    until(lambda: link.is_connected, "the hub is there")
    link.report({"state": "ready"})
    until(lambda: given, "the twin is there")
    assert given == [({"$version": 3}, True)]
    assert hub.told == [{"state": "ready"}]


def test_each_connection_is_a_new_one_and_has_the_twin_asked_for(link, hub, store):
    link.start()
    until(lambda: hub.asked == 1, "the twin is asked for")
    hub.connections[0].lose()
    until(lambda: hub.asked == 2, "it is asked for again")
    assert len(hub.connections) == 2
    store.put([result("one")])
    link.wake()
    until(lambda: hub.sent == ["one"], "what comes then is sent")
    assert link.error == ""


def test_a_connection_that_is_lost_while_it_is_opened_is_not_taken_for_one(link, hub, monkeypatch):
    made = edge_link.Connection

    def lost_at_first(**given):
        connection = made(**given)
        connection.lost_while_opened = len(hub.connections) == 1
        return connection

    monkeypatch.setattr(edge_link, "Connection", lost_at_first)
    link.start()
    until(lambda: len(hub.connections) == 2 and link.is_connected, "there is another one")


def test_a_connection_whose_token_ends_soon_is_given_up_between_messages(link, hub, store):
    link.start()
    until(lambda: link.is_connected, "the hub is there")
    hub.connections[0].is_old = True
    link.wake()
    until(lambda: len(hub.connections) == 2 and link.is_connected, "there is another one")
    assert hub.connections[0].is_over
    store.put([result("one")])
    link.wake()
    until(lambda: hub.sent == ["one"], "what comes then is sent")


def test_a_hub_that_acknowledges_nothing_is_connected_to_anew_but_not_without_end(link, hub, store, monkeypatch):
    monkeypatch.setattr(edge_link, "_LONGEST_WAIT_SECONDS", 0.1)
    hub.acknowledges = False
    store.put([result("one")])
    link.start()
    until(lambda: len(hub.connections) > 4, "it has tried several times")
    assert link._wait == 0.1
    hub.acknowledges = True
    until(lambda: link.sent == 1, "it is acknowledged")
    assert set(hub.sent) == {"one"}
    assert store.take([Rank.TELEMETRY], 1) == []
    assert link._wait == 0.01


def test_a_hub_that_is_away_is_tried_until_it_is_there(link, hub):
    hub.is_away = True
    link.start()
    until(lambda: len(hub.connections) > 3, "it has tried several times")
    assert link.error == "ConnectionError: away"
    assert all(one.is_over for one in hub.connections[:-1])
    hub.is_away = False
    until(lambda: link.is_connected, "the hub is there")
    assert link.error == ""
