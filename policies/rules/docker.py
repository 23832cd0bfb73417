"""Containers on a Docker engine, and modules of IoT Edge, which are that too."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from policies.rules.containers import Container, capabilities
from policies.rules.rule import UNKNOWN, at, items, mapping, told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.rules.rule import Resource

CONTAINER, IMAGE, DEPLOYMENT = "docker:Container", "docker:RemoteImage", "slipway:EdgeDeployment"
_MODULE = re.compile(r"properties\.desired\.modules\.([^.]+)")
_OPTIONS = re.compile(r"createOptions(\d\d)?")
_LOOPBACK = re.compile(r"127\..*|::1|localhost")


def containers(resource: Resource) -> Iterator[Container]:
    """Return a resource's containers."""
    body = resource.body
    if resource.kind == IMAGE:
        yield Container("the image", image=at(body, "name"))
    elif resource.kind == CONTAINER:
        yield Container(
            "the container",
            image=at(body, "image"),
            missing=tuple(name for name in ("memory", "cpus") if not at(body, name)),
            excess=tuple(_excess(body)),
            variables=_variables(at(body, "envs")),
        )
    elif resource.kind == DEPLOYMENT:
        for name, module in _modules(at(body, "content")):
            host = mapping(at(module.get("options"), "HostConfig"))
            yield Container(
                f"module {name}",
                image=at(module, "settings", "image"),
                # A device's processors are left to its modules together; memory that runs out ends all of them.
                missing=() if module["options"] is UNKNOWN or host.get("Memory") else ("HostConfig.Memory",),
                excess=tuple(_edge_excess(mapping(module["options"]), host)),
                variables={key: at(one, "value") for key, one in mapping(at(module, "env")).items()},
            )


def open_ports(resource: Resource) -> Iterator[tuple[str, str]]:
    """Return each port that others than the machine itself can reach: the container's name, and where it listens."""
    if resource.kind == CONTAINER:
        for port in items(at(resource.body, "ports")):
            address = at(port, "ip")
            if at(port, "external") is not None and _is_open(address):
                yield "the container", f"{address or '0.0.0.0'}:{told(at(port, 'external'))}"  # noqa: S104 - shown
    elif resource.kind == DEPLOYMENT:
        for name, module in _modules(at(resource.body, "content")):
            for bindings in mapping(at(module["options"], "HostConfig", "PortBindings")).values():
                for one in items(bindings):
                    if _is_open(at(one, "HostIp")):
                        yield f"module {name}", f"{at(one, 'HostIp') or '0.0.0.0'}:{at(one, 'HostPort')}"  # noqa: S104 - shown


def _is_open(address: Any) -> bool:
    return address is not UNKNOWN and not _LOOPBACK.fullmatch(str(address or ""))


def _variables(envs: Any) -> dict[str, Any]:
    pairs = (str(one).partition("=") for one in items(envs) if one is not UNKNOWN)
    return {name: value for name, _, value in pairs}


def _excess(body: Any) -> Iterator[str]:
    if _is_root(at(body, "user")):
        yield f"user: {told(at(body, 'user'))}"
    if at(body, "privileged") is True:
        yield "privileged: true"
    for name in ("networkMode", "pidMode", "ipcMode", "usernsMode"):
        if at(body, name) == "host":
            yield f"{name}: host"
    yield from capabilities(items(at(body, "capabilities", "adds")), "capabilities.adds")


def _edge_excess(options: dict[str, Any], host: dict[str, Any]) -> Iterator[str]:
    if _is_root(options.get("User")):
        yield f"User: {options['User']}"
    if host.get("Privileged") is True:
        yield "HostConfig.Privileged: true"
    for name in ("NetworkMode", "PidMode", "IpcMode", "UsernsMode"):
        if host.get(name) == "host":
            yield f"HostConfig.{name}: host"
    yield from capabilities(items(host.get("CapAdd")), "HostConfig.CapAdd")


def _is_root(user: Any) -> bool:
    """Tell whether a user is named who is root; where none is, it is the image's, which is not root in Slipway's."""
    return user is not None and user is not UNKNOWN and str(user).partition(":")[0] in {"0", "root"}


def _modules(content: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The modules of a deployment, but for the runtime's own, which Microsoft makes and which need rights."""
    agent = mapping(at(content, "$edgeAgent"))
    found = dict(mapping(at(agent.get("properties.desired"), "modules")))
    for key, value in agent.items():
        if match := _MODULE.fullmatch(key):
            found[match[1]] = value
    for name, module in sorted(found.items()):
        if isinstance(module, dict):
            yield name, {**module, "options": _options(mapping(at(module, "settings")))}


def _options(settings: dict[str, Any]) -> Any:
    """What a module's container is made with: a text of JSON, in pieces where it is long."""
    pieces = [value for key, value in sorted(settings.items()) if _OPTIONS.fullmatch(key)]
    if any(piece is UNKNOWN for piece in pieces):
        return UNKNOWN
    if pieces and isinstance(pieces[0], dict):
        return pieces[0]
    try:
        return json.loads("".join(map(str, pieces)) or "{}")
    except ValueError:
        return {}
