"""Kubernetes clusters and their pools of nodes: a cluster is the local Kubernetes, whatever its pools are."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provider.resource import ProviderError
from standins.azure_native.arm import ArmError
from standins.azure_native.kinds.kind import Kind, made_up
from standins.azure_native.store import fetch

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from standins.azure_native.store import Record

_MOST_DNS_PREFIX = 54


def _wrong_pool(pool: dict[str, Any]) -> Iterator[tuple[str, str]]:  # noqa: C901 - rule by rule
    """Find what Azure refuses in a pool: the property, and why."""
    least, most, count = (pool.get(name) for name in ("minCount", "maxCount", "count"))
    if pool.get("enableAutoScaling"):
        if not isinstance(least, int) or not isinstance(most, int):
            yield "minCount", "and maxCount are required with enableAutoScaling"
        elif least > most:
            yield "minCount", f"is {least}, more than maxCount {most}"
        elif isinstance(count, int) and not least <= count <= most:
            yield "count", f"is {count}, not between minCount {least} and maxCount {most}"
    elif least is not None or most is not None:
        yield "minCount", "and maxCount need enableAutoScaling"
    if pool.get("mode") == "System" and isinstance(least, int) and least < 1:
        yield "minCount", "is at least 1 for a System pool"
    if pool.get("scaleSetPriority") == "Spot":
        if pool.get("mode") == "System":
            yield "scaleSetPriority", "System pools cannot be Spot"
        if (pool.get("upgradeSettings") or {}).get("maxSurge"):
            yield "upgradeSettings.maxSurge", "cannot be set for Spot pools"
    elif pool.get("scaleSetEvictionPolicy") is not None or pool.get("spotMaxPrice") is not None:
        yield "scaleSetEvictionPolicy", "and spotMaxPrice are for Spot pools only"


class ManagedCluster(Kind):
    """A Kubernetes cluster; its credentials lead to the one on this machine."""

    force_new = frozenset(
        {
            "diskEncryptionSetID",
            "dnsPrefix",
            "fqdnSubdomain",
            "linuxProfile",
            "networkProfile",
            "nodeResourceGroup",
            "windowsProfile",
        }
    )
    write_only = ("servicePrincipalProfile.secret", "windowsProfile.adminPassword")

    def check(self, inputs: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Check what Azure wants beyond the types."""
        yield from super().check(inputs)
        prefix = inputs.get("dnsPrefix")
        if isinstance(prefix, str) and len(prefix) > _MOST_DNS_PREFIX:
            yield "dnsPrefix", f"{prefix!r} has {len(prefix)} characters; Azure allows {_MOST_DNS_PREFIX}"
        pools = inputs.get("agentPoolProfiles")
        if not isinstance(pools, list):
            yield "agentPoolProfiles", "is required by Azure, though the SDK does not say so"
            return
        known = [pool for pool in pools if isinstance(pool, dict)]
        if len(known) == len(pools) and not any(pool.get("mode") == "System" for pool in known):
            yield "agentPoolProfiles", "has no pool of the mode System"
        for index, pool in enumerate(known):
            yield from ((f"agentPoolProfiles[{index}].{path}", reason) for path, reason in _wrong_pool(pool))
        if inputs.get("disableLocalAccounts") and not (inputs.get("aadProfile") or {}).get("managed"):
            yield "disableLocalAccounts", "needs a managed aadProfile"

    def compute(
        self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any], old: Record | None
    ) -> dict[str, Any]:
        """Give it the kubelet's identity, and the address of its tokens."""
        name = resource.rpartition("/")[2]
        issuer = f"https://{inputs['location']}.oic.example.invalid/{made_up('issuer', resource)}/"
        profile = inputs.get("oidcIssuerProfile") or {}
        kubelet = {part: made_up(f"kubelet-{part}", resource) for part in ("clientId", "objectId")}
        return {
            **super().compute(db, resource, inputs, old),
            "identityProfile": {"kubeletidentity": kubelet},
            **({"oidcIssuerProfile": {**profile, "issuerURL": issuer}} if profile.get("enabled") else {}),
            "fqdn": f"{inputs.get('dnsPrefix', name)}.hcp.example.invalid",
            "nodeResourceGroup": inputs.get("nodeResourceGroup") or f"MC_{name}",
        }


class AgentPool(Kind):
    """Nodes of a cluster: state only, the local Kubernetes has its own."""

    force_new = frozenset({"gpuInstanceProfile", "vmSize"})

    def check(self, inputs: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Check what Azure wants beyond the types."""
        yield from super().check(inputs)
        yield from _wrong_pool(inputs)

    def refuse_create(self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any]) -> None:
        """Refuse the name of one of the pools that the cluster itself has."""
        cluster = fetch(db, resource.partition("/agentPools/")[0])
        own = (cluster.body.get("agentPoolProfiles") if cluster else None) or []
        if any(pool.get("name") == inputs["agentPoolName"] for pool in own):
            raise ArmError(409, "AgentPoolExists", f"The cluster has a pool {inputs['agentPoolName']} already.")


def user_credentials(record: Record) -> dict[str, Any]:
    """Return the local Kubernetes' kubeconfig, as Azure hands out a cluster's.

    Args:
        record: The cluster.

    Raises:
        ProviderError: There is no Kubernetes on this machine.
    """
    from toolchain.cache import Cache, cache_home  # noqa: PLC0415 - only clusters need it

    given = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    file = Path(given) if given else Cache(cache_home(os.environ)).run / "kubernetes" / "kubeconfig"
    try:
        content = file.read_bytes()
    except OSError:
        raise ProviderError(
            f"{record.name} is on the stand-in for Azure the Kubernetes of this machine, and there is none: "
            "`make kubernetes` starts it"
        ) from None
    return {"kubeconfigs": [{"name": "clusterUser", "value": base64.b64encode(content).decode()}]}
