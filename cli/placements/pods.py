"""What keeps a pod or a Deployment on Kubernetes from serving, in plain words, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.errors import CliError
from cli.logs.events import readable
from cli.placements.states import ASLEEP, FAILED, READY, STARTING, STOPPED, STUCK, TAKEN_BACK, UPDATING, restoring

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cli.placements.cluster import Cluster, Deployment, Pod

_LAST_LINES = 15
_PULL = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
# The mark of a Deployment that was taken back to its earlier pods, with the reason.
ROLLED_BACK = "slipway.io/rolled-back"
# The mark of a Deployment that may have no pods, by the manifest.
SLEEPS = "slipway.io/sleeps"
_CONFIG = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a pod.

    Attributes:
        message: What it is.
        mend: What to do.
    """

    message: str
    mend: str


def is_ready(pod: Pod) -> bool:
    """Return whether requests are led to a pod."""
    return _condition(pod.status, "Ready") == "True" and pod.metadata.deletion_timestamp is None


def trouble(pod: Pod, cluster: Cluster) -> Trouble | None:  # noqa: PLR0911 - one for each kind of trouble
    """Return what keeps a pod from serving; None where nothing does, or where it only starts or ends.

    Args:
        pod: The pod.
        cluster: Where it is, for its events and its log.
    """
    if is_ready(pod) or pod.metadata.deletion_timestamp is not None:
        return None
    model = pod.metadata.labels.get("app.kubernetes.io/name", "")
    if pod.status.phase == "Failed" and pod.status.reason:
        return Trouble(
            f"{pod.metadata.name} was put out ({pod.status.reason}): {pod.status.message or ''}".rstrip(": "),
            "Another pod takes its place by itself. If it happens again, give the target more `memory`.",
        )
    status = next(iter(pod.status.container_statuses or ()), None)
    if status is None:
        return _pending(pod)
    waiting, ended = status.state.waiting, status.state.terminated or status.last_state.terminated
    if waiting and waiting.reason in _PULL:
        return Trouble(
            # The end is the reason; before it stands who told whom.
            f"The image of {pod.metadata.name} cannot be pulled: "
            f"{(waiting.message or waiting.reason).rpartition('failed to resolve reference ')[2]}",
            "The node has to reach the registry and be allowed to pull: on AKS the cluster's AcrPull role, elsewhere "
            "slipway:kubernetes.pullSecret.",
        )
    if waiting and waiting.reason in _CONFIG:
        return Trouble(
            f"{pod.metadata.name} cannot be started: {waiting.message or waiting.reason}",
            f"If somebody removed a Secret: `{restoring(cluster.stack)}` restores it.",
        )
    if ended:
        return _ended(pod, status, ended, cluster)
    return _not_ready(pod, cluster, model)


def _pending(pod: Pod) -> Trouble | None:
    why = next(
        (one for one in pod.status.conditions or () if one.type == "PodScheduled" and one.status == "False"), None
    )
    if why is None:
        return None
    return Trouble(
        f"{pod.metadata.name} finds no node: {why.message}",
        "Give the target less `cpu`, `memory` or `gpu`, or the cluster more nodes; slipway:kubernetes.nodeSelector may "
        "leave out those that there are.",
    )


def _ended(pod: Pod, status: Any, ended: Any, cluster: Cluster) -> Trouble:
    if ended.reason == "OOMKilled":
        return Trouble(
            f"{pod.metadata.name} was killed because it used more memory than its limit.",
            "Give its target more `memory` in models.yaml, then `slipway up`.",
        )
    # Since the pod was read, the container may have been started again, or the one before forgotten.
    previous = status.state.terminated is None
    said = _last_lines(pod, cluster, previous=previous) or _last_lines(pod, cluster, previous=not previous)
    times = f", {status.restart_count} restarts so far" if status.restart_count else ""
    return Trouble(
        f"{pod.metadata.name} ends with exit code {ended.exit_code}{times}."
        + (f" It said at last:\n{said}" if said else ""),
        "Mend the script or its files, then `slipway up`. Pods of the version before, if there are any, go on serving.",
    )


def _not_ready(pod: Pod, cluster: Cluster, model: str) -> Trouble | None:
    try:
        warnings = cluster.events(pod)
    except CliError:
        warnings = []
    probes = [one for one in warnings if "probe failed" in one]
    if not probes:
        return None
    return Trouble(
        f"{pod.metadata.name} runs and is not ready: {probes[-1]}",
        f"`slipway logs {model}` tells what it does. If it only needs longer to start, raise `startupSeconds`.",
    )


def _last_lines(pod: Pod, cluster: Cluster, *, previous: bool) -> str:
    try:
        lines = [readable(text) for _, text in cluster.log(pod, tail=_LAST_LINES, previous=previous)]
    except CliError:
        return ""
    return "\n".join(lines)


def pods_of(deployment: Deployment, pods: Iterable[Pod]) -> list[Pod]:
    """Return the pods of a Deployment; another one of the same model, a canary, has its own."""
    wanted = deployment.spec.selector.match_labels.items()
    return [pod for pod in pods if wanted <= pod.metadata.labels.items()]


def refused(deployment: Deployment) -> str | None:
    """Return why the cluster makes no pods for a Deployment, as a quota that is used up; None where it does."""
    conditions = deployment.status.conditions or ()
    failing = next((one for one in conditions if one.type == "ReplicaFailure" and one.status == "True"), None)
    return str(failing.message) if failing else None


def is_stuck(deployment: Deployment) -> bool:
    """Return whether the latest change was given up because its pods do not become ready."""
    conditions = deployment.status.conditions or ()
    return any(one.type == "Progressing" and one.status == "False" for one in conditions)


def state_of(deployment: Deployment) -> str:
    """Return a Deployment's state in one word.

    `ready`, `updating` (a change is under way, and enough pods serve), `stuck` (it was given up, and they still do),
    `starting`, `failed` (no pod serves, and a change was given up), `rolled back` (it was given up and taken back),
    `asleep` (it has no pods until one of its triggers asks for one), `stopped` (somebody took its pods away).
    """
    wanted, status = deployment.spec.replicas or 0, deployment.status
    if not wanted:
        return ASLEEP if SLEEPS in (deployment.metadata.annotations or {}) else STOPPED
    serves = (status.available_replicas or 0) > 0
    if is_stuck(deployment):
        return STUCK if serves else FAILED
    seen = (status.observed_generation or 0) >= deployment.metadata.generation
    current = seen and (status.updated_replicas or 0) >= wanted and (status.replicas or 0) <= wanted
    if current and (status.available_replicas or 0) >= wanted:
        return TAKEN_BACK if taken_back(deployment) else READY
    return UPDATING if serves else STARTING


def taken_back(deployment: Deployment) -> str | None:
    """Return why a Deployment was taken back to its earlier pods; None where it has what was asked for."""
    reason = (deployment.metadata.annotations or {}).get(ROLLED_BACK)
    return f"its latest change was rolled back: {reason}" if reason else None


def _condition(status: Any, kind: str) -> str | None:
    return next((one.status for one in status.conditions or () if one.type == kind), None)
