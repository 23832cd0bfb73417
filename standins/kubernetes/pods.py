"""What the pods of a workload that does not work say: states, events, and a crashed container's last lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from standins.kubernetes.api import ApiError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from standins.kubernetes.api import Api

_PODS, _EVENTS, _LINES = 2, 4, 20


def story(api: Api, found: dict[str, Any]) -> str:
    """Tell why a workload's pods are not ready, for an error; empty where there is nothing to tell.

    Args:
        api: Where they are.
        found: The workload, a Job or a pod.
    """
    try:
        pods = sorted(_pods(api, found), key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True)
        lines = [line for pod in [one for one in pods if not _is_ready(one)][:_PODS] for line in _told(api, pod)]
    except (ApiError, UnreachableError) as error:
        lines = [f"(its pods cannot be asked: {error})"]
    return "".join(f"\n  {line}" for line in lines)


def _pods(api: Api, found: dict[str, Any]) -> list[dict[str, Any]]:
    namespace = found["metadata"].get("namespace")
    if found["kind"] == "Pod":
        return [found]
    labels = ((found.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    if not labels or not namespace:
        return []
    selector = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
    items: list[dict[str, Any]] = api.request("GET", f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector)[
        "items"
    ]
    return items


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _told(api: Api, pod: dict[str, Any]) -> Iterator[str]:
    name, namespace, status = pod["metadata"]["name"], pod["metadata"]["namespace"], pod.get("status") or {}
    yield f"Pod {name}: {status.get('phase', 'unknown')}"
    for one in status.get("conditions") or []:
        if one["type"] == "PodScheduled" and one["status"] != "True":
            yield f"  not placed on a node: {one.get('message')}"
    for one in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        yield from _container(api, f"/api/v1/namespaces/{namespace}/pods/{name}/log", one)
    events = api.request(
        "GET", f"/api/v1/namespaces/{namespace}/events", fieldSelector=f"involvedObject.name={name},type=Warning"
    )["items"]
    events.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    for event in events[-_EVENTS:]:
        yield f"  {event.get('reason')}: {event.get('message')}"


def _container(api: Api, path: str, status: dict[str, Any]) -> Iterator[str]:
    state, last = status.get("state") or {}, (status.get("lastState") or {}).get("terminated")
    waiting, ended = state.get("waiting"), state.get("terminated") or last
    if status.get("ready"):
        return
    if waiting:
        yield f"  container {status['name']} waits: {waiting.get('reason')} {waiting.get('message') or ''}".rstrip()
    if ended:
        yield f"  container {status['name']} ended with exit code {ended.get('exitCode')} ({ended.get('reason')})"
    if not (ended or state.get("running")):
        return
    # The one that runs now has said little yet where another one crashed before it.
    previous = {"previous": "true"} if last and not state.get("terminated") else {}
    try:
        log = api.request("GET", path, text=True, container=status["name"], tailLines=str(_LINES), **previous)
    except ApiError:
        return
    for line in log.splitlines():
        yield f"    {line}"
