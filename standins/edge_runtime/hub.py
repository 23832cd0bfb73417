"""The device's hub: takes what modules publish on IoT Hub's topics, and answers as edgeHub does.

It acknowledges a message to the broker after it has passed it on, so that one that is lost on the way comes again.
"""

from __future__ import annotations

import base64
import itertools
import json
import logging
import re
import socket
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import paho.mqtt.client as mqtt

from standins.edge_runtime.broker import HUB_USER
from standins.edge_runtime.errors import EdgeError
from standins.edge_runtime.routes import parse
from standins.edge_runtime.twins import Twins
from standins.edge_runtime.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from standins.edge_runtime.broker import Broker
    from standins.edge_runtime.routes import Route

_EVENT = re.compile(
    r"devices/(?P<device>[^/]+)/modules/(?P<module>[^/]+)/messages/events/(?P<properties>.*)", re.DOTALL
)
_TWIN_GET = re.compile(r"\$iothub/twin/GET/\?\$rid=(?P<rid>[^&]+)")
_TWIN_PATCH = re.compile(r"\$iothub/twin/PATCH/properties/reported/\?\$rid=(?P<rid>[^&]+)")
_METHOD = re.compile(r"\$iothub/methods/res/(?P<status>-?\d+)/\?\$rid=(?P<rid>[^&]+)")
_SUBSCRIBED = (
    "devices/+/modules/+/messages/events/#",
    "$iothub/twin/GET/#",
    "$iothub/twin/PATCH/properties/reported/#",
    "$iothub/methods/res/#",
)
# Of what a module says of its message, what the hub hands on.
_SYSTEM = ("$.mid", "$.cid", "$.uid", "$.ct", "$.ce")
_LARGEST = 256 * 1024
_TWO_HOURS = 7200
_SECONDS = 20.0
_log = logging.getLogger("edge-hub")


