"""What Azure shows of a running group: its instance view, with what its probes find."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from standins.azure_native.groups.run import NETWORK
from standins.docker.engine import EngineError

if TYPE_CHECKING:
    from standins.azure_native.groups.run import Group

_PROBE_SECONDS = 2


def instance_views(group: Group, containers: list[dict[str, Any]]) -> tuple[str, dict[str, dict[str, Any]]]:
    """Look at a group.

    Args:
        group: Which.
        containers: As Azure's API has them.

    Returns:
        The group's state, empty when it is not there at all, and each container's instance view.
    """
    found = group.found()
    if NETWORK not in found:
        return "", {}
    address = found[NETWORK]["NetworkSettings"].get("IPAddress", "")
    views = {one["name"]: _view(group, one, found.get(one["name"]), address) for one in containers}
    states = [view["currentState"] for view in views.values()]
    if any(state["state"] == "Running" for state in states):
        return "Running", views
    if all(state["state"] == "Terminated" for state in states):
        return "Failed" if any(state.get("exitCode") for state in states) else "Succeeded", views
    return "Pending", views


def _view(group: Group, container: dict[str, Any], found: dict[str, Any] | None, address: str) -> dict[str, Any]:
    if found is None:
        return {
            "currentState": {"state": "Waiting", "detailStatus": "the container is gone"},
            "restartCount": 0,
            "events": [],
        }
    state = found["State"]
    events = [_event("Started", "Started container", state["StartedAt"])]
    if state["Restarting"]:
        now = {
            "state": "Waiting",
            "detailStatus": "CrashLoopBackOff: Back-off restarting failed",
            "exitCode": state["ExitCode"],
        }
    elif state["Running"]:
        now = {"state": "Running", "startTime": state["StartedAt"], "detailStatus": ""}
        for name in ("livenessProbe", "readinessProbe"):
            if reason := _probed(group, container, container.get(name), address):
                text = f"{name.removesuffix('Probe').title()} probe failed: {reason}"
                events += [_event("Unhealthy", text, state["StartedAt"], "Warning")]
    elif state["Status"] == "created":
        now = {"state": "Waiting", "detailStatus": "ContainerCreating"}
    else:
        now = {
            "state": "Terminated",
            "startTime": state["StartedAt"],
            "finishTime": state["FinishedAt"],
            "exitCode": state["ExitCode"],
            "detailStatus": "OOMKilled" if state.get("OOMKilled") else "Error" if state["ExitCode"] else "Completed",
        }
    return {"currentState": now, "restartCount": found.get("RestartCount", 0), "events": events}


def _event(name: str, message: str, when: str, kind: str = "Normal") -> dict[str, Any]:
    return {"count": 1, "firstTimestamp": when, "lastTimestamp": when, "name": name, "message": message, "type": kind}


def _probed(group: Group, container: dict[str, Any], probe: dict[str, Any] | None, address: str) -> str | None:
    """Ask a probe once; the stand-in has no process that could ask it all the time, and kills nothing for it."""
    if not probe:
        return None
    timeout = float(probe.get("timeoutSeconds") or _PROBE_SECONDS)
    if get := probe.get("httpGet"):
        return _get(get, address, timeout)
    command = (probe.get("exec") or {}).get("command")
    if not command:
        return None
    try:
        with group.engine.doing("ask a probe") as api:
            made = api.exec_create(f"{group.prefix}-{container['name']}", command)["Id"]
            api.exec_start(made)
            code = api.exec_inspect(made)["ExitCode"]
    except EngineError as error:
        return str(error)
    return f"exit code {code}" if code else None


def _get(get: dict[str, Any], address: str, timeout: float) -> str | None:
    import ssl  # noqa: PLC0415 - few groups have such a probe

    context = ssl._create_unverified_context()  # noqa: S323, SLF001 - Azure's probes check no certificate either
    url = f"{get.get('scheme', 'http')}://{address}:{get['port']}/{str(get.get('path', '/')).lstrip('/')}"
    headers = {one["name"]: one["value"] for one in get.get("httpHeaders") or []}
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http or https, by the enumeration
        with urllib.request.urlopen(request, timeout=timeout, context=context):  # noqa: S310 - as above
            return None
    except urllib.error.HTTPError as error:
        return f"HTTP probe failed with statuscode: {error.code}"
    except (TimeoutError, OSError) as error:
        return str(getattr(error, "reason", error))
