"""The link to the device's hub: azure-iot-device's module client, with a store before and behind it.

The client itself keeps messages in memory only, and acknowledges a message as soon as it is there. So inputs are stored
before they are acknowledged, and results stay stored until the hub has acknowledged them: at least once, in order.
All that knows the client is in this file.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from azure.iot.device import IoTHubModuleClient, MethodResponse
from azure.iot.device import Message as HubMessage
from azure.iot.device.iothub.pipeline import constant as feature

from scoring.edge.messages import CORRELATION_ID, MESSAGE_ID, from_topic
from scoring.edge.store import OUTPUTS, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scoring.edge.store import Message, Store

# How many messages may be on their way: alerts that come now go behind these.
_WINDOW = 32
# A hub that is there acknowledges sooner; what it does not is sent once more.
_ACKNOWLEDGE_SECONDS = 30.0
_KEEP_ALIVE_SECONDS = 20
# All that a module listens to, and answers to what it asks of its twin.
_FEATURES = (feature.INPUT_MSG, feature.METHODS, feature.TWIN, feature.TWIN_PATCHES)
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.25, 10.0
_IDLE_SECONDS = 1.0
# Of an errand, each after twice the wait: 8 seconds, where callers of methods wait for 30.
_TRIES = 5
# From one try to the next, while the disk takes nothing.
_DISK_SECONDS = 1.0
_log = logging.getLogger("slipway")


class Link:
    """Keeps up the connection, and two threads: one connects and sends, one does all that waits for answers.

    Attributes:
        is_connected: Whether the hub is there.
        error: Why it is not; empty where nothing is known to be wrong.
        sent: How many results the hub has acknowledged.
        owes_report: Whether the hub did not take a report; whoever reports says it all again, and takes this back.
    """

    def __init__(
        self,
        store: Store,
        *,
        on_input: Callable[[], None],
        on_twin: Callable[[dict[str, Any], bool], None],
        on_method: Callable[[str, Any, Callable[[int, Any], None]], None],
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            store: Where messages wait.
            on_input: Called when the store has a further input.
            on_twin: Called with desired properties, and whether they are all of them.
            on_method: Called with a direct method's name and payload, and what to call with status and answer.
        """
        self._store = store
        self._on_input = on_input
        self._on_twin = on_twin
        self._on_method = on_method
        self._client: Any = None
        self._wakes = threading.Event()
        self._stops = threading.Event()
        self._errands: queue.Queue[_Errand | None] = queue.Queue()
        self._threads = [
            threading.Thread(target=target, name=f"edge-{name}", daemon=True)
            for name, target in (("sender", self._send_all), ("errands", self._run_errands))
        ]
        self.is_connected = False
        self.error = ""
        self.sent = 0
        self.owes_report = False
        # Of what the hub has acknowledged, the numbers that the store still has.
        self._acknowledged: list[int] = []
        # What was asked over one connection is not answered over another.
        self._connections = 0

    def start(self) -> None:
        """Connect, and go on trying."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Tell that there are results to be sent."""
        self._wakes.set()

    def report(self, properties: dict[str, Any]) -> None:
        """Report properties, when the hub is there."""

        def owe() -> None:
            self.owes_report = True

        self._errands.put(
            _Errand(lambda: self._ask(partial(_pipeline(self._client).patch_twin_reported_properties, properties)), owe)
        )

    def stop(self, seconds: float) -> None:
        """Send and tell what waits while the hub takes it, for so long; then leave the hub. Blocks.

        Args:
            seconds: How long it may take.
        """
        until = time.monotonic() + seconds
        while self.is_connected and time.monotonic() < until and self._has_work():
            time.sleep(0.02)
        self._stops.set()
        self._wakes.set()
        self._errands.put(None)
        client = self._client
        if client is not None:
            # It waits for answers that may never come.
            leaving = threading.Thread(target=_leave, args=(client,), daemon=True)
            leaving.start()
            leaving.join(max(0.5, until - time.monotonic()))

    def _has_work(self) -> bool:
        try:
            return bool(self._errands.unfinished_tasks or self._store.take(OUTPUTS, 1))
        except StoreError:
            return False

    # On the sender's thread

    def _send_all(self) -> None:
        wait = _FIRST_WAIT_SECONDS
        while not self._stops.is_set():
            if not self.is_connected:
                if self._connect():
                    wait = _FIRST_WAIT_SECONDS
                else:
                    self._stops.wait(wait)
                    wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
                continue
            self._wakes.clear()
            try:
                # First, so that a disk that takes nothing has none of them sent again and again.
                self._settle()
                waiting = self._store.take(OUTPUTS, _WINDOW)
                if waiting:
                    self._send(waiting)
                else:
                    self._wakes.wait(_IDLE_SECONDS)
            except StoreError as error:
                if not self._stops.is_set():
                    self._wait_for_disk(error, "results wait")
            except Exception:  # noqa: BLE001 - what it may be is retried, and seen
                if not self._stops.is_set():
                    _log.exception("sending to the hub failed")
                    self._stops.wait(_IDLE_SECONDS)

    def _connect(self) -> bool:
        try:
            if self._client is None:
                self._client = self._create()
            self._client.connect()
            _send_at_once(self._client)
        except Exception as error:  # noqa: BLE001 - the client raises what it likes; all of it may pass
            cause = error.__cause__ or error
            text = f"{error} ({type(cause).__name__}: {cause})" if str(cause) else f"{error} ({type(cause).__name__})"
            if text != self.error:
                _log.warning("the hub is not there: %s", text)
            self.error = text
            return False
        self.error = ""
        self._connections += 1
        self.is_connected = True
        _log.info("connected to the hub")
        self._put_synchronize()
        return True

    def _create(self) -> Any:
        # A lost connection ends what is on its way at once, instead of keeping this thread waiting: it connects again.
        client = IoTHubModuleClient.create_from_edge_environment(
            connection_retry=False, auto_connect=False, keep_alive=_KEEP_ALIVE_SECONDS
        )
        client.on_connection_state_change = lambda: self._connection_changed(client)  # type: ignore[assignment]  # it is called without arguments
        client.on_background_exception = lambda error: _log.debug("the hub's client: %s", error)
        transport = _transport(client)
        passed_on = transport.on_mqtt_message_received_handler

        def received(topic: str, payload: bytes) -> None:
            """Called before the message is acknowledged."""
            if "/inputs/" in topic and topic.startswith("devices/"):
                self._keep(topic, payload)
            else:
                passed_on(topic, payload)

        transport.on_mqtt_message_received_handler = received
        return client

    def _connection_changed(self, client: Any) -> None:
        if not client.connected and self.is_connected:
            self.is_connected = False
            self.error = "the connection was lost"
            if not self._stops.is_set():
                _log.warning("the connection to the hub was lost")
            self._wakes.set()

    def _keep(self, topic: str, payload: bytes) -> None:
        """Store an input; on the MQTT library's thread, which acknowledges it when this returns, and not before.

        So it does not return while the disk takes nothing. If that lasts, the hub gives up the connection, and sends
        what was not acknowledged with the next one.
        """
        message = from_topic(topic, payload)
        while True:
            try:
                self._store.put([message])
            except StoreError as error:
                self._wait_for_disk(error, "inputs wait with the hub")
            else:
                break
        self.error = ""
        self._on_input()

    def _wait_for_disk(self, error: StoreError, what_waits: str) -> None:
        if str(error) != self.error:
            _log.error("%s: %s", what_waits, error)
        self.error = str(error)
        time.sleep(_DISK_SECONDS)

    def _send(self, waiting: Sequence[Message]) -> None:
        """Send messages one behind the other, and forget those that the hub has acknowledged."""
        done = _Done(len(waiting))
        for one in waiting:
            _pipeline(self._client).send_output_message(_to_hub(one), callback=done.callback(one.number))
        done.wait(_ACKNOWLEDGE_SECONDS, self._stops.is_set)
        acknowledged = done.acknowledged()
        self.sent += len(acknowledged)
        self._acknowledged += acknowledged
        self._settle()
        if done.error is not None and self.is_connected:
            # Else there would be nothing but sending: what is refused now may be taken later.
            _log.warning("the hub did not take a message: %r", done.error)
            self._stops.wait(_FIRST_WAIT_SECONDS)

    def _settle(self) -> None:
        if self._acknowledged:
            self._store.settle(self._acknowledged)
            self._acknowledged = []
            self.error = ""

    # On the errands' thread

    def _run_errands(self) -> None:
        while (errand := self._errands.get()) is not None:
            self._run(errand)
            self._errands.task_done()

    def _run(self, errand: _Errand) -> None:
        """Try a few times: what the hub refuses must not keep back what comes behind it."""
        wait = _FIRST_WAIT_SECONDS
        for _ in range(_TRIES):
            if self._stops.is_set():
                return
            try:
                errand.run()
            except Exception as error:  # noqa: BLE001 - as in _connect
                failed = error
            else:
                return
            # The next connection fetches the twin and reports anew.
            if not self.is_connected or self._stops.wait(wait):
                return
            wait *= 2
        _log.warning("the hub did not take what it was told or asked, %d times: %r", _TRIES, failed)
        errand.given_up()

    def _put_synchronize(self) -> None:
        # Without the twin nothing is scored: it is asked for again, behind the others.
        self._errands.put(_Errand(self._synchronize, self._put_synchronize))

    def _synchronize(self) -> None:
        """Subscribe to all there is, and fetch the twin: the hub may have forgotten, and the twin may have changed."""
        client, pipeline = self._client, _pipeline(self._client)
        for name in _FEATURES:
            self._ask(partial(pipeline.enable_feature, name))
        # They find that all is subscribed to, and do not ask by themselves. `received` has the inputs.
        client.on_message_received = _nothing
        client.on_twin_desired_properties_patch_received = lambda patch: self._on_twin(patch, False)
        client.on_method_request_received = self._answer_method
        self._on_twin(self._ask(pipeline.get_twin)["desired"], True)

    def _ask(self, begin: Callable[..., None]) -> Any:
        """Ask something of the hub, or tell it something, and wait for the answer.

        The client's own methods wait for ever where the connection breaks between the question and the answer.

        Args:
            begin: One of the pipeline's methods; it is given what to call with the answer.

        Returns:
            The twin, where it was asked for.

        Raises:
            ConnectionError: The connection was lost meanwhile.
            TimeoutError: The hub did not answer.
            Exception: What the client makes of a refusal.
        """
        done, connection = _Done(1), self._connections
        begin(callback=done.callback(0))
        done.wait(_ACKNOWLEDGE_SECONDS, lambda: self._stops.is_set() or not self._holds(connection))
        if done.error is not None:
            raise done.error
        if done.acknowledged():
            return done.twin
        if not self._holds(connection):
            raise ConnectionError("the connection was lost before the hub answered")
        raise TimeoutError(f"no answer within {_ACKNOWLEDGE_SECONDS:g} s")

    def _holds(self, connection: int) -> bool:
        return self.is_connected and self._connections == connection

    def _answer_method(self, request: Any) -> None:
        def answer(status: int, payload: Any) -> None:
            response = MethodResponse.create_from_method_request(request, status, payload)
            self._errands.put(
                _Errand(lambda: self._ask(partial(_pipeline(self._client).send_method_response, response)))
            )

        self._on_method(request.name, request.payload, answer)