class Hub:
    """The hub of one device.

    Attributes:
        unrouted: How many messages no route took.
        refused: What was not as it has to be, in words.
    """

    def __init__(self, device: str, folder: Path, upstream: Callable[[list[dict[str, Any]]], None]) -> None:
        """Begin without modules.

        Args:
            device: The device's name.
            folder: Where twins and messages are kept.
            upstream: Sends messages to the cloud; raises OSError while it is away.
        """
        self.device = device
        self.unrouted = 0
        self.refused: list[str] = []
        self.twins = Twins(folder / "twins.json")
        self.upstream = Waiting(folder / "upstream.db", upstream)
        self._folder = folder
        self._ports: dict[str, _Port] = {}
        self._routes: list[Route] = []
        self._keep_seconds = _TWO_HOURS
        self._calls: dict[str, tuple[threading.Event, list[Any]]] = {}
        self._numbers = itertools.count(1)

    def attach(self, module: str, broker: Broker) -> None:
        """Take a module in, whose broker runs; what comes for it is kept from now on.

        Raises:
            EdgeError: The broker does not answer.
        """
        self._ports[module] = _Port(self, module, broker, self._folder)

    def detach(self, module: str) -> None:
        """Let a module go; what waits for it stays."""
        port = self._ports.pop(module, None)
        if port is not None:
            port.close()

    def stop(self) -> None:
        """Leave the brokers, and the cloud; what waits stays."""
        for module in tuple(self._ports):
            self.detach(module)
        self.upstream.close()

    def configure(self, properties: Mapping[str, Any]) -> None:
        """Take `$edgeHub`'s desired properties.

        Args:
            properties: schemaVersion, routes, storeAndForwardConfiguration.

        Raises:
            EdgeError: A route is not valid, or goes to a module that is not there; what held before goes on holding.
        """
        version = str(properties.get("schemaVersion", ""))
        if version not in {"1.0", "1.1"}:
            raise EdgeError(f"$edgeHub's schemaVersion is {version!r}; allowed are 1.0 and 1.1")
        routes = [parse(name, route) for name, route in (properties.get("routes") or {}).items() if route]
        for route in routes:
            for module in filter(None, (route.module, route.target and route.target[0])):
                if module not in self._ports:
                    raise EdgeError(f"route {route.name}: the device has no module {module}")
        self._routes = sorted(routes, key=lambda route: route.priority)
        kept = (properties.get("storeAndForwardConfiguration") or {}).get("timeToLiveSecs", _TWO_HOURS)
        self._keep_seconds = kept if kept >= 0 else 10 * 365 * 86_400

    def set_desired(self, module: str, desired: Mapping[str, Any]) -> None:
        """Set a module's desired properties, and tell it what has changed."""
        changed = self.twins.set_desired(module, desired)
        if changed is not None:
            topic = f"$iothub/twin/PATCH/properties/desired/?$version={changed['$version']}"
            self._publish(module, topic, json.dumps(changed).encode(), qos=1)

    def call(self, module: str, method: str, payload: Any, seconds: float = 30.0) -> tuple[int, Any]:
        """Call a module's direct method.

        Returns:
            Its status and answer.

        Raises:
            EdgeError: It did not answer in time, as when it is not connected.
        """
        rid = str(next(self._numbers))
        answered, answer = self._calls[rid] = (threading.Event(), [])
        # For one that is connected now: a method is not kept for later.
        self._publish(module, f"$iothub/methods/POST/{quote(method)}/?$rid={rid}", json.dumps(payload).encode(), qos=0)
        try:
            if not answered.wait(seconds):
                raise EdgeError(f"module {module} did not answer method {method} within {seconds:g} s")
        finally:
            del self._calls[rid]
        status, found = answer
        return status, found

    def _publish(self, module: str, topic: str, payload: bytes, *, qos: int) -> None:
        port = self._ports.get(module)
        if port is None:
            raise EdgeError(f"the device has no module {module}")
        port.client.publish(topic, payload, qos=qos)

    def take(self, module: str, topic: str, payload: bytes) -> None:
        """Take what a module published; on the MQTT library's thread."""
        if found := _EVENT.fullmatch(topic):
            if (found["device"], found["module"]) != (self.device, module):
                self._refuse(f"module {module} publishes as {found['device']}/{found['module']}")
            elif len(payload) > _LARGEST:
                self._refuse(f"module {module} publishes {len(payload)} bytes; allowed are {_LARGEST}")
            else:
                self._route(module, _properties(found["properties"]), payload)
        elif found := _TWIN_GET.fullmatch(topic):
            self._answer(module, 200, found["rid"], json.dumps(self.twins.get(module)).encode())
        elif found := _TWIN_PATCH.fullmatch(topic):
            try:
                version = self.twins.report(module, json.loads(payload))
            except ValueError as error:
                self._refuse(f"module {module} reports what is not allowed: {error}")
                self._answer(module, 400, found["rid"])
            else:
                self._answer(module, 204, f"{found['rid']}&$version={version}")
        elif found := _METHOD.fullmatch(topic):
            call = self._calls.get(found["rid"])
            if call is not None:
                call[1][:] = [int(found["status"]), json.loads(payload or b"null")]
                call[0].set()
        else:
            self._refuse(f"module {module} publishes on {topic}")

    def _answer(self, module: str, status: int, rid: str, body: bytes = b"") -> None:
        self._publish(module, f"$iothub/twin/res/{status}/?$rid={rid}", body, qos=0)

    def _refuse(self, what: str) -> None:
        _log.warning("refused: %s", what)
        self.refused.append(what)

    def _route(self, module: str, properties: dict[str, str], payload: bytes) -> None:
        output = properties.pop("$.on", "")
        system = {name: properties.pop(name) for name in _SYSTEM if name in properties}
        of_device = {name for name in properties if name.startswith("$.")}
        own = {name: value for name, value in properties.items() if name not in of_device}
        known = {**own, "$connectionModuleId": module, "$connectionDeviceId": self.device}
        taken: set[tuple[str, str] | None] = set()
        for route in self._routes:
            if not route.takes(module, output, known) or route.target in taken:
                continue
            taken.add(route.target)
            if route.target is None:
                seconds = self._keep_seconds if route.seconds is None else route.seconds
                message = {
                    "module": module,
                    "output": output,
                    "properties": own,
                    "system": system,
                    "body": base64.b64encode(payload).decode(),
                }
                self.upstream.put(message, route.priority, seconds)
            else:
                target, name = route.target
                everything = {**system, "$.cdid": self.device, "$.cmid": module, **own}
                pairs = "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in everything.items())
                topic = f"devices/{self.device}/modules/{target}/inputs/{quote(name, safe='')}/{pairs}"
                kept = {"topic": topic, "body": base64.b64encode(payload).decode()}
                port = self._ports.get(target)
                if port is None:
                    # It has just been taken from the device.
                    continue
                port.waiting.put(kept, route.priority, self._keep_seconds)
        if not taken:
            self.unrouted += 1


