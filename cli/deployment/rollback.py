"""Takes a Deployment whose new version never became ready back to the pods that serve."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cli.errors import CliError
from cli.placements.pods import ROLLED_BACK, is_stuck, pods_of, refused, trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cli.placements.cluster import Cluster, Deployment

_REVISION = "deployment.kubernetes.io/revision"
_HASH = "pod-template-hash"
_REASON_CHARACTERS = 8000
_SEEN_SECONDS = 30.0
_LOOK_SECONDS = 0.5


def roll_back(cluster: Cluster, tell: Callable[[str], None]) -> None:
    """Take back every Deployment of a stack whose change was given up while pods of before serve.

    They would go on without this, and be replaced where they are lost. But the pods that fail would go on being
    started, and an autoscaler would give them a part of what it adds.

    Args:
        cluster: The stack's.
        tell: Tells what was done.

    Raises:
        CliError: The cluster does not answer, or refuses.
    """
    stuck = [one for one in cluster.deployments() if is_stuck(one)]
    pods = cluster.pods() if stuck else []
    for deployment in stuck:
        name = deployment.metadata.name
        earlier = serving(deployment, cluster.replica_sets(deployment))
        if earlier is None:
            continue
        wrong = next((one.message for pod in pods_of(deployment, pods) if (one := trouble(pod, cluster))), None)
        reason = wrong or refused(deployment) or "its pods did not become ready in time"
        found = restored(cluster.plain(deployment), cluster.plain(earlier.spec.template), reason)
        if found is None:
            tell(f"{name} cannot be rolled back: nobody applied it on the server. The pods of before go on serving.")
            continue
        manager, body = found
        cluster.apply(deployment, manager, body)
        _await_seen(cluster, deployment)
        tell(f"{name} is rolled back to the pods that serve. The next `slipway up` tries again what models.yaml says.")


def serving(deployment: Deployment, sets: Iterable[Any]) -> Any | None:
    """Return the ReplicaSet to go back to: the latest with pods that serve, beside the one that was given up.

    Args:
        deployment: The Deployment.
        sets: Its ReplicaSets.
    """
    given_up = _revision(deployment)
    good = [one for one in sets if (one.status.available_replicas or 0) > 0 and _revision(one) != given_up]
    return max(good, key=_revision, default=None)


def _revision(found: Any) -> int:
    return int((found.metadata.annotations or {}).get(_REVISION, 0))


def restored(deployment: dict[str, Any], template: dict[str, Any], reason: str) -> tuple[str, dict[str, Any]] | None:
    """Return what to apply, and as whom; None where nobody owns the template by server-side apply.

    It is applied in the name of whoever applied the template, Pulumi's provider: its next update meets no conflict,
    and removes the mark with the reason.

    Args:
        deployment: The Deployment as the API has it.
        template: Of the pods that serve.
        reason: Why the change was given up.
    """
    metadata, spec = deployment["metadata"], deployment["spec"]
    for one in metadata.get("managedFields") or []:
        owned = one.get("fieldsV1") or {}
        if one.get("operation") != "Apply" or "f:template" not in owned.get("f:spec", {}):
            continue
        own = owned.get("f:metadata", {})
        labels = {key: value for key, value in (template["metadata"].get("labels") or {}).items() if key != _HASH}
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "labels": _kept(metadata.get("labels"), own.get("f:labels")),
                "annotations": {
                    **_kept(metadata.get("annotations"), own.get("f:annotations")),
                    ROLLED_BACK: reason[:_REASON_CHARACTERS],
                },
            },
            # What it does not own, as a number of pods that an autoscaler sets, it must not take.
            "spec": {
                **_kept(spec, owned["f:spec"]),
                "template": {**template, "metadata": {**template["metadata"], "labels": labels}},
            },
        }
        return one["manager"], body
    return None


def _kept(values: dict[str, Any] | None, owned: dict[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (values or {}).items() if f"f:{key}" in (owned or {})}


def _await_seen(cluster: Cluster, deployment: Deployment) -> None:
    """Wait until the cluster has taken it up, so that who looks next sees what is."""
    where = deployment.metadata.namespace, deployment.metadata.name
    end = time.monotonic() + _SEEN_SECONDS
    while time.monotonic() < end:
        found = [one for one in cluster.deployments() if (one.metadata.namespace, one.metadata.name) == where]
        if not any(map(is_stuck, found)):
            return
        time.sleep(_LOOK_SECONDS)
    raise CliError(f"{where[1]}: the cluster has not taken up within {_SEEN_SECONDS:.0f} s that it is rolled back.")
