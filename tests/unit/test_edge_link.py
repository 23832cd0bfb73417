"""The edge module's link to the hub, with a client of the test's in place of azure-iot-device's."""

from types import SimpleNamespace

import pytest
from azure.iot.device.exceptions import ServiceError

from scoring.edge import link as edge_link
from scoring.edge.link import Link
from scoring.edge.store import Message, Rank, Store
from tests.unit.scoring_harness import in_background, until


def _handler(feature):
    """As azure-iot-device's: what is set stays set, also where it cannot be subscribed to."""

    def subscribe(client, handler):
        client.handlers[feature] = handler
        if handler is not None and not client.features[feature]:
            client.subscribe(feature)

    return property(lambda client: client.handlers.get(feature), subscribe)


class Client:
    """Takes what is sent, and acknowledges it at once."""

    on_message_received = _handler("inputs")
    on_twin_desired_properties_patch_received = _handler("patches")
    on_method_request_received = _handler("methods")

    def __init__(self):
        self.sent = []
        self.features = dict.fromkeys(("inputs", "patches", "methods"), False)
        self.handlers = {}
        self.subscribed = []
        self.fails_at = 0
        self.refuses_twin = 0
        self._mqtt_pipeline = SimpleNamespace(
            send_output_message=self._send, feature_enabled=self.features, enable_feature=self.subscribe
        )
        self.told = []
        self.tries = 0
        self.refuses = {}

    def _send(self, message, callback):
        self.sent.append(message.message_id)
        callback()

    def subscribe(self, feature, callback=lambda: None):
        if len(self.subscribed) + 1 == self.fails_at:
            self.fails_at = 0
            raise ConnectionError("cut")
        self.subscribed.append(feature)
        self.features[feature] = True
        callback()

    def get_twin(self):
        if self.refuses_twin:
            self.refuses_twin -= 1
            raise ServiceError("twin operation returned status 429")
        return {"desired": {"$version": 3}}

    def patch_twin_reported_properties(self, properties):
        self.tries += 1
        if properties == self.refuses:
            raise ServiceError("twin operation returned status 400")
        self.told.append(properties)

    def send_method_response(self, response):
        self.told.append((response.status, response.payload))

    def shutdown(self):
        pass


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(edge_link, "_DISK_SECONDS", 0.01)
    monkeypatch.setattr(edge_link, "_FIRST_WAIT_SECONDS", 0.01)
    made = Store(tmp_path / "messages.db", max_bytes=10**6, max_age_seconds=10**6)
    yield made
    made.close()


@pytest.fixture
def link(store):
    """A link that is connected."""
    made = Link(store, on_input=lambda: None, on_twin=lambda *_: None, on_method=lambda *_: None)
    made._client, made.is_connected = Client(), True
    yield made
    made._stops.set()
    made.stop(0)


def result(name):
    return Message(name, "scores", {"$.mid": name}, b"1", Rank.TELEMETRY)


def disk_takes(store, something):
    store._db.execute(f"PRAGMA query_only = {'OFF' if something else 'ON'}")


def test_what_the_hub_has_is_not_sent_again_while_the_disk_takes_nothing(store, link, monkeypatch):
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
    assert link._client.sent == ["first", "second"]
    assert link.error == ""


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


def test_a_report_that_the_hub_refuses_does_not_keep_back_what_comes_behind_it(link):
    client = link._client
    client.refuses = {"error": "too long"}
    link._on_method = lambda _name, _payload, answer: answer(200, "pong")
    link.start()
    link.report(client.refuses)
    link._answer_method(SimpleNamespace(request_id="1", name="ping", payload=None))
    link.report({"state": "ready"})
    until(lambda: len(client.told) == 2, "what is behind it is told")
    assert client.told == [(200, "pong"), {"state": "ready"}]
    assert link.owes_report


def test_a_report_that_the_hub_does_not_take_at_once_is_told_in_its_turn(link):
    client = link._client
    client.refuses = {"state": "loading"}
    link.start()
    link.report({"state": "loading"})
    until(lambda: client.tries, "it was tried")
    client.refuses = {}
    link.report({"state": "ready"})
    until(lambda: len(client.told) == 2, "both are told")
    assert client.told == [{"state": "loading"}, {"state": "ready"}]
    assert not link.owes_report


def test_the_twin_is_asked_for_until_the_hub_gives_it(link):
    given = []
    link._on_twin = lambda desired, whole: given.append((desired, whole))
    link._client.refuses_twin = 7
    link.start()
    link._put_synchronize()
    link.report({"state": "ready"})
    until(lambda: given, "the twin is there")
    assert given == [({"$version": 3}, True)]
    assert link._client.told == [{"state": "ready"}]


def test_a_subscription_that_failed_is_made_with_the_next_connection(link):
    client = link._client
    given = []
    link._on_twin = lambda desired, _whole: given.append(desired)
    client.fails_at = 2
    with pytest.raises(ConnectionError):
        link._synchronize()
    assert not given
    link._synchronize()
    assert sorted(client.subscribed) == ["inputs", "inputs", "methods", "patches"]
    assert given == [{"$version": 3}]
