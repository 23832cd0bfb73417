"""A container's outputs: what Docker made of the inputs."""

from __future__ import annotations

from typing import Any

from standins.docker.container_state import inputs_of

# What Docker chooses where nothing was asked for.
_CHOSEN = frozenset(
    {
        "command",
        "entrypoints",
        "envs",
        "healthcheck",
        "hostname",
        "init",
        "ipcMode",
        "labels",
        "logDriver",
        "runtime",
        "securityOpts",
        "shmSize",
        "stopSignal",
        "stopTimeout",
    }
)
COMPUTED = _CHOSEN | {"bridge", "containerLogs", "exitCode", "networkDatas", "platform"}


def outputs_of(inputs: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Describe what is only known of a container that there is.

    Args:
        inputs: What it was made from.
        found: What Docker says about it.

    Returns:
        The outputs beside the inputs, and in place of some.
    """
    everything = inputs_of(found, {}, dict.fromkeys(_CHOSEN))
    networks = found["NetworkSettings"].get("Networks") or {}
    outputs = {name: everything[name] for name in _CHOSEN - inputs.keys()} | {
        "bridge": found["NetworkSettings"].get("Bridge") or "",
        "exitCode": None if is_running(found) else found["State"]["ExitCode"],
        "networkDatas": [_network_data(name, end) for name, end in sorted(networks.items())],
        "platform": inputs.get("platform") or found.get("Platform"),
    }
    if inputs.get("ports"):
        published = found["NetworkSettings"].get("Ports") or {}
        outputs["ports"] = [_published(port, published) for port in inputs["ports"]]
    return {name: value for name, value in outputs.items() if value is not None}


def is_running(found: dict[str, Any]) -> bool:
    """Tell whether a container runs, or will in a moment by its restart policy."""
    return bool(found["State"]["Running"] or found["State"]["Restarting"])


def _network_data(name: str, end: dict[str, Any]) -> dict[str, Any]:
    return {
        "networkName": name,
        "ipAddress": end.get("IPAddress", ""),
        "ipPrefixLength": end.get("IPPrefixLen", 0),
        "gateway": end.get("Gateway", ""),
        "globalIpv6Address": end.get("GlobalIPv6Address", ""),
        "globalIpv6PrefixLength": end.get("GlobalIPv6PrefixLen", 0),
        "ipv6Gateway": end.get("IPv6Gateway", ""),
        "macAddress": end.get("MacAddress", ""),
    }


def _published(port: dict[str, Any], published: dict[str, Any]) -> dict[str, Any]:
    """Fill in the port that Docker chose."""
    if port.get("external"):
        return port
    for binding in published.get(f"{port['internal']}/{port.get('protocol') or 'tcp'}") or []:
        return {**port, "external": int(binding["HostPort"])}
    return port
