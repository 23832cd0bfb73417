"""Docker's descriptions of a group's containers, from Azure's."""

from __future__ import annotations

from typing import Any

STORE = "io.slipway.azure.store"
GROUP = "io.slipway.azure.group"
CONTAINER = "io.slipway.azure.container"
_GIGABYTE = 1_000_000_000
_RESTART = {"Always": "always", "OnFailure": "on-failure", "Never": "no"}
_LOG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}


def network_body(
    image: str, labels: dict[str, str], inputs: dict[str, Any], address: str, hosts: list[str]
) -> dict[str, Any]:
    """Describe the container that holds the network.

    Args:
        image: What it runs.
        labels: Whose it is.
        inputs: The group's.
        address: Where its ports are published.
        hosts: Names that lead elsewhere than the net says, as Docker takes them.

    Returns:
        The body of Docker's create.
    """
    ports = (inputs.get("ipAddress") or {}).get("ports") or []
    names = [f"{port['port']}/{port.get('protocol', 'TCP').lower()}" for port in ports]
    dns = inputs.get("dnsConfig") or {}
    host: dict[str, Any] = {
        "NetworkMode": "bridge",
        "PortBindings": {name: [{"HostIp": address, "HostPort": name.split("/")[0]}] for name in names},
        "RestartPolicy": {"Name": "always"},
        "LogConfig": _LOG,
        "CapDrop": ["ALL"],
        "ExtraHosts": hosts,
        "Dns": dns.get("nameServers") or [],
        "DnsSearch": (dns.get("searchDomains") or "").split(),
        "DnsOptions": (dns.get("options") or "").split(),
    }
    return {"Image": image, "Labels": labels, "ExposedPorts": {name: {} for name in names}, "HostConfig": host}


def container_body(
    container: dict[str, Any],
    labels: dict[str, str],
    *,
    network: str,
    volumes: dict[str, str],
    restart: str,
    cpus: int,
) -> dict[str, Any]:
    """Describe one of the group's containers.

    Args:
        container: As Azure's API has it.
        labels: Whose it is.
        network: The container whose network it shares.
        volumes: Docker's names of the group's volumes, by Azure's.
        restart: Azure's restart policy.
        cpus: How many the engine has: Docker refuses to promise more.

    Returns:
        The body of Docker's create.
    """
    resources = container.get("resources") or {}
    allowed = {**resources.get("requests", {}), **(resources.get("limits") or {})}
    security = container.get("securityContext") or {}
    capabilities = security.get("capabilities") or {}
    binds = [
        f"{volumes[mount['name']]}:{mount['mountPath']}:{'ro' if mount.get('readOnly') else 'rw'}"
        for mount in container.get("volumeMounts") or []
    ]
    host: dict[str, Any] = {
        "NetworkMode": f"container:{network}",
        "Binds": binds,
        "RestartPolicy": {"Name": _RESTART[restart]},
        "LogConfig": _LOG,
        "CapAdd": capabilities.get("add") or [],
        "CapDrop": capabilities.get("drop") or [],
    }
    if allowed:
        host["NanoCpus"] = int(min(allowed["cpu"], cpus) * 1e9)
        host["Memory"] = int(allowed["memoryInGB"] * _GIGABYTE)
    if security.get("allowPrivilegeEscalation") is False:
        host["SecurityOpt"] = ["no-new-privileges"]
    body: dict[str, Any] = {
        "Image": container["image"],
        "Labels": labels,
        "Env": [
            f"{one['name']}={one.get('secureValue', one.get('value', ''))}"
            for one in container.get("environmentVariables") or []
        ],
        "HostConfig": host,
    }
    if container.get("command"):
        # Azure's command takes the place of the image's entrypoint and of its command.
        body["Entrypoint"] = container["command"]
    user, group = security.get("runAsUser"), security.get("runAsGroup")
    if user is not None:
        body["User"] = f"{user}:{group}" if group is not None else str(user)
    return body
