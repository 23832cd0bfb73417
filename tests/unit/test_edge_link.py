"""The edge module's link to the hub, with a client of the test's in place of azure-iot-device's."""

from types import SimpleNamespace

import pytest
from azure.iot.device.exceptions import ServiceError
from azure.iot.device.iothub.pipeline import constant as feature

from scoring.edge import link as edge_link
from scoring.edge.link import Link
from scoring.edge.store import Message, Rank, Store
from tests.unit.scoring_harness import in_background, until


def _handler(name):
    """As azure-iot-device's: what is set stays set, and what is not subscribed to is asked for, without end."""

    def subscribe(client, handler):
        assert client.features[name], f"the client waits for {name} by itself"
        client.handlers[name] = handler

    return property(lambda client: client.handlers.get(name), subscribe)


class Client:
    """Takes what is sent, and acknowledges it at once."""

    on_message_received = _handler(feature.INPUT_MSG)
    on_twin_desired_properties_patch_received = _handler(feature.TWIN_PATCHES)
    on_method_request_received = _handler(feature.METHODS)

    def __init__(self):
        self.sent = []
        self.features = dict.fromkeys((feature.INPUT_MSG, feature.METHODS, feature.TWIN, feature.TWIN_PATCHES), False)
        self.handlers = {}
        self.subscribed = []
        self.fails_at = 0
        self.refuses_twin = 0
        # What the hub never answers.
        self.is_silent = False
        self.asked = 0
        self._mqtt_pipeline = SimpleNamespace(
            send_output_message=self._send,
            enable_feature=self.subscribe,
            get_twin=self.get_twin,
            patch_twin_reported_properties=self.patch_twin_reported_properties,
            send_method_response=self.send_method_response,
        )
        self.told = []
        self.tries = 0
        self.refuses = {}

    def _send(self, message, callback):
        self.sent.append(message.message_id)
        callback()

    def subscribe(self, name, callback):
        if len(self.subscribed) + 1 == self.fails_at:
            self.fails_at = 0
            callback(error=ConnectionError("cut"))
            return
        self.subscribed.append(name)
        self.features[name] = True
        callback(error=None)

    def get_twin(self, callback):
        self.asked += 1
        if self.is_silent:
            return
        if self.refuses_twin:
            self.refuses_twin -= 1
            callback(error=ServiceError("twin operation returned status 429"), twin=None)
        else:
            callback(twin={"desired": {"$version": 3}})

    def patch_twin_reported_properties(self, properties, callback):
        self.tries += 1
        if properties == self.refuses:
            callback(error=ServiceError("twin operation returned status 400"))
        else:
            self.told.append(properties)
            callback(error=None)

    def send_method_response(self, response, callback):
        self.told.append((response.status, response.payload))
        callback(error=None)

    def connect(self):
        pass

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
    assert client.subscribed[1:] == list(client.features)
    assert given == [{"$version": 3}]


def test_a_question_that_a_lost_connection_leaves_without_an_answer_is_asked_over_the_next(link, monkeypatch):
    monkeypatch.setattr(edge_link, "_send_at_once", lambda _client: None)
    given = []
    link._on_twin = lambda desired, _whole: given.append(desired)
    client = link._client
    client.is_silent = True
    link.start()
    link._put_synchronize()
    until(lambda: client.asked, "the twin is asked for")
    client.is_silent = False
    # As fast as a broker that is there again at once: nobody has seen that it was away.
    link._connection_changed(SimpleNamespace(connected=False))
    until(lambda: given, "the twin is there")
    link.report({"state": "ready"})
    until(lambda: client.told, "what is behind it is told")


def test_a_question_that_the_hub_never_answers_is_asked_again(link, monkeypatch):
    monkeypatch.setattr(edge_link, "_ACKNOWLEDGE_SECONDS", 0.01)
    given = []
    link._on_twin = lambda desired, _whole: given.append(desired)
    client = link._client
    client.is_silent = True
    link.start()
    link._put_synchronize()
    until(lambda: client.asked > 2, "it is asked again")
    client.is_silent = False
    until(lambda: given, "the twin is there")
