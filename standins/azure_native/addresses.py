"""Addresses of this machine that what stands in for Azure's services listens at."""

from __future__ import annotations

import contextlib
import socket

from provider.resource import ProviderError


def bridge_host() -> str:
    """Return the Docker bridge's address, which this machine and its containers reach; others do not."""
    from standins.docker.engine import Engine  # noqa: PLC0415 - only what runs needs it

    with contextlib.suppress(ProviderError, KeyError, IndexError, OSError):
        with Engine().doing("look at the bridge") as api:
            config = api.inspect_network("bridge")["IPAM"]["Config"][0]
        gateway = str(config.get("Gateway") or config["Subnet"].rpartition(".")[0] + ".1")
        free_port(gateway)
        return gateway
    return "127.0.0.1"


def free_port(host: str) -> int:
    """Return a port that nothing listens at."""
    with socket.create_server((host, 0)) as listener:
        return int(listener.getsockname()[1])


def answers(host: str, port: int) -> bool:
    """Tell whether something listens there."""
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True
