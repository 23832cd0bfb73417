"""Endpoints that anybody can reach ask who it is: containers with addresses or ports of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from policies.rules import azure, docker
from policies.rules.rule import UNKNOWN, Rule, at, items, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from policies.rules.containers import Container
    from policies.rules.rule import Resource

# How a service of Slipway's asks.
ASKING = ("key", "entra")


def wrong(found: list[Container]) -> str | None:
    """Return what is wrong with how containers behind one address ask callers who they are.

    A proxy beside a model says nothing; one that says that it lets everybody in is too many.

    Args:
        found: The containers.
    """
    said = [one.auth for one in found if one.auth is not None]
    if any(one not in ASKING and one is not UNKNOWN for one in said):
        return next(f"SLIPWAY_AUTH {one}" for one in said if one not in ASKING and one is not UNKNOWN)
    return None if said else "no SLIPWAY_AUTH"


def _check(resource: Resource, _options: Mapping[str, Any]) -> Iterator[str]:
    for found, where in _open(resource):
        if (has := wrong(found)) is not None:
            yield (
                f"{where} can be reached from outside, and what answers there has {has}. "
                f"Allowed: SLIPWAY_AUTH {' or '.join(ASKING)}. "
                "Set `auth: key` for the model's target in models.yaml, or give it no public address."
            )


def _open(resource: Resource) -> Iterator[tuple[list[Container], str]]:
    """What listens where others can reach it."""
    if resource.kind == azure.GROUP:
        address = at(resource.body, "ipAddress")
        if str(at(address, "type")).lower() == "public":
            ports = ", ".join(told(at(port, "port")) for port in items(at(address, "ports")))
            yield list(azure.containers(resource)), f"the public address with port {ports}"
        return
    found = {one.what: one for one in docker.containers(resource)}
    for name, where in docker.open_ports(resource):
        yield [found[name]], f"{name} at {where}"


AUTHENTICATED_ENDPOINTS = Rule(
    "authenticated-endpoints", "What can be reached from outside asks callers for a key or a token.", _check
)
