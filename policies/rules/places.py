"""Regions and sizes: where, and how large."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from policies.rules.rule import UNKNOWN, Rule, at, items

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from policies.rules.rule import Resource

_TEXTS = {"type": "array", "items": {"type": "string"}, "minItems": 1}


def _region(name: str) -> str:
    """A region as Azure writes it in ids: West Europe is westeurope."""
    return name.replace(" ", "").lower()


def _check_region(resource: Resource, options: Mapping[str, Any]) -> Iterator[str]:
    allowed, given = options.get("regions"), at(resource.body, "location")
    if not allowed or not resource.type.startswith("azure-native:") or not isinstance(given, str):
        return
    # What is in all regions is in none.
    if _region(given) not in {"global", *map(_region, allowed)}:
        yield (
            f"it is in {given}. Allowed: {', '.join(allowed)}. "
            "Set slipway:azure.location of the stack, or have the region added to slipway:policies.regions."
        )


def _check_size(resource: Resource, options: Mapping[str, Any]) -> Iterator[str]:
    allowed = options.get("sizes")
    for what, given in _sizes(resource) if allowed else ():
        if given is not None and given is not UNKNOWN and given.lower() not in {one.lower() for one in allowed or ()}:
            yield (
                f"{what} has machines of the size {given}. Allowed: {', '.join(allowed or ())}. "
                "Set `vmSize` to one of these, or have the size added to slipway:policies.sizes."
            )


def _sizes(resource: Resource) -> Iterator[tuple[str, Any]]:
    body = resource.body
    if resource.kind in {"azure-native:containerservice:AgentPool", "azure-native:batch:Pool"}:
        yield "the pool", at(body, "vmSize")
    elif resource.kind == "azure-native:containerservice:ManagedCluster":
        for pool in items(at(body, "agentPoolProfiles")):
            yield f"the pool {at(pool, 'name')}", at(pool, "vmSize")


ALLOWED_REGIONS = Rule(
    "allowed-regions", "Resources of Azure are in allowed regions.", _check_region, options={"regions": _TEXTS}
)
ALLOWED_SIZES = Rule(
    "allowed-sizes", "Nodes of AKS and of Batch have allowed sizes.", _check_size, options={"sizes": _TEXTS}
)
