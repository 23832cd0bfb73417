"""The edge module's link to the hub, with a client of the test's in place of azure-iot-device's."""

from types import SimpleNamespace

import pytest

from scoring.edge import link as edge_link
from scoring.edge.link import Link
from scoring.edge.store import Message, Rank, Store
from tests.unit.scoring_harness import in_background, until


class Client:
    """Takes what is sent, and acknowledges it at once."""

    def __init__(self):
        self.sent = []
        self._mqtt_pipeline = SimpleNamespace(send_output_message=self._send)

    def _send(self, message, callback):
        self.sent.append(message.message_id)
        callback()

    def shutdown(self):
        pass


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(edge_link, "_DISK_SECONDS", 0.01)
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
