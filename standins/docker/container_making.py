"""Making a container and getting it to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provider.resource import ProviderError
from standins.docker.container_config import create_body
from standins.docker.engine import CONFLICT, EngineError
from standins.docker.health import START_INTERVAL_API
from standins.docker.normal import normal

if TYPE_CHECKING:
    from standins.docker.engine import Engine


def run_container(engine: Engine, inputs: dict[str, Any]) -> str:
    """Make a container, connect it to its networks and start it if it shall be.

    Args:
        engine: Where.
        inputs: As checked; the image is there.

    Returns:
        Its id.

    Raises:
        ProviderError: It cannot be; then there is none.
    """
    container = _make(engine, inputs)
    try:
        _connect(engine, container, inputs)
        if inputs["start"]:
            start_container(engine, container, inputs)
    except BaseException:
        # It has never run, so nothing is lost, and the name is free for the next attempt.
        remove_container(engine, container, inputs["name"])
        raise
    return container


def _make(engine: Engine, inputs: dict[str, Any]) -> str:
    name = inputs["name"]
    body = create_body(inputs, start_interval=engine.at_least(START_INTERVAL_API))
    try:
        with engine.doing(f'create container "{name}"') as api:
            made: str = api.create_container_from_config(body, name, inputs.get("platform"))["Id"]
            return made
    except EngineError as error:
        there = engine.inspect_container(name) if error.status == CONFLICT else None
        if there is None:
            raise
        raise ProviderError(_taken(name, there)) from error


def _taken(name: str, there: dict[str, Any]) -> str:
    short, image, status = there["Id"][:12], there["Config"]["Image"], there["State"]["Status"]
    return (
        f'a container named "{name}" is there already ({short}, image {image}, {status}), and this stack does not '
        f"know it: remove it (`docker rm -f {name}`), choose another name, or import it "
        f"(`pulumi import docker:index/container:Container NAME {short}`)"
    )


def remove_container(engine: Engine, container: str, name: str, *, volumes: bool = True) -> None:
    """Kill and remove a container.

    Args:
        engine: Where.
        container: Its id.
        name: For messages.
        volumes: Its anonymous volumes too.
    """
    with engine.doing(f'remove container "{name}"') as api:
        api.remove_container(container, v=volumes, force=True)


def _connect(engine: Engine, container: str, inputs: dict[str, Any]) -> None:
    networks = inputs.get("networksAdvanced") or []
    if networks and normal("networkMode", inputs["networkMode"]) == "bridge":
        with engine.doing("leave the default network") as api:
            api.disconnect_container_from_network(container, "bridge")
    for network in networks:
        with engine.doing(f"connect to network {network['name']}") as api:
            api.connect_container_to_network(
                container,
                network["name"],
                ipv4_address=network.get("ipv4Address"),
                ipv6_address=network.get("ipv6Address"),
                aliases=network.get("aliases"),
                link_local_ips=network.get("linkLocalIps"),
                driver_opt=dict(option.split("=", 1) for option in network.get("driverOpts") or []),
                mac_address=network.get("macAddress"),
            )


def start_container(engine: Engine, container: str, inputs: dict[str, Any]) -> None:
    """Start a container; it may run already.

    Args:
        engine: Where.
        container: Its id.
        inputs: For messages.

    Raises:
        ProviderError: It does not start; when a port is taken, with who has it.
    """
    try:
        with engine.doing(f'start container "{inputs["name"]}"') as api:
            api.start(container)
    except EngineError as error:
        raise ProviderError(f"{error}{_port_holder(engine, inputs, str(error))}") from error


def _port_holder(engine: Engine, inputs: dict[str, Any], error: str) -> str:
    if "port is already allocated" not in error and "address already in use" not in error:
        return ""
    wanted = {port.get("external") for port in inputs.get("ports") or []} - {None}
    with engine.doing("list containers") as api:
        for other in api.containers():
            taken = wanted & {port.get("PublicPort") for port in other.get("Ports") or []}
            if taken:
                name = other["Names"][0].lstrip("/")
                return f"; container {name} has port {min(taken)}: stop it, or choose another port"
    return "; another program on this machine has the port: stop it, or choose another port"
