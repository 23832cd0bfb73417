"""A container's inputs as the body of Docker's create call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from standins.docker.durations import parse_duration
from standins.docker.resource import labels_of

if TYPE_CHECKING:
    from collections.abc import Mapping

MEBIBYTE = 1024 * 1024
_NANO = 1_000_000_000

# Passed on as they are: the input's name, and Docker's.
CONFIG = {
    "command": "Cmd",
    "domainname": "Domainname",
    "entrypoints": "Entrypoint",
    "envs": "Env",
    "hostname": "Hostname",
    "image": "Image",
    "stdinOpen": "OpenStdin",
    "stopSignal": "StopSignal",
    "stopTimeout": "StopTimeout",
    "tty": "Tty",
    "user": "User",
    "workingDir": "WorkingDir",
}
HOST_CONFIG = {
    "cgroupParent": "CgroupParent",
    "cgroupnsMode": "CgroupnsMode",
    "cpuPeriod": "CpuPeriod",
    "cpuQuota": "CpuQuota",
    "cpuSet": "CpusetCpus",
    "cpuShares": "CpuShares",
    "dns": "Dns",
    "dnsOpts": "DnsOptions",
    "dnsSearches": "DnsSearch",
    "groupAdds": "GroupAdd",
    "init": "Init",
    "ipcMode": "IpcMode",
    "networkMode": "NetworkMode",
    "pidMode": "PidMode",
    "privileged": "Privileged",
    "publishAllPorts": "PublishAllPorts",
    "readOnly": "ReadonlyRootfs",
    "rm": "AutoRemove",
    "runtime": "Runtime",
    "storageOpts": "StorageOpt",
    "sysctls": "Sysctls",
    "tmpfs": "Tmpfs",
    "usernsMode": "UsernsMode",
}
# In mebibytes here, in bytes there.
SIZES = {
    "memory": "Memory",
    "memoryReservation": "MemoryReservation",
    "memorySwap": "MemorySwap",
    "shmSize": "ShmSize",
}
DEVICE = {"hostPath": "PathOnHost", "containerPath": "PathInContainer", "permissions": "CgroupPermissions"}
ULIMIT = {"name": "Name", "soft": "Soft", "hard": "Hard"}
HEALTHCHECK = {
    "interval": "Interval",
    "timeout": "Timeout",
    "startPeriod": "StartPeriod",
    "startInterval": "StartInterval",
}
# Without it, `systempaths=unconfined` would be an option of the engine's; it is one of the client's.
_UNCONFINED = "systempaths=unconfined"


def create_body(inputs: dict[str, Any], *, start_interval: bool) -> dict[str, Any]:
    """Translate a container.

    Args:
        inputs: As checked.
        start_interval: Whether this engine knows the healthcheck's start interval.

    Returns:
        The body of the create call.
    """
    body = {theirs: inputs[ours] for ours, theirs in CONFIG.items() if inputs.get(ours)}
    body |= {"Labels": labels_of(inputs), "HostConfig": _host_config(inputs)}
    ports = [_port_key(port) for port in inputs.get("ports") or []]
    if ports:
        body["ExposedPorts"] = {key: {} for key in ports}
    volumes = [volume["containerPath"] for volume in inputs.get("volumes") or [] if volume.get("containerPath")]
    if volumes:
        body["Volumes"] = {path: {} for path in volumes}
    if healthcheck := inputs.get("healthcheck"):
        body["Healthcheck"] = _healthcheck(healthcheck, start_interval=start_interval)
    return body


def _host_config(inputs: dict[str, Any]) -> dict[str, Any]:
    body = {theirs: inputs[ours] for ours, theirs in HOST_CONFIG.items() if inputs.get(ours) is not None}
    body |= {theirs: to_bytes(inputs[ours]) for ours, theirs in SIZES.items() if inputs.get(ours)}
    body["RestartPolicy"] = restart_policy(inputs)
    body["LogConfig"] = {"Type": inputs.get("logDriver") or "", "Config": inputs.get("logOpts") or {}}
    if inputs.get("cpus"):
        body["NanoCpus"] = nano_cpus(inputs["cpus"])
        # As with the official plugin, these give way.
        body = {name: value for name, value in body.items() if name not in {"CpuPeriod", "CpuQuota"}}
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in inputs.get("ports") or []:
        external = port.get("external")
        binding = {"HostIp": port.get("ip") or "", "HostPort": str(external) if external else ""}
        bindings.setdefault(_port_key(port), []).append(binding)
    capabilities = inputs.get("capabilities") or {}
    options = inputs.get("securityOpts") or []
    lists: dict[str, Any] = {
        "PortBindings": bindings,
        "CapAdd": capabilities.get("adds"),
        "CapDrop": capabilities.get("drops"),
        "SecurityOpt": [option for option in options if option != _UNCONFINED],
        "ExtraHosts": [f"{host['host']}:{host['ip']}" for host in inputs.get("hosts") or []],
        "Ulimits": [renamed(limit, ULIMIT) for limit in inputs.get("ulimits") or []],
        "Devices": [_device(device) for device in inputs.get("devices") or []],
        "Mounts": [_mount(mount) for mount in inputs.get("mounts") or []],
        **_volumes(inputs.get("volumes") or []),
    }
    body |= {name: value for name, value in lists.items() if value}
    if _UNCONFINED in options:
        body |= {"MaskedPaths": [], "ReadonlyPaths": []}
    return body


def renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Take some values under other names, without those that are not set."""
    return {theirs: values[ours] for ours, theirs in names.items() if values.get(ours) is not None}


