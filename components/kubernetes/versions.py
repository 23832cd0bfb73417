"""Two versions of one model side by side: how many pods each has, and how requests are shared between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pulumi

from components.kubernetes import network
from components.kubernetes.canary import FINISHED, RUNNING, staged
from components.kubernetes.workload import Count

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from components.access_keys import AccessKeys
    from components.kubernetes.place import Place
    from manifest import AksTarget
    from manifest.kubernetes import KubernetesSettings
    from manifest.targets.canary import Canary
    from manifest.targets.replicas import Replicas

    # At least, at most.
    Numbers = tuple[int, int]

CANARY, SHADOW = "canary", "shadow"


@dataclass(frozen=True)
class Trial:
    """How one version is tried beside another.

    Attributes:
        weight: The share of the one that is tried, in percent; None for a shadow, which has copies.
        image: What the Deployment of the version that serves runs.
        version: Which version that is.
        stable: How many pods it has.
        tried: How many pods the one that is tried has.
        outputs: What the stack exports of it.
    """

    weight: pulumi.Input[int] | None
    image: pulumi.Input[str]
    version: pulumi.Input[str]
    stable: Count
    tried: Count
    outputs: Mapping[str, Any]


def tried(place: Place, target: AksTarget) -> Place | None:
    """Return the place of the version that is tried beside the one that serves; None where there is no other.

    Args:
        place: That of the version that serves.
        target: What the manifest asks for.
    """
    if target.earlier is None:
        return None
    return replace(place, track=CANARY if target.canary else SHADOW)


def shadow(target: AksTarget, earlier: pulumi.Input[str], version: str) -> Trial:
    """Return how a shadow runs: as the version that serves.

    Args:
        target: What the manifest asks for.
        earlier: The image of the version that serves.
        version: The version that is tried.
    """
    count = Count.of(target.replicas)
    serves = target.earlier.version if target.earlier else version
    return Trial(None, earlier, serves, count, count, {"shadow": version})


def canary(
    place: Place,
    target: AksTarget,
    wanted: Canary,
    images: tuple[pulumi.Input[str], pulumi.Input[str]],
    version: str,
    *,
    by_gateway: bool,
    keys: AccessKeys | None,
) -> Trial:
    """Return how a canary runs, and say in the preview how requests are shared.

    Args:
        place: Where the version is that is tried.
        target: What the manifest asks for.
        wanted: What it says of the canary.
        images: Those of the version that serves and of the one that is tried.
        version: The version that is tried.
        by_gateway: Whether a Gateway shares requests out.
        keys: The service's keys.
    """
    replicas, way = target.replicas, "gateway" if by_gateway else "replicas"
    if not wanted.is_staged:
        numbers = shares(replicas, wanted.shares[0], by_gateway=by_gateway)
        percent = _tell(f"{place.model}: version {version}", wanted, numbers, wanted.shares[0], by_gateway=by_gateway)
        stable, other = (Count(*one, replicas.autoscaled, replicas.cpu) for one in numbers)
        exported = {"version": version, "percent": percent, "by": way}
        return Trial(wanted.shares[0], images[0], wanted.from_.version, stable, other, {"canary": exported})
    known = {"fromVersion": wanted.from_.version, "toVersion": version, "from": images[0], "to": images[1]}
    pods = [shares(replicas, weight, by_gateway=by_gateway)[1][0] for weight in wanted.shares]
    found = staged(place, wanted, known, pods, access=place.cluster.access, keys=keys)
    stage = pulumi.Output.all(found.weight, found.phase)

    def numbers_of(stage: Sequence[Any]) -> tuple[Numbers, Numbers]:
        weight, phase = int(stage[0]), stage[1]
        stable, other = shares(replicas, weight, by_gateway=by_gateway)
        # A canary that has all requests lets the other Deployment run its version, at full strength, and stays until
        # it is taken from the manifest: so no request misses a pod.
        return (_whole(replicas) if phase == FINISHED else stable), other

    def percent_of(stage: Sequence[Any]) -> int:
        weight, phase = int(stage[0]), stage[1]
        if phase != RUNNING:
            return 100 if phase == FINISHED else 0
        what = f"{place.model}: version {version}"
        return _tell(what, wanted, numbers_of(stage), weight, by_gateway=by_gateway)

    both = stage.apply(numbers_of)
    stable, other = (
        Count(both.apply(_at(one, 0)), both.apply(_at(one, 1)), replicas.autoscaled, replicas.cpu, stops=one == 1)
        for one in (0, 1)
    )
    exported = {
        "version": version,
        "percent": stage.apply(percent_of),
        "by": way,
        "phase": found.phase,
        "since": found.since,
        "reason": found.reason,
    }
    serves = (
        pulumi.Output.all(found.phase, earlier, later).apply(lambda all_: str(all_[2 if all_[0] == FINISHED else 1]))
        for earlier, later in (images, (wanted.from_.version, version))
    )
    return Trial(found.weight, next(serves), next(serves), stable, other, {"canary": exported})


def _at(version: int, bound: int) -> Callable[[tuple[Numbers, Numbers]], int]:
    return lambda both: both[version][bound]


def shares(replicas: Replicas, weight: int, *, by_gateway: bool) -> tuple[Numbers, Numbers]:
    """Return how many pods the version that serves has at least and at most, and how many the canary.

    Args:
        replicas: How many the model has.
        weight: The canary's share, in percent; with 0 it has no pods.
        by_gateway: Whether a Gateway shares requests out, so that the one that serves keeps all of its pods.
    """
    least, most = _whole(replicas)
    canary = (_part(least, weight), _part(most, weight))
    if by_gateway:
        return (least, most), canary
    return (max(1, least - canary[0]), max(1, most - canary[1])), canary


def _whole(replicas: Replicas) -> Numbers:
    return replicas.min, replicas.max or replicas.min


def _part(number: int, weight: int) -> int:
    return max(1, round(number * weight / 100)) if weight else 0


def _tell(what: str, wanted: Canary, numbers: tuple[Numbers, Numbers], weight: int, *, by_gateway: bool) -> int:
    """Say in the preview how requests are shared; return the canary's share, in percent."""
    (stable, _), (canary, _) = numbers
    what = f"{what} is a canary beside {wanted.from_.version}"
    if by_gateway:
        pulumi.log.info(f"{what}, with {weight} % of the requests by the Gateway's weights.")
        return weight
    share = round(100 * canary / (canary + stable))
    more = "" if abs(share - weight) <= 1 else f" {weight} % were asked for: more replicas come closer to it."
    pulumi.log.info(
        f"{what}, with {share} % of the requests by its share of the pods ({canary} of {canary + stable}), "
        f"since there is no Gateway with weights (slipway:kubernetes.gateway and `host`).{more}"
    )
    return share


def rule(place: Place, beside: Place | None, weight: pulumi.Input[int] | None) -> dict[str, Any]:
    """Return where a Gateway leads requests.

    Args:
        place: That of the version that serves.
        beside: That of the version that is tried, if there is one.
        weight: The canary's share, in percent; None for a shadow.
    """
    if beside is None:
        return {"backendRefs": [network.backend(place.name)]}
    stable, other = (network.inner_service(one).metadata.apply(_name) for one in (place, beside))
    if weight is not None:
        rest = pulumi.Output.from_input(weight).apply(lambda known: 100 - known)
        return {"backendRefs": [network.backend(stable, rest), network.backend(other, weight)]}
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
