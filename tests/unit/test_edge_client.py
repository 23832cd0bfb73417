"""The edge module's connection to the hub: azure-iot-device's own client, without a network."""

import ssl
import threading
from types import SimpleNamespace

import certifi
import pytest
from azure.iot.device.common.transport_exceptions import ConnectionFailedError
from azure.iot.device.exceptions import ServiceError
from azure.iot.device.iothub.pipeline import constant as feature
from paho.mqtt.client import mqtt_cs_connected

from scoring.edge import client as edge_client
from scoring.edge.client import Connection
from scoring.edge.store import Message, Rank
from tests.unit.scoring_harness import in_background, until

# The client's own choice.
pytestmark = pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLSv1_2:DeprecationWarning")


class Told:
    """What a connection told."""

    def __init__(self):
        self.inputs, self.twins, self.methods, self.lost = [], [], [], 0

    def note_loss(self):
        self.lost += 1


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def connect(told, monkeypatch):
    """Makes connections, as if each had been opened."""
    monkeypatch.setenv(
        "EdgeHubConnectionString",
        "HostName=h.example;GatewayHostName=127.0.0.1;DeviceId=d;ModuleId=m;SharedAccessKey=a2V5",
    )
    monkeypatch.setenv("EdgeModuleCACertificateFile", certifi.where())
    made = []

    def connect():
        connection = Connection(
            on_input=lambda topic, body: told.inputs.append((topic, body)),
            on_twin=lambda desired, whole: told.twins.append((desired, whole)),
            on_method=told.methods.append,
            on_lost=told.note_loss,
        )
        connection._was_opened = True
        made.append(connection)
        return connection

    yield connect
    for connection in made:
        connection.close()


@pytest.fixture
def connection(connect):
    return connect()


def result(number):
    return Message(f"m{number}", "scores", {"$.mid": f"m{number}", "n": "1"}, b"1", Rank.TELEMETRY, number)


@pytest.mark.parametrize("end", [ssl.SSLEOFError("EOF occurred"), TimeoutError("timed out"), None])
def test_whatever_ends_the_thread_that_has_the_network_the_connection_is_lost(connection, told, end):
    mqtt = connection._transport._mqtt_client

    def loop_forever(**_):
        # As after the hub's acknowledgement of the connection; without an error it would try again in two hours.
        mqtt._state = mqtt_cs_connected
        if end is not None:
            raise end

    assert not mqtt._reconnect_on_failure
    mqtt.loop_forever = loop_forever
    mqtt.loop_start()
    until(lambda: told.lost, "the loss is told")
    assert connection.is_over


def test_what_is_on_its_way_when_the_connection_is_lost_ends_the_waiting(connection, monkeypatch):
    sent = []

    def send(message, callback):
        sent.append((message.message_id, message.output_name, message.custom_properties))
        if len(sent) == 1:
            callback()

    monkeypatch.setattr(connection._pipeline, "send_output_message", send)
    with in_background(lambda: connection.send([result(1), result(2)])) as returned:
        until(lambda: len(sent) == 2, "both are sent")
        connection._lose()
        until(lambda: returned, "it returned")
    assert returned == [([1], None)]
    assert sent[0] == ("m1", "scores", {"n": "1"})


def test_a_change_of_the_twin_behind_the_whole_of_it_is_handed_on_behind_it(connection, told, monkeypatch):
    pipeline = connection._pipeline
    subscribed = []

    def enable(name, callback):
        subscribed.append(name)
        callback(error=None)

    def get_twin(callback):
        callback(twin={"desired": {"threshold": 1, "$version": 5}})
        # In the same packet of the network: whoever waits for the answer has not been woken yet.
        pipeline.on_twin_patch_received({"threshold": 2, "$version": 6})

    monkeypatch.setattr(pipeline, "enable_feature", enable)
    monkeypatch.setattr(pipeline, "get_twin", get_twin)
    connection.synchronize()
    assert told.twins == [({"threshold": 1, "$version": 5}, True), ({"threshold": 2, "$version": 6}, False)]
    assert subscribed == [feature.INPUT_MSG, feature.METHODS, feature.TWIN, feature.TWIN_PATCHES]


def test_a_question_that_is_refused_or_lost_or_never_answered_is_told(connection, monkeypatch):
    def refuse(_properties, callback):
        callback(error=ServiceError("twin operation returned status 400"))

    monkeypatch.setattr(connection._pipeline, "patch_twin_reported_properties", refuse)
    with pytest.raises(ServiceError):
        connection.report({})
    asked = threading.Event()
    monkeypatch.setattr(connection._pipeline, "patch_twin_reported_properties", lambda *_, **__: asked.set())
    monkeypatch.setattr(edge_client, "_ANSWER_SECONDS", 0.01)
    with pytest.raises(TimeoutError):
        connection.report({})
    connection._lose()
    with pytest.raises(ConnectionError):
        connection.report({})
    assert asked.is_set()


def test_inputs_are_handed_on_before_they_are_acknowledged_and_nothing_else_is(connection, told):
    received = connection._transport.on_mqtt_message_received_handler
    received("devices/d/modules/m/inputs/in/%24.mid=one", b"1")
    assert told.inputs == [("devices/d/modules/m/inputs/in/%24.mid=one", b"1")]
    received("$iothub/methods/POST/ping/?$rid=1", b"null")
    until(lambda: told.methods, "the method is handed on")
    assert (told.methods[0].name, len(told.inputs)) == ("ping", 1)


def test_a_connection_that_never_was_one_is_not_told_as_lost(connect, told):
    connection = connect()
    connection._was_opened = False
    connection._lose()
    assert (connection.is_over, told.lost) == (True, 0)


def test_a_hub_that_is_not_there_is_told_with_the_reason_and_leaves_nothing_running(connect):
    before = set(threading.enumerate())
    for _ in range(5):
        connection = connect()
        connection._transport._mqtt_client.connect = _refused
        with pytest.raises(ConnectionFailedError) as raised:
            connection.open()
        assert isinstance(raised.value.__cause__, ConnectionRefusedError)
        connection.close()
    until(lambda: len(set(threading.enumerate()) - before) <= 2, "only the client's two common threads are left")


def _refused(**_):
    raise ConnectionRefusedError(111, "Connection refused")


def test_a_connection_is_given_up_before_the_client_renews_its_token(connection, monkeypatch):
    assert not connection.is_old
    configuration = connection._pipeline.pipeline_configuration
    renewed_after = configuration.sastoken.ttl - 120
    now = edge_client.time.monotonic()
    monkeypatch.setattr(edge_client, "time", SimpleNamespace(monotonic=lambda: now + renewed_after - 60))
    assert connection.is_old


def test_an_edge_runtime_that_never_answers_is_not_waited_for_for_ever(monkeypatch, connect):
    answers = threading.Event()
    monkeypatch.setattr(edge_client, "_ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(
        edge_client, "IoTHubModuleClient", SimpleNamespace(create_from_edge_environment=lambda **_: answers.wait())
    )
    with pytest.raises(TimeoutError, match="the edge runtime does not answer"):
        connect()
    answers.set()


def test_what_the_edge_runtime_refuses_is_told(monkeypatch, connect):
    monkeypatch.delenv("EdgeHubConnectionString")
    with pytest.raises(OSError, match="IoT Edge environment not configured correctly"):
        connect()
