"""Two versions of one model side by side: how many pods each has, and how requests are shared between them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pulumi

from components.kubernetes import network
from manifest.targets.replicas import Replicas

if TYPE_CHECKING:
    from components.kubernetes.place import Place
    from manifest import AksTarget
    from manifest.kubernetes import KubernetesSettings

CANARY, SHADOW = "canary", "shadow"


def tried(place: Place, target: AksTarget, version: str) -> Place | None:
    """Return the place of the version that is tried beside the one that serves; None where there is no other.

    Args:
        place: That of the version that serves.
        target: What the manifest asks for.
        version: The version that is tried.
    """
    if target.earlier is None:
        return None
    return replace(place, version=version, track=CANARY if target.canary else SHADOW)


def shares(replicas: Replicas, weight: int, *, by_gateway: bool) -> tuple[Replicas, Replicas]:
    """Return how many pods the version that serves has, and how many the canary.

    Args:
        replicas: How many the model has.
        weight: The canary's share, in percent.
        by_gateway: Whether a Gateway shares requests out, so that the one that serves keeps all of its pods.
    """
    most = replicas.max or replicas.min
    canary = _of(replicas, _part(replicas.min, weight), _part(most, weight))
    if by_gateway:
        return replicas, canary
    return _of(replicas, max(1, replicas.min - canary.min), max(1, most - (canary.max or canary.min))), canary


def _part(number: int, weight: int) -> int:
    return max(1, round(number * weight / 100))


def _of(replicas: Replicas, least: int, most: int) -> Replicas:
    bounds = {"min": least, "max": most} if replicas.autoscaled else {"min": least}
    return Replicas.model_validate({**bounds, "cpu": replicas.cpu})


def tell(place: Place, target: AksTarget, stable: Replicas, canary: Replicas, *, by_gateway: bool) -> int:
    """Say in the preview how requests are shared; return the canary's share, in percent.

    Args:
        place: That of the version that is tried.
        target: What the manifest asks for.
        stable: The pods of the version that serves.
        canary: The canary's.
        by_gateway: Whether a Gateway shares requests out.
    """
    weight = target.canary.weight if target.canary else 0
    earlier = target.earlier.version if target.earlier else ""
    what = f"{place.model}: version {place.version} is a canary beside {earlier}"
    if by_gateway:
        pulumi.log.info(f"{what}, with {weight} % of the requests by the Gateway's weights.")
        return weight
    share = round(100 * canary.min / (canary.min + stable.min))
    more = "" if abs(share - weight) <= 1 else f" {weight} % were asked for: more replicas come closer to it."
    pulumi.log.info(
        f"{what}, with {share} % of the requests by its share of the pods ({canary.min} of {canary.min + stable.min}), "
        f"since there is no Gateway with weights (slipway:kubernetes.gateway and `host`).{more}"
    )
    return share


def rule(place: Place, target: AksTarget, beside: Place | None) -> dict[str, Any]:
    """Return where a Gateway leads requests.

    Args:
        place: That of the version that serves.
        target: What the manifest asks for.
        beside: That of the version that is tried, if there is one.
    """
    if beside is None:
        return {"backendRefs": [network.backend(place.name)]}
    stable, other = (network.inner_service(one).metadata.apply(_name) for one in (place, beside))
    if target.canary:
        weight = target.canary.weight
        return {"backendRefs": [network.backend(stable, 100 - weight), network.backend(other, weight)]}
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": network.backend(other)}}
    return {"filters": [mirror], "backendRefs": [network.backend(stable)]}


def by_gateway(target: AksTarget, settings: KubernetesSettings) -> bool:
    """Return whether a Gateway shares requests out.

    Args:
        target: What the manifest asks for.
        settings: The stack's configuration.
    """
    return bool(target.host and settings.gateway)


def _name(metadata: Any) -> str:
    return metadata.name or ""
