"""A connection to the device's hub: azure-iot-device's module client, from its making to its end.

Each connection has a client of its own. One that connects again first sends what earlier connections left without an
acknowledgement, however often that happened, ahead of what the link sends; it takes an acknowledgement of those for
one of other messages, once their numbers come round; and its token may be of a time before the device's clock was set.
All that knows the client is in this file; its version is locked.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from azure.iot.device import IoTHubModuleClient, MethodResponse
from azure.iot.device import Message as HubMessage
from azure.iot.device.iothub.pipeline import constant as feature
from paho.mqtt.client import MQTT_ERR_CONN_LOST

from scoring.edge.messages import CORRELATION_ID, MESSAGE_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scoring.edge.store import Message

    Twin = Callable[[dict[str, Any], bool], None]
    Method = Callable[[Any], None]

# A hub that is there answers sooner.
_ANSWER_SECONDS = 30.0
# After what the client gives it, of which the longest is for a hub that takes the connection and says nothing.
_OPEN_SECONDS = 120.0
_KEEP_ALIVE_SECONDS = 20
_TOKEN_SECONDS = 3600
# Before the client renews the token by itself, which it would do with messages on their way, out of order.
_LIFE_SECONDS = 0.75 * _TOKEN_SECONDS
# All that a module listens to, and answers to what it asks of its twin.
_FEATURES = (feature.INPUT_MSG, feature.METHODS, feature.TWIN, feature.TWIN_PATCHES)
_log = logging.getLogger("slipway")


class Connection:
    """One connection, opened once and not again.

    Twins are handed on in the order in which the hub sent them, on the client's thread for that.
    """

    def __init__(
        self, *, on_input: Callable[[str, bytes], None], on_twin: Twin, on_method: Method, on_lost: Callable[[], None]
    ) -> None:
        """Make a client; nothing is sent to the hub yet.

        Args:
            on_input: Called with an input's topic and body, which is acknowledged when it returns, and not before.
            on_twin: Called with desired properties, and whether they are all of them.
            on_method: Called with the request of a direct method.
            on_lost: Called when it is lost, after it was opened.

        Raises:
            Exception: The environment is not that of a module, or the edge runtime does not answer.
        """
        self._on_twin = on_twin
        self._on_lost = on_lost
        self._was_opened = False
        self._over = threading.Event()
        self._old_at = time.monotonic() + _LIFE_SECONDS
        # What takes messages without waiting for each: the client's own methods wait, some of them for ever.
        pipeline: Any = _create()._mqtt_pipeline  # noqa: SLF001 - its version is locked, and a test sends through it
        self._pipeline = pipeline
        pipeline.on_connected = None
        pipeline.on_disconnected = self._lose
        pipeline.on_background_exception = lambda error: _log.debug("the hub's client: %s", error)
        pipeline.on_twin_patch_received = lambda patch: on_twin(patch, False)
        pipeline.on_method_request_received = on_method
        transport = self._transport = _transport(pipeline)
        passed_on = transport.on_mqtt_message_received_handler

        def received(topic: str, payload: bytes) -> None:
            """Called before the message is acknowledged."""
            if "/inputs/" in topic and topic.startswith("devices/"):
                on_input(topic, payload)
            else:
                passed_on(topic, payload)

        transport.on_mqtt_message_received_handler = received
        _tell_of_every_end(transport._mqtt_client)  # noqa: SLF001 - as above

    @property
    def is_over(self) -> bool:
        """Whether it was lost, or given up."""
        return self._over.is_set()

    @property
    def is_old(self) -> bool:
        """Whether its token ends soon: it is to be given up, when nothing is on its way."""
        return time.monotonic() >= self._old_at

    def open(self) -> None:
        """Connect.

        Raises:
            Exception: The hub is not there, or refuses.
        """
        opened = _Done(1)
        self._pipeline.connect(callback=opened.callback(0))
        opened.wait(_OPEN_SECONDS, lambda: False)
        if opened.error is not None:
            raise opened.error
        if not opened.acknowledged():
            raise TimeoutError(f"no answer within {_OPEN_SECONDS:g} s")
        self._was_opened = True
        # Have a result not wait until the hub's system has confirmed the acknowledgement before it: 40 ms on Linux.
        connection = self._transport._mqtt_client.socket()  # noqa: SLF001 - as above
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, messages: Sequence[Message]) -> tuple[list[int], BaseException | None]:
        """Send messages one behind the other, and wait until the hub has acknowledged them or the connection is over.

        Returns:
            The numbers of those that it has acknowledged, and what was wrong with another.
        """
        done = _Done(len(messages))
        for one in messages:
            self._pipeline.send_output_message(_to_hub(one), callback=done.callback(one.number))
        done.wait(_ANSWER_SECONDS, self._over.is_set)
        return done.acknowledged(), done.error

    def synchronize(self) -> None:
        """Subscribe to all there is, and have the whole twin handed on: the hub may have forgotten, the twin changed.

        Raises:
            Exception: As in `report`.
        """
        for name in _FEATURES:
            self._ask(partial(self._pipeline.enable_feature, name))
        self._ask(self._fetch_twin)

    def _fetch_twin(self, callback: Callable[..., None]) -> None:
        def told(error: BaseException | None = None, twin: Any = None) -> None:
            # Here, so that a change that the hub sends behind its answer comes behind it.
            if error is None:
                self._on_twin(twin["desired"], True)
            callback(error=error)

        self._pipeline.get_twin(callback=told)

    def report(self, properties: dict[str, Any]) -> None:
        """Report properties of the twin, and wait until the hub has them.

        Raises:
            ConnectionError: The connection was lost meanwhile.
            TimeoutError: The hub did not answer.
            Exception: What the client makes of a refusal.
        """
        self._ask(partial(self._pipeline.patch_twin_reported_properties, properties))

    def answer(self, request: Any, status: int, payload: Any) -> None:
        """Answer a direct method.

        Raises:
            Exception: As in `report`.
        """
        response = MethodResponse.create_from_method_request(request, status, payload)
        self._ask(partial(self._pipeline.send_method_response, response))

    def close(self) -> None:
        """Leave the hub, and let go of the client. Waits for the client, which may be waiting for the network."""
        self._over.set()
        done = _Done(2)
        with contextlib.suppress(Exception):
            self._pipeline.disconnect(callback=done.callback(0))
            self._pipeline.shutdown(callback=done.callback(1))
            done.wait(_ANSWER_SECONDS, lambda: False)

    def _lose(self) -> None:
        if self._over.is_set():
            return
        self._over.set()
        if self._was_opened:
            self._on_lost()

    def _ask(self, begin: Callable[..., None]) -> None:
        """Ask something of the hub, or tell it something, and wait for the answer.

        Args:
            begin: One of the pipeline's methods; it is given what to call with the answer.
        """
        done = _Done(1)
        begin(callback=done.callback(0))
        done.wait(_ANSWER_SECONDS, self._over.is_set)
        if done.error is not None:
            raise done.error
        if done.acknowledged():
            return
        if self._over.is_set():
            raise ConnectionError("the connection was lost before the hub answered")
        raise TimeoutError(f"no answer within {_ANSWER_SECONDS:g} s")


class _Done:
    """Counts what was acknowledged, of so many."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._acknowledged: list[int] = []
        self._lock = threading.Lock()
        self._all = threading.Event()
        self.error: BaseException | None = None

    def callback(self, number: int) -> Callable[..., None]:
        def done(error: BaseException | None = None) -> None:
            with self._lock:
                self._left -= 1
                if error is None:
                    self._acknowledged.append(number)
                else:
                    self.error = error
                if self._left == 0:
                    self._all.set()

        return done

    def acknowledged(self) -> list[int]:
        with self._lock:
            return list(self._acknowledged)

    def wait(self, seconds: float, is_over: Callable[[], bool]) -> None:
        until = time.monotonic() + seconds
        while not self._all.wait(0.2) and time.monotonic() < until and not is_over():
            pass


