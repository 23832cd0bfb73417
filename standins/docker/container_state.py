"""A container as Docker describes it, back in the form of the inputs that it was made from."""

from __future__ import annotations

from typing import Any

from standins.docker.container_config import (
    CONFIG,
    DEVICE,
    HEALTHCHECK,
    HOST_CONFIG,
    MEBIBYTE,
    SIZES,
    ULIMIT,
)
from standins.docker.container_rules import DEFAULTS
from standins.docker.durations import format_duration
from standins.docker.normal import normal
from standins.docker.resource import labels_from

# `docker update` and `docker rename` can change these; the rest of a container is fixed.
_MUTABLE = frozenset(
    {
        "cpuPeriod",
        "cpuQuota",
        "cpuSet",
        "cpuShares",
        "cpus",
        "maxRetryCount",
        "memory",
        "memoryReservation",
        "memorySwap",
        "name",
        "restart",
    }
)
# What a refresh compares if it was asked for. Of the rest Docker cannot but have what it was made with, and may only
# say it otherwise, as Docker Desktop does with paths.
_COMPARED = frozenset({"command", "envs", "image", "labels", "networksAdvanced", "ports"})
# What Docker fills in where nothing was asked for.
_DEFAULTS: dict[str, Any] = {
    "cgroupnsMode": {"host", "private"},
    "ipcMode": {"private", "shareable"},
    "logDriver": {"json-file", "journald", "local", "syslog"},
    "networkMode": {"default", "bridge"},
    "platform": {"linux"},
    "restart": {"no"},
    "runtime": {"runc"},
    "shmSize": {64},
}
# What Docker takes from the image where nothing was asked for.
_FROM_IMAGE = ("command", "entrypoints", "stopSignal", "user", "workingDir")


