"""The hub itself: devices, modules, configurations and direct methods, over one store."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from standins.iot_hub import deployments, queries, twins
from standins.iot_hub.failure import HubError, invalid, no_configuration, no_device, no_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from standins.iot_hub.store import Record, Store

_KEPT_MESSAGES = 10_000


@dataclass
class Invocation:
    """A direct method on its way.

    Attributes:
        rid: Its number.
        module: Where to; empty for the device itself.
        name: The method.
        payload: What it is given.
        taken: Whether the device has fetched it.
        answer: Status and payload, when it has answered.
    """

    rid: str
    module: str
    name: str
    payload: Any
    taken: bool = False
    answer: dict[str, Any] | None = None


@dataclass
class Hub:
    """One hub.

    Attributes:
        store: What it knows.
        clock: The time, in seconds since 1970.
    """

    store: Store
    clock: Callable[[], float] = time.time
    _methods: dict[str, list[Invocation]] = field(default_factory=dict)
    _messages: list[dict[str, Any]] = field(default_factory=list)

    # Devices.

    def device(self, name: str) -> Record:
        """Return a device.

        Raises:
            HubError: There is none.
        """
        found = self.store.get("devices", name)
        if found is None:
            raise no_device(name)
        return found

    def put_device(self, name: str, body: Record, if_match: str | None) -> Record:
        """Register a device, or change its identity.

        Raises:
            HubError: The hub refuses.
        """
        if body.get("deviceId") != name:
            raise invalid("the deviceId in the body is not that of the address")
        with self.store.change():
            old = self.store.get("devices", name)
            if old is not None and if_match is None:
                raise HubError(409, "DeviceAlreadyExists", f"A device with ID '{name}' is already registered.")
            if old is None and if_match is not None:
                raise no_device(name)
            twins.match(if_match, old["etag"] if old else "", "Device")
            edge = bool((body.get("capabilities") or {}).get("iotEdge"))
            made: Record = {
                "deviceId": name,
                "generationId": old["generationId"] if old else str(time.time_ns()),
                "etag": twins.etag(),
                "status": body.get("status", "enabled"),
                "statusReason": body.get("statusReason"),
                "statusUpdatedTime": twins.now(),
                "authentication": _authentication(body.get("authentication"), old),
                "capabilities": {"iotEdge": edge},
                "cloudToDeviceMessageCount": 0,
                "twin": old["twin"] if old else twins.new_twin(),
                "seen": old["seen"] if old else 0,
            }
            if edge:
                made["deviceScope"] = f"ms-azure-iot-edge://{name}-{made['generationId']}"
            self.store.put("devices", name, made)
            if edge:
                for module in twins.SYSTEM_MODULES:
                    if self.store.get("modules", f"{name}/{module}") is None:
                        self.store.put("modules", f"{name}/{module}", self.new_module(name, module, managed_by=""))
            deployments.apply(self, made)
            return made

    def delete_device(self, name: str, if_match: str | None) -> None:
        """Remove a device with its modules.

        Raises:
            HubError: There is none, or it was changed.
        """
        with self.store.change():
            twins.match(if_match, self.device(name)["etag"], "Device")
            for module in self.modules_of(name):
                self.store.delete("modules", f"{name}/{module}")
            self.store.delete("manual", name)
            self.store.delete("devices", name)
            self._methods.pop(name, None)

    # Modules.

    def module(self, device: str, name: str) -> Record:
        """Return a module.

        Raises:
            HubError: There is none, or no such device.
        """
        self.device(device)
        found = self.store.get("modules", f"{device}/{name}")
        if found is None:
            raise no_module(device, name)
        return found

    def modules_of(self, device: str) -> list[str]:
        """Return the names of a device's modules."""
        start = f"{device}/"
        return [key.removeprefix(start) for key in self.store.all("modules") if key.startswith(start)]

    def new_module(self, device: str, name: str, *, managed_by: str) -> Record:
        """Make a module's identity and twin."""
        return {
            "deviceId": device,
            "moduleId": name,
            "managedBy": managed_by,
            "generationId": str(time.time_ns()),
            "etag": twins.etag(),
            "authentication": _authentication(None, None),
            "twin": {**twins.new_twin(), "configurations": {}},
        }

    def put_module(self, device: str, name: str, body: Record, if_match: str | None) -> Record:
        """Register a module, or change its identity.

        Raises:
            HubError: The hub refuses.
        """
        with self.store.change():
            self.device(device)
            key = f"{device}/{name}"
            old = self.store.get("modules", key)
            if old is not None and if_match is None:
                raise HubError(409, "ModuleAlreadyExistsOnDevice", f"Module {name} already exists on device {device}.")
            if old is None and if_match is not None:
                raise no_module(device, name)
            twins.match(if_match, old["etag"] if old else "", "Module")
            made = {**(old or self.new_module(device, name, managed_by=str(body.get("managedBy") or "")))}
            made |= {"etag": twins.etag(), "authentication": _authentication(body.get("authentication"), old)}
            self.store.put("modules", key, made)
            return made

    def delete_module(self, device: str, name: str, if_match: str | None) -> None:
        """Remove a module.

        Raises:
            HubError: There is none, or it was changed.
        """
        with self.store.change():
            twins.match(if_match, self.module(device, name)["etag"], "Module")
            self.store.delete("modules", f"{device}/{name}")

    # Twins.

    def patch_twin(self, record: Record, body: Record, if_match: str | None, *, whole: bool = False) -> Record:
        """Change a twin's tags and desired properties.

        Args:
            record: The device or the module.
            body: What was sent.
            if_match: The header.
            whole: Put what was sent in the place of what there is.

        Raises:
            HubError: The hub refuses.
        """
        with self.store.change():
            twin = record["twin"]
            twins.match(if_match, twin["etag"], "Twin")
            if "tags" in body:
                tags = dict.fromkeys(twin["tags"]) if whole else {}
                twins.set_tags(twin, {**tags, **(body["tags"] or {})})
            desired = (body.get("properties") or {}).get("desired")
            if desired is not None:
                clean = {name: value for name, value in desired.items() if not name.startswith("$")}
                twins.set_desired(twin, clean if whole else twins.patched(twin["desired"], clean))
            self._keep(record)
            if "moduleId" not in record:
                deployments.apply(self, record)
            return record

    def report(self, device: str, module: str, patch: dict[str, Any]) -> int:
        """Take what a module reports of itself, and return its version.

        Raises:
            HubError: There is no such module, or it reports too much.
        """
        with self.store.change():
            record = self.module(device, module)
            version = twins.report(record["twin"], patch)
            self._keep(record)
            return version

    def _keep(self, record: Record) -> None:
        if "moduleId" in record:
            self.store.put("modules", f"{record['deviceId']}/{record['moduleId']}", record)
        else:
            self.store.put("devices", record["deviceId"], record)

    def query(self, text: str) -> list[dict[str, Any]]:
        """Answer a query.

        Raises:
            HubError: It is not understood.
        """
        query, at = queries.read(text), self.clock()
        with self.store.changed:
            records: Iterable[Record] = self.store.all("modules" if query.modules else "devices").values()
            return list(query.run(twins.shown(one, at) for one in records))

    def count(self, text: str) -> int:
        """Return how many twins a query finds."""
        return len(self.query(text))

    # Configurations.

    def put_configuration(self, name: str, body: Record, if_match: str | None) -> Record:
        """Create a configuration, or change what of it can be changed.

        Raises:
            HubError: The hub refuses.
        """
        with self.store.change():
            old = self.store.get("configurations", name)
            if old is not None and if_match is None:
                raise HubError(409, "ConfigurationAlreadyExists", f"Configuration {name} already exists.")
            if old is None and if_match is not None:
                raise no_configuration(name)
            twins.match(if_match, old["etag"] if old else "", "Configuration")
            made = deployments.checked(self, name, body, old)
            self.store.put("configurations", name, made)
            self._apply_all()
            return deployments.with_metrics(self, made)

    def delete_configuration(self, name: str, if_match: str | None) -> None:
        """Delete a configuration.

        Raises:
            HubError: There is none, or it was changed.
        """
        with self.store.change():
            twins.match(if_match, deployments.found(self, name)["etag"], "Configuration")
            self.store.delete("configurations", name)
            self._apply_all()

    def apply_manually(self, device: str, content: Record) -> None:
        """Give one device a content of its own, which holds while no configuration is meant for it.

        Raises:
            HubError: There is no such device.
        """
        with self.store.change():
            record = self.device(device)
            self.store.put("manual", device, {"content": content})
            deployments.apply(self, record)

    def _apply_all(self) -> None:
        for device in self.store.all("devices").values():
            deployments.apply(self, device)

    # Direct methods, and what devices send.

    def call(self, device: str, module: str, body: Record) -> dict[str, Any]:
        """Have a device run a method, and wait for its answer.

        Raises:
            HubError: It is not there, or does not answer in time.
        """
        self.module(device, module) if module else self.device(device)
        wait = float(body.get("responseTimeoutInSeconds") or 30)
        connect = float(body.get("connectTimeoutInSeconds") or 0)
        one = Invocation(uuid.uuid4().hex, module, str(body.get("methodName") or ""), body.get("payload"))
        start = self.clock()
        with self.store.changed:
            if not self.store.changed.wait_for(lambda: twins.online(self.device(device), self.clock()), connect):
                raise HubError(
                    404, "DeviceNotOnline", f"The operation failed because the requested device isn't online: {device}"
                )
            self._methods.setdefault(device, []).append(one)
            self.store.changed.notify_all()
            left = wait - (self.clock() - start)
            self.store.changed.wait_for(lambda: one.answer is not None, max(0.0, left))
            calls = self._methods.get(device, [])
            if one in calls:
                calls.remove(one)
        if one.answer is None:
            raise HubError(504, "GatewayTimeout", "Timed out waiting for the response from device.")
        return one.answer

    def calls_for(self, device: str, wait: float) -> list[Invocation]:
        """Return the methods that a device is to run, once there are any."""

        def waiting() -> list[Invocation]:
            return [one for one in self._methods.get(device, []) if not one.taken]

        with self.store.changed:
            self.seen(device)
            self.store.changed.wait_for(waiting, wait)
            found = waiting()
            for one in found:
                one.taken = True
            return found

    def answer(self, device: str, rid: str, body: Record) -> None:
        """Take a device's answer.

        Raises:
            HubError: Nobody waits for it.
        """
        with self.store.changed:
            one = next((one for one in self._methods.get(device, []) if one.rid == rid), None)
            if one is None:
                raise HubError(404, "MethodNotFound", "nobody waits for the answer any more")
            one.answer = {"status": body.get("status", 200), "payload": body.get("payload")}
            self.store.changed.notify_all()

    def seen(self, device: str) -> None:
        """Note that a device is there; it is told to nobody but who waits for it."""
        with self.store.changed:
            record = self.device(device)
            was = twins.online(record, self.clock())
            record["seen"] = self.clock()
            if not was:
                self.store.changed.notify_all()

    def receive(self, device: str, messages: list[dict[str, Any]]) -> None:
        """Take messages from a device."""
        with self.store.changed:
            self.seen(device)
            self._messages += [{"device": device, **one} for one in messages]
            del self._messages[:-_KEPT_MESSAGES]

    def messages(self, device: str | None) -> list[dict[str, Any]]:
        """Return the last messages, of one device or all."""
        with self.store.changed:
            return [one for one in self._messages if device in (None, one["device"])]


def _authentication(given: Record | None, old: Record | None) -> Record:
    """What was given, with keys that the hub makes where there are none."""
    found = dict(given or (old or {}).get("authentication") or {"type": "sas"})
    kind = found.setdefault("type", "sas")
    if kind not in {"sas", "selfSigned", "certificateAuthority", "none"}:
        raise invalid(f"authentication.type {kind} is none that the hub knows")
    before = ((old or {}).get("authentication") or {}).get("symmetricKey") or {}
    keys = found.get("symmetricKey") or {}
    if kind == "sas":
        found["symmetricKey"] = {
            name: keys.get(name) or before.get(name) or twins.new_key() for name in ("primaryKey", "secondaryKey")
        }
    else:
        found["symmetricKey"] = {"primaryKey": None, "secondaryKey": None}
    return found
