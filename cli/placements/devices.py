"""Models on devices of IoT Edge: how each device is, asked of the hub in a few queries for any number of devices."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cli.errors import CliError
from cli.logs.events import event_of
from cli.logs.source import LogSource
from cli.placements.placement import DeviceState
from cli.placements.service import Answer
from cli.placements.states import FAILED, NO_DEVICE, READY, ROLLING, WAITING, counted
from cli.stack.state import plain_secret, resources
from iot_hub import HubClient, HubError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cli.placements.placement import Placement
    from cli.stack.pulumi import Pulumi

_DEVICE = "slipway:index:EdgeDevice"
_TYPES = ("slipway:index:EdgeDeployment", _DEVICE)
_PATIENCE_SECONDS = 5.0
_OK = 200
_RUNNING = "running"
_AGENTS = (
    "SELECT deviceId, configurations, properties.desired.$version AS wanted, "
    "properties.reported.lastDesiredVersion AS seen, properties.reported.lastDesiredStatus AS status, "
    "properties.reported.modules AS modules FROM devices.modules WHERE moduleId = '$edgeAgent'"
)
_MODULES = (
    "SELECT deviceId, properties.reported.model AS model, properties.reported.state AS state, "
    "properties.reported.error AS error "
    "FROM devices.modules WHERE moduleId = '{module}'"
)
_TARGETED = "SELECT deviceId FROM devices WHERE capabilities.iotEdge = true AND ({condition})"


def hub_of(pulumi: Pulumi) -> HubClient | None:
    """Return a client of a stack's hub; None where the stack has none.

    Raises:
        CliError: The state cannot be read.
    """
    for one in resources(pulumi.state(show_secrets=True), *_TYPES):
        inputs = one.get("inputs") or {}
        return HubClient(inputs["hub"], plain_secret(inputs.get("connectionString")), patience=_PATIENCE_SECONDS)
    return None


def needed_hub(pulumi: Pulumi) -> HubClient:
    """Return a client of a stack's hub.

    Raises:
        CliError: The stack has none, or the state cannot be read.
    """
    hub = hub_of(pulumi)
    if hub is None:
        raise CliError("The stack's state has no hub.", hint=f"`slipway up --stack {pulumi.stack}` makes one.")
    return hub


def device_key(pulumi: Pulumi, device: str) -> str | None:
    """Return the connection string of a device that a stack has registered; None where it has not, or without a key.

    Raises:
        CliError: The state cannot be read.
    """
    for one in resources(pulumi.state(show_secrets=True), _DEVICE):
        if (one.get("inputs") or {}).get("deviceId") == device:
            return plain_secret((one.get("outputs") or {}).get("deviceConnectionString")) or None
    return None


def with_devices(placements: Iterable[Placement], hub: HubClient | None) -> list[Placement]:
    """Add how their devices are to placements on devices.

    Args:
        placements: All of a stack.
        hub: Its hub.

    Raises:
        CliError: The hub cannot be asked.
    """
    placements = list(placements)
    if hub is None or not any(one.deployment for one in placements):
        return placements
    try:
        agents = {one["deviceId"]: one for one in hub.query(_AGENTS)}
        return [_placed(one, hub, agents) if one.deployment else one for one in placements]
    except HubError as error:
        raise CliError(str(error)) from None


def _placed(placement: Placement, hub: HubClient, agents: Mapping[str, Any]) -> Placement:
    targeted = sorted(one["deviceId"] for one in hub.query(_TARGETED.format(condition=placement.condition)))
    told = {one["deviceId"]: one for one in hub.query(_MODULES.format(module=placement.module))}
    devices = tuple(_device(name, placement, agents.get(name, {}), told.get(name, {})) for name in targeted)
    return replace(placement, devices=devices, state=overall(devices), error=_reasons(devices))


def _device(name: str, placement: Placement, agent: Mapping[str, Any], own: Mapping[str, Any]) -> DeviceState:
    if placement.deployment not in (agent.get("configurations") or {}):
        return DeviceState(name, WAITING)
    if agent.get("seen") != agent.get("wanted"):
        return DeviceState(name, ROLLING)
    status = agent.get("status") or {}
    # What the version before said of itself stays in the twin until the new one is there to tell.
    own = own if _is_of(own.get("model") or {}, placement) else {}
    module = (agent.get("modules") or {}).get(placement.module) or {}
    running = module.get("runtimeStatus")
    if running not in (None, _RUNNING, "unknown"):
        # Before it ended, it may have said itself what was wrong.
        reason = own.get("error") or module.get("statusDescription") or f"exit code {module.get('exitCode')}"
        return DeviceState(name, FAILED, f"{running}: {reason}")
    if status.get("code", _OK) != _OK and running != _RUNNING:
        return DeviceState(name, FAILED, str(status.get("description") or f"the edge agent says {status['code']}"))
    image = (module.get("settings") or {}).get("image")
    if running != _RUNNING or (image and placement.image and image != placement.image):
        return DeviceState(name, ROLLING)
    error = own.get("error")
    state = str(own.get("state") or ROLLING)
    return DeviceState(name, FAILED if error and state == FAILED else state, str(error) if error else None)


def _is_of(model: Mapping[str, Any], placement: Placement) -> bool:
    """Whether it is what is deployed that reports itself so: by its image, or its version where it knows no image."""
    image = model.get("image")
    if image and placement.image:
        return bool(image == placement.image)
    return bool(model.get("version") == placement.version)


def overall(devices: Iterable[DeviceState]) -> str:
    """Return one word for all devices: the worst that there is."""
    states = {one.state for one in devices}
    for state in (FAILED, WAITING, ROLLING):
        if state in states:
            return state
    return next(iter(sorted(states - {READY})), READY) if states else NO_DEVICE


_SHOWN = 10


def _reasons(devices: Iterable[DeviceState]) -> str | None:
    lines = [f"{one.device}: {one.error}" for one in devices if one.error]
    more = [f"... and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join([*lines[:_SHOWN], *more]) or None


def ask(hub: HubClient, placement: Placement, device: str, method: str, payload: Any, seconds: float) -> Answer:
    """Have a model's module run a direct method.

    Args:
        hub: The hub.
        placement: The model.
        device: The device's id.
        method: `score`, `diagnose`, `reload` or `collect`.
        payload: What it is given.
        seconds: How long to wait.

    Raises:
        CliError: The device is not there, or does not answer.
    """
    start = time.perf_counter()
    try:
        # The hub takes whole seconds from 5 on.
        status, value = hub.call(device, placement.module or "", method, payload, max(5, round(seconds)))
    except HubError as error:
        raise CliError(f"{device} cannot be asked: {error}", hint="`slipway status` tells how it is.") from None
    return Answer(status, json.dumps(value), (time.perf_counter() - start) * 1000)


def log_source(hub: HubClient, placement: Placement, device: str | None) -> LogSource:
    """Return the log of a model's module on one device, of which only the end so far can be had.

    Args:
        hub: The hub.
        placement: The model.
        device: The device's id, where one is named.

    Raises:
        CliError: There is none that runs the model.
    """
    asked = device_of(placement, hub, device)

    def read(*, tail: int) -> Iterator[tuple[str, str]]:
        time = ""
        for line in _module_log(hub, placement, asked, tail):
            # A line without a time belongs to the one before it.
            time = (event_of(line) or {}).get("time", time)
            yield time, line

    return LogSource(placement.model, asked, read)


def _module_log(hub: HubClient, placement: Placement, device: str, tail: int) -> list[str]:
    """The last lines that a model's module wrote, which the device's edge agent reads."""
    wanted = {
        "schemaVersion": "1.0",
        "items": [{"id": placement.module, "filter": {"tail": tail}}],
        "encoding": "none",
        "contentType": "text",
    }
    try:
        status, answer = hub.call(device, "$edgeAgent", "GetModuleLogs", wanted)
    except HubError as error:
        raise CliError(f"{device} cannot be asked: {error}", hint="`slipway status` tells how it is.") from None
    if status != _OK or not isinstance(answer, list):
        raise CliError(
            f"The edge agent of {device} answers {status}: {answer}",
            hint=f"On the device: iotedge logs {placement.module}",
        )
    return [line for one in answer for line in str(one.get("payload") or "").splitlines()]


def device_of(placement: Placement, hub: HubClient, device: str | None = None) -> str:
    """Return the device to ask.

    Args:
        placement: The model.
        hub: The hub.
        device: Its id, where one is named.

    Raises:
        CliError: There is none that runs the model.
    """
    if device or placement.device:
        return device or placement.device or ""
    (found,) = with_devices([placement], hub)
    ready = next((one.device for one in found.devices if one.state == READY), None)
    if ready is None:
        raise CliError(
            f"{placement.model} is ready on no device: {counted(one.state for one in found.devices)}.",
            hint="`slipway status` tells why.",
        )
    return ready