def inputs_of(found: dict[str, Any], image: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """Describe a container by the inputs that would make it.

    Args:
        found: What Docker says about it.
        image: What Docker says about its image.
        old: The inputs that it was made from. Values that come from the image or from Docker's defaults are left out,
            unless these name the property. Empty for a container that was made by someone else.

    Returns:
        The inputs, with None for what is not set.
    """
    config, host = found["Config"], found["HostConfig"]
    inputs: dict[str, Any] = {ours: config.get(theirs) for ours, theirs in CONFIG.items()}
    inputs |= {ours: host.get(theirs) for ours, theirs in HOST_CONFIG.items()}
    for ours, theirs in SIZES.items():
        size = host.get(theirs) or 0
        inputs[ours] = size // MEBIBYTE if size > 0 else size
    inputs |= _translated(found, image.get("Config") or {}, old)
    inputs["platform"] = old.get("platform")
    return {
        name: None if name not in old and _is_default(name, value, found, image) else value
        for name, value in inputs.items()
    }


def refreshed_inputs(old: dict[str, Any], actual: dict[str, Any]) -> dict[str, Any]:
    """Keep what was asked for wherever it is so, in its own words; take over what is not so.

    Args:
        old: What was asked for.
        actual: What there is.

    Returns:
        The inputs that the engine compares the program with.
    """
    inputs = dict(old)
    for name in ((old.keys() & _COMPARED) | _MUTABLE) & actual.keys():
        if normal(name, old.get(name)) != normal(name, actual[name]):
            inputs[name] = actual[name]
    return {name: value for name, value in inputs.items() if value is not None}


def imported_inputs(actual: dict[str, Any]) -> dict[str, Any]:
    """Describe a container that someone else has made, as short as a program would.

    Args:
        actual: What there is.

    Returns:
        Its inputs.
    """
    given = {name: value for name, value in actual.items() if normal(name, value)}
    return {**DEFAULTS, **given, "__defaults": sorted(DEFAULTS.keys() - given.keys())}


def _translated(found: dict[str, Any], image: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    config, host = found["Config"], found["HostConfig"]
    restart = host.get("RestartPolicy") or {}
    log = host.get("LogConfig") or {}
    given = set(old.get("envs") or [])
    named = {label["label"] for label in old.get("labels") or []}
    inherited = image.get("Labels") or {}
    return {
        "name": found["Name"].lstrip("/"),
        # By id only if it was given by id: the name may stand for another image by now.
        "image": found["Image"] if old.get("image", "").startswith("sha256:") else config["Image"],
        "envs": [env for env in config.get("Env") or [] if env in given or env not in (image.get("Env") or [])],
        "labels": [
            label
            for label in labels_from(config.get("Labels"))
            if label["label"] in named or inherited.get(label["label"]) != label["value"]
        ],
        "healthcheck": _healthcheck(config.get("Healthcheck") or {}, image.get("Healthcheck") or {}, old),
        "restart": restart.get("Name") or "no",
        "maxRetryCount": restart.get("MaximumRetryCount"),
        "cpus": f"{host['NanoCpus'] / 1_000_000_000:g}" if host.get("NanoCpus") else None,
        "logDriver": log.get("Type"),
        "logOpts": log.get("Config"),
        "capabilities": {"adds": host.get("CapAdd") or [], "drops": host.get("CapDrop") or []},
        "securityOpts": _security_options(host, old),
        "ports": _ports(host.get("PortBindings") or {}),
        "hosts": [dict(zip(("host", "ip"), host.split(":", 1), strict=True)) for host in host.get("ExtraHosts") or []],
        "ulimits": [_named(limit, ULIMIT) for limit in host.get("Ulimits") or []],
        "devices": [_named(device, DEVICE) for device in host.get("Devices") or []],
        "mounts": [_mount(mount) for mount in host.get("Mounts") or []],
        "volumes": _volumes(found, image),
        "networksAdvanced": _networks(found, old),
    }


def _named(values: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {ours: values[theirs] for ours, theirs in names.items() if values.get(theirs) is not None}


def _is_default(name: str, value: Any, found: dict[str, Any], image: dict[str, Any]) -> bool:
    if name == "hostname":
        return bool(value == found["Id"][:12])
    if name == "memorySwap":
        # Twice the memory where swap can be limited, no limit where it cannot.
        memory = (found["HostConfig"].get("Memory") or 0) // MEBIBYTE
        return value in (0, -1, 2 * memory)
    if name in _FROM_IMAGE:
        return bool(value == (image.get("Config") or {}).get(CONFIG[name]))
    return name in _DEFAULTS and value in _DEFAULTS[name]


def _healthcheck(found: dict[str, Any], image: dict[str, Any], old: dict[str, Any]) -> dict[str, Any] | None:
    asked = old.get("healthcheck") or {}
    if not found or (found == image and not asked):
        return None
    inputs: dict[str, Any] = {"tests": found.get("Test"), "retries": found.get("Retries")}
    inputs |= {ours: format_duration(found[theirs]) for ours, theirs in HEALTHCHECK.items() if found.get(theirs)}
    if "startInterval" in asked:
        # Engines before 25 do not keep it.
        inputs.setdefault("startInterval", asked["startInterval"])
    if asked:
        # What was not asked for came from the image.
        inputs = {name: value for name, value in inputs.items() if name in asked}
    return inputs


def _security_options(host: dict[str, Any], old: dict[str, Any]) -> list[str]:
    # Docker adds some of its own to privileged containers; and one is the client's, and not kept.
    asked = set(old.get("securityOpts") or [])
    options = list(host.get("SecurityOpt") or [])
    if "systempaths=unconfined" in asked:
        options.append("systempaths=unconfined")
    return [option for option in options if option != "label=disable" or option in asked]


def _ports(bindings: dict[str, Any]) -> list[dict[str, Any]]:
    ports = []
    for key, published in bindings.items():
        internal, _, protocol = key.partition("/")
        for binding in published or []:
            port = {"internal": int(internal), "protocol": protocol, "ip": binding.get("HostIp") or "0.0.0.0"}  # noqa: S104 - what Docker means by a missing one
            external = int(binding.get("HostPort") or 0)
            ports.append(port | ({"external": external} if external else {}))
    return ports


def _mount(mount: dict[str, Any]) -> dict[str, Any]:
    inputs = _named(mount, {"type": "Type", "source": "Source", "target": "Target", "readOnly": "ReadOnly"})
    if bind := mount.get("BindOptions"):
        inputs["bindOptions"] = _named(bind, {"propagation": "Propagation"})
    if tmpfs := mount.get("TmpfsOptions"):
        inputs["tmpfsOptions"] = _named(tmpfs, {"sizeBytes": "SizeBytes", "mode": "Mode"})
    if volume := mount.get("VolumeOptions"):
        driver = _named(volume.get("DriverConfig") or {}, {"driverName": "Name", "driverOptions": "Options"})
        options = _named(volume, {"noCopy": "NoCopy", "subpath": "Subpath"})
        inputs["volumeOptions"] = options | driver | {"labels": labels_from(volume.get("Labels"))}
    return inputs


def _networks(found: dict[str, Any], old: dict[str, Any]) -> list[dict[str, Any]]:
    """Find out which of the networks it is still connected to; by name or id, as they were given."""
    there = found["NetworkSettings"].get("Networks") or {}
    if "networksAdvanced" in old:
        names = {name for network, end in there.items() for name in (network, end.get("NetworkID"))}
        return [network for network in old["networksAdvanced"] if network["name"] in names]
    mode = found["HostConfig"].get("NetworkMode")
    own = {"bridge" if mode == "default" else mode, "host", "none"}
    return [{"name": name} for name in sorted(there) if name not in own]


def _volumes(found: dict[str, Any], image: dict[str, Any]) -> list[dict[str, Any]]:
    host = found["HostConfig"]
    volumes: list[dict[str, Any]] = [{"fromContainer": name} for name in host.get("VolumesFrom") or []]
    for bind in host.get("Binds") or []:
        source, path, *flags = bind.split(":")
        words = flags[0].split(",") if flags else []
        volume = {"containerPath": path, "hostPath" if source.startswith("/") else "volumeName": source}
        volume |= {"selinuxRelabel": words[-1]} if words[-1:] in (["z"], ["Z"]) else {}
        volumes.append(volume | ({"readOnly": True} if "ro" in words else {}))
    known = {volume.get("containerPath") for volume in volumes} | set(image.get("Volumes") or {})
    volumes += [{"containerPath": path} for path in found["Config"].get("Volumes") or {} if path not in known]
    return volumes