class _Port:
    """The hub's end of one module's broker.

    Attributes:
        client: Its connection.
        waiting: What waits for the module.
    """

    def __init__(self, hub: Hub, module: str, broker: Broker, folder: Path) -> None:
        self._connected = threading.Event()
        self._module = module
        self._hub = hub
        _introduce(f"{hub.device}/{module}", f"devices/{hub.device}/modules/{module}/inputs/#", broker)
        client = self.client = mqtt.Client(client_id="hub", clean_session=False, protocol=mqtt.MQTTv311)
        client.username_pw_set(HUB_USER, broker.password)
        client.reconnect_delay_set(1, 1)
        client.on_connect = self._on_connect
        client.on_disconnect = lambda *_: self._connected.clear()
        client.on_message = self._on_message
        client.connect_async("127.0.0.1", broker.port)
        client.loop_start()
        if not self._connected.wait(_SECONDS):
            raise EdgeError(f"the broker of module {module} does not let the hub in")
        self.waiting = Waiting(folder / f"to-{module}.db", self._send)

    def close(self) -> None:
        self.waiting.close()
        self.client.disconnect()
        self.client.loop_stop()

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, code: int) -> None:
        if code:
            _log.error("the broker of module %s refuses the hub: %s", self._module, mqtt.connack_string(code))
            return
        # Small messages do not wait for each other.
        connection = client.socket()
        if isinstance(connection, socket.socket):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.subscribe([(topic, 1) for topic in _SUBSCRIBED])
        self._connected.set()

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            self._hub.take(self._module, message.topic, bytes(message.payload))
        except Exception:  # noqa: BLE001 - a message must not end the thread
            _log.exception("message on %s", message.topic)

    def _send(self, messages: list[dict[str, Any]]) -> None:
        """Give messages to the broker, which acknowledges each."""
        if not self._connected.is_set():
            raise ConnectionError("the broker is away")
        sent = [self.client.publish(one["topic"], base64.b64decode(one["body"]), qos=1) for one in messages]
        if any(one.rc for one in sent):
            raise ConnectionError("the broker has gone")
        until = time.monotonic() + _SECONDS
        while not all(one.is_published() for one in sent):
            if time.monotonic() > until or not self._connected.is_set():
                raise ConnectionError("the broker does not acknowledge")
            time.sleep(0.005)


def _introduce(client_id: str, topic: str, broker: Broker) -> None:
    """Have the broker keep what comes for a module before the module itself has ever been there."""
    subscribed = threading.Event()
    client = mqtt.Client(client_id=client_id, clean_session=False, protocol=mqtt.MQTTv311)
    client.username_pw_set(HUB_USER, broker.password)
    client.on_connect = lambda *_: client.subscribe(topic, 1)
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    found = subscribed.wait(_SECONDS)
    client.disconnect()
    client.loop_stop()
    if not found:
        raise EdgeError(f"the broker of {client_id} does not answer")


def _properties(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.strip("/").split("&") if pair)
    return {unquote(name): unquote(value) for name, _, value in pairs}