def to_bytes(mebibytes: int) -> int:
    """Turn mebibytes into bytes; negative numbers mean "no limit" and stay."""
    return mebibytes * MEBIBYTE if mebibytes > 0 else mebibytes


def nano_cpus(cpus: str) -> int:
    """Turn a number of processors, such as "1.5", into Docker's unit."""
    return round(float(cpus) * _NANO)


def restart_policy(inputs: dict[str, Any]) -> dict[str, Any]:
    """Translate the restart policy."""
    return {"Name": inputs.get("restart") or "no", "MaximumRetryCount": inputs.get("maxRetryCount") or 0}


def _port_key(port: dict[str, Any]) -> str:
    return f"{port['internal']}/{port.get('protocol') or 'tcp'}"


def _healthcheck(healthcheck: dict[str, Any], *, start_interval: bool) -> dict[str, Any]:
    body = {
        theirs: parse_duration(healthcheck[ours])
        for ours, theirs in HEALTHCHECK.items()
        if healthcheck.get(ours) and (start_interval or ours != "startInterval")
    }
    return body | {"Test": healthcheck.get("tests") or [], "Retries": healthcheck.get("retries") or 0}


def _device(device: dict[str, Any]) -> dict[str, Any]:
    defaults = {"containerPath": device["hostPath"], "permissions": "rwm"}
    return renamed({**defaults, **{name: value for name, value in device.items() if value}}, DEVICE)


def _mount(mount: dict[str, Any]) -> dict[str, Any]:
    body = renamed(mount, {"type": "Type", "source": "Source", "target": "Target", "readOnly": "ReadOnly"})
    if bind := mount.get("bindOptions"):
        body["BindOptions"] = renamed(bind, {"propagation": "Propagation"})
    if tmpfs := mount.get("tmpfsOptions"):
        body["TmpfsOptions"] = renamed(tmpfs, {"sizeBytes": "SizeBytes", "mode": "Mode"})
    if volume := mount.get("volumeOptions"):
        options = renamed(volume, {"noCopy": "NoCopy", "subpath": "Subpath"})
        options["Labels"] = labels_of(volume)
        if volume.get("driverName"):
            options["DriverConfig"] = renamed(volume, {"driverName": "Name", "driverOptions": "Options"})
        body["VolumeOptions"] = options
    return body


def _volumes(volumes: list[dict[str, Any]]) -> dict[str, list[str]]:
    binds, containers = [], []
    for volume in volumes:
        source = volume.get("hostPath") or volume.get("volumeName")
        if volume.get("fromContainer"):
            containers.append(volume["fromContainer"])
        elif source:
            flags = ["ro" if volume.get("readOnly") else "rw"]
            flags += [volume["selinuxRelabel"]] if volume.get("selinuxRelabel") else []
            binds.append(f"{source}:{volume['containerPath']}:{','.join(flags)}")
    return {"Binds": binds, "VolumesFrom": containers}