def _create() -> Any:
    """Make a client, which asks the edge runtime whom to trust and for a token, and would wait for it for ever."""
    made: list[Any] = []

    def create() -> None:
        try:
            client = IoTHubModuleClient.create_from_edge_environment(
                connection_retry=False,
                auto_connect=False,
                ensure_desired_properties=False,
                keep_alive=_KEEP_ALIVE_SECONDS,
                sastoken_ttl=_TOKEN_SECONDS,
            )
        except Exception as error:  # noqa: BLE001 - raised below
            made.append(error)
        else:
            made.append(client)

    maker = threading.Thread(target=create, name="edge-client", daemon=True)
    maker.start()
    maker.join(_ANSWER_SECONDS)
    if not made:
        raise TimeoutError(f"the edge runtime does not answer within {_ANSWER_SECONDS:g} s")
    if isinstance(made[0], Exception):
        raise made[0]
    return made[0]


def _to_hub(message: Message) -> Any:
    made = HubMessage(message.body, message_id=message.properties.get(MESSAGE_ID))  # type: ignore[no-untyped-call]  # it has no types
    made.correlation_id = message.properties.get(CORRELATION_ID)
    made.content_type = message.properties.get("$.ct") or None
    made.content_encoding = message.properties.get("$.ce") or None
    made.output_name = message.endpoint
    made.custom_properties = {name: value for name, value in message.properties.items() if not name.startswith("$.")}
    return made


def _transport(pipeline: Any) -> Any:
    """Return what hands on messages before they are acknowledged: the last stage has it."""
    stage = pipeline._pipeline  # noqa: SLF001 - as in Connection
    while stage.next is not None:
        stage = stage.next
    return stage.transport


def _tell_of_every_end(mqtt: Any) -> None:
    """Have the connection be over when the thread that has the network ends.

    Without this, errors that are no ConnectionError end it without a word, as those of TLS where the hub goes while
    something is written: the client would count as connected, and be deaf, for ever.
    """
    work = mqtt._thread_main  # noqa: SLF001 - as in Connection

    def run() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it is, there is nobody left to read what the hub says
            _log.debug("the hub's client: %r", error)
        else:
            if not mqtt.is_connected():
                return
        mqtt._loop_rc_handle(MQTT_ERR_CONN_LOST)  # noqa: SLF001 - as above: what it does itself after a ConnectionError

    mqtt._thread_main = run  # noqa: SLF001 - as above
    # Else its thread would try again by itself, in two hours.
    mqtt._reconnect_on_failure = False  # noqa: SLF001 - as above
