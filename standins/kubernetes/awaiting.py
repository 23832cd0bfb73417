"""Waiting until an object works, or is gone: what that means for each kind."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from provider.resource import ProviderError
from standins.kubernetes.api import NOT_FOUND, ApiError
from standins.kubernetes.pods import story

if TYPE_CHECKING:
    from provider.resource import Call
    from standins.kubernetes.api import Api

_SECONDS = 600.0
_LOOK_SECONDS = 0.5
_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")


class NotReadyError(ProviderError):
    """It is there, and does not work.

    Attributes:
        found: What it was at last.
    """

    def __init__(self, reason: str, found: dict[str, Any]) -> None:
        """Keep it."""
        super().__init__(reason)
        self.found = found


def until_ready(api: Api, call: Call, made: dict[str, Any], path: str) -> dict[str, Any]:
    """Wait until an object works.

    Args:
        api: Where it is.
        call: How long to wait.
        made: The object.
        path: Its own.

    Returns:
        The object as it is then.

    Raises:
        NotReadyError: It does not come to work, with what its pods say; or the user has interrupted.
    """
    kind, name = made["kind"], made["metadata"]["name"]
    end = time.monotonic() + (call.timeout or _SECONDS)
    before = _given_up(made) if _is_unseen(made) else None
    while True:
        waits, fails = _state(api, made, before)
        if fails:
            raise NotReadyError(f"{kind} {name}: {fails}{story(api, made)}", made)
        if not waits:
            return made
        if call.cancelled.is_set():
            raise NotReadyError(f"{kind} {name}: interrupted while {waits}", made)
        if time.monotonic() > end:
            seconds = call.timeout or _SECONDS
            raise NotReadyError(f"{kind} {name}: after {seconds:.0f} s still {waits}{story(api, made)}", made)
        call.status(waits)
        time.sleep(_LOOK_SECONDS)
        made = api.request("GET", path)


def until_gone(api: Api, call: Call, path: str, what: str) -> None:
    """Wait until there is no such object any more.

    Args:
        api: Where it was.
        call: How long to wait.
        path: Its own.
        what: What to call it.

    Raises:
        ProviderError: It stays, or the user has interrupted.
    """
    end = time.monotonic() + (call.timeout or _SECONDS)
    while True:
        try:
            found = api.request("GET", path)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return
            raise
        if call.cancelled.is_set() or time.monotonic() > end:
            held = ", ".join((found.get("metadata") or {}).get("finalizers") or [])
            raise ProviderError(f"{what} is being deleted and still there{f': it is held by {held}' if held else ''}")
        call.status("waiting until it is gone")
        time.sleep(_LOOK_SECONDS)


def _state(api: Api, found: dict[str, Any], before: str | None = None) -> tuple[str, str]:
    """What an object waits for, and why it will not work; both empty for one that does.

    Args:
        api: Where it is.
        found: The object.
        before: When the change before this one was given up, if it was.
    """
    kind, spec, status = found["kind"], found.get("spec") or {}, found.get("status") or {}
    if kind in _WORKLOADS:
        return _workload(found, spec, status, before)
    if kind in {"Job", "Pod"}:
        return _running(kind, status)
    has_address = bool((status.get("loadBalancer") or {}).get("ingress"))
    waits = ""
    if kind == "Ingress" or (kind == "Service" and spec.get("type") == "LoadBalancer"):
        waits = "" if has_address else "waiting for its address"
    elif kind == "PersistentVolumeClaim":
        waits = "" if status.get("phase") == "Bound" or _binds_late(api, spec) else "waiting for its volume"
    elif kind == "CustomResourceDefinition":
        waits = "" if _true(status, "Established") else "waiting until it is established"
    return waits, ""


def _running(kind: str, status: dict[str, Any]) -> tuple[str, str]:
    """The same of a Job, which has to be complete, and of a pod by itself."""
    if _true(status, "Failed") or status.get("phase") == "Failed":
        said = next((one for one in status.get("conditions") or [] if one["type"] == "Failed"), status)
        return "", f"failed: {said.get('message') or said.get('reason') or 'see its logs'}"
    if kind == "Job":
        return ("" if _true(status, "Complete") else "waiting until it is complete"), ""
    is_done = status.get("phase") == "Succeeded" or _true(status, "Ready")
    return ("" if is_done else "waiting until it is ready"), ""


def _true(status: dict[str, Any], condition: str) -> bool:
    return any(one["type"] == condition and one["status"] == "True" for one in status.get("conditions") or [])


def _binds_late(api: Api, spec: dict[str, Any]) -> bool:
    """Whether a claim's volume is made for the first pod that uses it, so that nothing comes before."""
    name = spec.get("storageClassName")
    if not name:
        return False
    try:
        found = api.request("GET", f"/apis/storage.k8s.io/v1/storageclasses/{name}")
    except ApiError:
        return False
    return bool(found.get("volumeBindingMode") == "WaitForFirstConsumer")


def _is_unseen(found: dict[str, Any]) -> bool:
    """Whether the cluster has not looked at a workload's latest change yet."""
    return bool((found.get("status") or {}).get("observedGeneration", 0) < found["metadata"].get("generation", 0))


def _given_up(found: dict[str, Any]) -> str | None:
    """When the cluster gave a workload's change up; None where it did not."""
    for one in (found.get("status") or {}).get("conditions") or []:
        if one["type"] == "Progressing" and one.get("reason") == "ProgressDeadlineExceeded":
            return str(one.get("lastUpdateTime"))
    return None


def _workload(
    found: dict[str, Any], spec: dict[str, Any], status: dict[str, Any], before: str | None
) -> tuple[str, str]:
    if _is_unseen(found):
        return "waiting until the change is seen", ""
    when = _given_up(found)
    # With another number of pods the cluster first scales those of before, and still says what was of their change.
    if when and when == before and not status.get("updatedReplicas"):
        return "waiting until the change is taken up", ""
    if when:
        return "", "its new pods do not become ready in time; those of before go on"
    if found["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        updated, ready = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
    else:
        wanted = spec.get("replicas", 1)
        # A ReplicaSet's pods are all of one form.
        updated = status.get("updatedReplicas", wanted if found["kind"] == "ReplicaSet" else 0)
        ready = status.get("availableReplicas", 0)
    old = status.get("replicas", 0) - updated
    if updated < wanted:
        return f"{updated} of {wanted} pods are updated", ""
    if found["kind"] == "Deployment" and old > 0:
        return f"{old} pods of before are still there", ""
    return (f"{ready} of {wanted} pods are ready" if ready < wanted else ""), ""
