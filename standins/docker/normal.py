"""Inputs in the form in which equal means equal: sets have no order, and Docker's own defaults are as good as unset."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from provider.values import has_unknown
from standins.docker.durations import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

# Lists that Docker treats as sets, wherever they stand.
_SETS = frozenset(
    {
        "adds",
        "aliases",
        "devices",
        "dns",
        "dnsOpts",
        "dnsSearches",
        "driverOpts",
        "drops",
        "envs",
        "groupAdds",
        "hosts",
        "ipamConfigs",
        "labels",
        "linkLocalIps",
        "mounts",
        "networksAdvanced",
        "ports",
        "pullTriggers",
        "securityOpts",
        "ulimits",
        "volumes",
    }
)


def normal(name: str, value: Any) -> Any:
    """Bring one input into its normal form.

    Args:
        name: The property.
        value: Its value.

    Returns:
        A form to compare; None for whatever means the same as leaving it out.
    """
    if name in _FORMS and value is not None and not has_unknown(value):
        value = _FORMS[name](value)
    return _tidy(name, value)


def _tidy(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        # The official plugin marks nested defaults as well.
        named = {key: item for key, item in value.items() if not key.startswith("__")}
        value = {key: tidy for key, item in named.items() if (tidy := _tidy(key, item)) is not None}
    elif isinstance(value, list):
        value = [item if (tidy := _tidy("", item)) is None else tidy for item in value]
        if name in _SETS:
            value.sort(key=lambda item: json.dumps(item, sort_keys=True, default=str))
    # Numbers that are not there are zero for Docker, and so on.
    return value or None


def _port(port: dict[str, Any]) -> dict[str, Any]:
    return {**port, "ip": port.get("ip") or "0.0.0.0", "protocol": port.get("protocol") or "tcp"}  # noqa: S104 - what Docker takes a missing one for


def _capability(name: str) -> str:
    return name.upper().removeprefix("CAP_")


def _capabilities(value: dict[str, Any]) -> dict[str, Any]:
    return {kind: [_capability(name) for name in names or []] for kind, names in value.items()}


def _security_option(option: str) -> str:
    return "no-new-privileges" if option == "no-new-privileges:true" else option


def _cpus(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value


def _healthcheck(value: dict[str, Any]) -> dict[str, Any]:
    durations = {"interval", "timeout", "startPeriod", "startInterval"}
    return {name: parse_duration(item) if name in durations and item else item for name, item in value.items()}


def _volume(volume: dict[str, Any]) -> dict[str, Any]:
    # A folder of the host goes before a volume of the engine.
    return {**volume, "volumeName": None} if volume.get("hostPath") else volume


_FORMS: dict[str, Callable[[Any], Any]] = {
    "ports": lambda ports: [_port(port) for port in ports],
    "capabilities": _capabilities,
    "securityOpts": lambda options: [_security_option(option) for option in options],
    "cpus": _cpus,
    "healthcheck": _healthcheck,
    "volumes": lambda volumes: [_volume(volume) for volume in volumes],
    "networkMode": lambda mode: "bridge" if mode == "default" else mode,
    "devices": lambda devices: [
        {
            "containerPath": device["hostPath"],
            **{name: item for name, item in device.items() if item},
            "permissions": device.get("permissions") or "rwm",
        }
        for device in devices
    ],
}