def _nothing(_message: Any) -> None:
    """Inputs never come here."""


@dataclass(frozen=True)
class _Errand:
    """Something to be told to the hub or asked of it.

    Attributes:
        run: Does it, and waits for the answer.
        given_up: Called where the hub did not take it, again and again.
    """

    run: Callable[[], None]
    given_up: Callable[[], None] = lambda: None


class _Done:
    """Counts what was acknowledged, of so many."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._acknowledged: list[int] = []
        self._lock = threading.Lock()
        self._all = threading.Event()
        self.error: BaseException | None = None
        self.twin: Any = None
        if not count:
            self._all.set()

    def callback(self, number: int) -> Callable[..., None]:
        def done(error: BaseException | None = None, twin: Any = None) -> None:
            with self._lock:
                self._left -= 1
                if error is None:
                    self._acknowledged.append(number)
                    self.twin = twin
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


def _to_hub(message: Message) -> Any:
    made = HubMessage(message.body, message_id=message.properties.get(MESSAGE_ID))  # type: ignore[no-untyped-call]  # it has no types
    made.correlation_id = message.properties.get(CORRELATION_ID)
    made.content_type = message.properties.get("$.ct") or None
    made.content_encoding = message.properties.get("$.ce") or None
    made.output_name = message.endpoint
    made.custom_properties = {name: value for name, value in message.properties.items() if not name.startswith("$.")}
    return made


def _pipeline(client: Any) -> Any:
    """Return what takes messages without waiting for each: the client's own methods wait."""
    return client._mqtt_pipeline  # noqa: SLF001 - its version is locked, and a test sends through it


def _transport(client: Any) -> Any:
    """Return what hands on messages before they are acknowledged: the last stage has it."""
    stage = _pipeline(client)._pipeline  # noqa: SLF001 - as above
    while stage.next is not None:
        stage = stage.next
    return stage.transport


def _send_at_once(client: Any) -> None:
    """Have a result not wait until the hub's system has confirmed the acknowledgement before it: 40 ms on Linux."""
    connection = _transport(client)._mqtt_client.socket()  # noqa: SLF001 - as above
    if connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _leave(client: Any) -> None:
    with contextlib.suppress(Exception):
        client.shutdown()
