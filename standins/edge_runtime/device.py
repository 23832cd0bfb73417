"""One device: its hub and its agent, brought to what the cloud says, and told of to the cloud."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from provider.resource import ProviderError
from standins.edge_runtime.agent import Agent
from standins.edge_runtime.containers import Containers
from standins.edge_runtime.errors import EdgeError
from standins.edge_runtime.hub import Hub

if TYPE_CHECKING:
    from pathlib import Path

    from standins.docker.engine import Engine
    from standins.edge_runtime.clouds import Cloud

AGENT, HUB = "$edgeAgent", "$edgeHub"
_WAIT_SECONDS = 20.0
_KEEP_SECONDS = 0.5
_RETRY_SECONDS = 1.0
_APPLIED, _INVALID, _FAILED = 200, 400, 500
_log = logging.getLogger("edge-agent")


class Device:
    """A device with IoT Edge's runtime.

    Attributes:
        hub: Its hub.
        agent: Its agent.
        problem: Why the latest deployment could not be applied.
        states: How each module is, as `$edgeAgent` reports it.
    """

    def __init__(self, name: str, folder: Path, cloud: Cloud, engine: Engine) -> None:
        """Begin without modules; what an earlier run has left on the engine goes.

        Args:
            name: The device's name.
            folder: Where it keeps what outlives it.
            cloud: Where its deployment comes from.
            engine: Where modules run.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._cloud = cloud
        self._stops = threading.Event()
        self._lock = threading.RLock()
        self._told: dict[str, dict[str, Any]] = {}
        containers = self._containers = Containers(engine, name)
        for module in containers.found():
            containers.remove(module)
        self.problem = ""
        self.states: dict[str, dict[str, Any]] = {}
        self.hub = Hub(name, folder, cloud.send)
        self.agent = Agent(name, folder, self.hub, containers, cloud.name)
        self._threads = [
            threading.Thread(target=self._again, args=(work,), name=f"device-{work.__name__}", daemon=True)
            for work in (self._follow, self._keep, self._answer)
        ]
        self._etag = ""

    def start(self) -> None:
        """Begin to follow the cloud."""
        for thread in self._threads:
            thread.start()

    def stop(self, *, remove: bool = True, volumes: bool = False) -> None:
        """End.

        Args:
            remove: Whether the modules' containers go.
            volumes: Whether their volumes with names go too, and with them what waits there.
        """
        self._stops.set()
        with self._lock:
            self.agent.stop(remove=remove)
            self.hub.stop()
            if volumes:
                self._containers.remove_volumes()

    def _again(self, work: Any) -> None:
        while not self._stops.is_set():
            try:
                work()
            except (OSError, EdgeError, ProviderError) as error:
                if not self._stops.is_set():
                    _log.warning("%s", error)
                self._stops.wait(_RETRY_SECONDS)
            except Exception:  # noqa: BLE001 - the device goes on
                if not self._stops.is_set():
                    _log.exception("internal error")
                self._stops.wait(_RETRY_SECONDS)

    def _follow(self) -> None:
        """Apply the next deployment."""
        found = self._cloud.modules(self._etag, _WAIT_SECONDS)
        if found is None:
            return
        etag, modules = found
        with self._lock:
            if self._stops.is_set():
                return
            self._apply({name: twin.get("desired") or {} for name, twin in modules.items()})
        self._etag = etag

    def _apply(self, desired: dict[str, dict[str, Any]]) -> None:
        code, text = _APPLIED, ""
        properties = desired.get(AGENT, {})
        if properties:
            try:
                self.agent.apply(properties)
            except EdgeError as error:
                code, text = _FAILED, str(error)
        self._report_status(AGENT, properties, code, text)
        code, problem = _APPLIED, ""
        if desired.get(HUB):
            try:
                self.hub.configure(desired[HUB])
            except EdgeError as error:
                code, problem = _INVALID, str(error)
        self._report_status(HUB, desired.get(HUB, {}), code, problem)
        for name, twin in desired.items():
            if name not in {AGENT, HUB} and name in self.agent.modules:
                self.hub.set_desired(name, twin)
        self.problem = "; ".join(filter(None, (text, problem)))
        if self.problem:
            _log.error("the deployment could not be applied: %s", self.problem)

    def _report_status(self, module: str, desired: dict[str, Any], code: int, text: str) -> None:
        self._tell(
            module,
            {
                "schemaVersion": "1.1",
                "lastDesiredVersion": desired.get("$version", 0),
                "lastDesiredStatus": {"code": code, "description": text},
            },
        )

    def _keep(self) -> None:
        """Keep the modules up, and tell how they are and what they report."""
        with self._lock:
            if self._stops.is_set():
                return
            self.agent.keep()
            states = self.states = self.agent.report()
        self._tell(AGENT, {"modules": states})
        for name in states:
            reported = self.hub.twins.get(name)["reported"]
            reported.pop("$version", None)
            self._tell(name, reported, whole=True)
        self._stops.wait(_KEEP_SECONDS)

    def _tell(self, module: str, properties: dict[str, Any], *, whole: bool = False) -> None:
        """Report what has changed since it was last told."""
        told = self._told.get(module, {})
        patch = difference(told, properties if whole else {**told, **properties})
        if patch:
            self._cloud.report(module, patch)
            self._told[module] = {**properties} if whole else {**told, **properties}

    def _answer(self) -> None:
        """Pass on calls of direct methods."""
        for call in self._cloud.methods(_WAIT_SECONDS):
            threading.Thread(target=self._call, args=(call,), daemon=True).start()

    def _call(self, call: dict[str, Any]) -> None:
        try:
            if call["module"] == AGENT:
                status, payload = self.agent.call(call["methodName"], call.get("payload"))
            else:
                status, payload = self.hub.call(call["module"], call["methodName"], call.get("payload"))
        except EdgeError as error:
            status, payload = 504, {"message": str(error)}
        try:
            self._cloud.answer(call["rid"], status, payload)
        except (OSError, EdgeError) as error:
            _log.warning("the answer of a method is lost: %s", error)


def difference(old: Any, new: dict[str, Any]) -> dict[str, Any]:
    """Return the patch that makes one object of another: null takes away."""
    patch: dict[str, Any] = {}
    before = old if isinstance(old, dict) else {}
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(before.get(name), dict):
            if inner := difference(before[name], value):
                patch[name] = inner
        elif name not in before or before[name] != value:
            patch[name] = value
    return patch | dict.fromkeys(before.keys() - new.keys())
