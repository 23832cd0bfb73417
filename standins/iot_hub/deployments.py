"""Automatic deployments: which configurations a device takes, and what its modules' twins then say."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

from manifest.edge.limits import MOST_DEPLOYMENTS, MOST_MODULES
from manifest.edge.query import QueryError, parse
from standins.iot_hub import queries, twins
from standins.iot_hub.failure import HubError, invalid, no_configuration

if TYPE_CHECKING:
    from standins.iot_hub.hub import Hub
    from standins.iot_hub.store import Record

_ID = re.compile(r"[a-z0-9:+%_#*?!(),=@;$'-]{1,128}")
_DESIRED = "properties.desired"
_AGENT = "$edgeAgent"
_ON_AGENT = (
    "select deviceId from devices.modules where moduleId='$edgeAgent' and configurations.[[{id}]].status='Applied'"
)
_TARGETED = "select deviceId from devices where capabilities.iotEdge = true and {condition}"
_REPORTED = (
    f"{_ON_AGENT} and properties.desired.$version = properties.reported.lastDesiredVersion and "
    "properties.reported.lastDesiredStatus.code {sign} 200"
)


def checked(hub: Hub, name: str, body: Record, old: Record | None) -> Record:
    """Hold a configuration to the hub's rules.

    Args:
        hub: The hub.
        name: Its id.
        body: What was sent.
        old: What there is of that id.

    Returns:
        The configuration as it will be.

    Raises:
        HubError: The hub would refuse it.
    """
    if body.get("id") != name:
        raise invalid("the id in the body is not that of the address")
    if not _ID.fullmatch(name):
        raise invalid(f"Configuration id {name} is invalid: lower-case letters, digits and -:+%_#*?!(),=@;$'")
    modules = (body.get("content") or {}).get("modulesContent")
    if not isinstance(modules, dict) or _AGENT not in modules or "$edgeHub" not in modules:
        raise invalid("content.modulesContent needs $edgeAgent and $edgeHub")
    priority = body.get("priority", 0)
    if not isinstance(priority, int) or not 0 <= priority < 2**31:
        raise invalid("priority must be a number from 0 to 2147483647")
    condition = body.get("targetCondition") or ""
    try:
        if condition not in ("", "*"):
            parse(condition)
    except QueryError as error:
        raise invalid(f"targetCondition is invalid: {error}") from None
    if old is not None and old["content"] != body["content"]:
        raise invalid("the content of a configuration cannot be updated; create another one")
    if old is None and len(hub.store.all("configurations")) >= MOST_DEPLOYMENTS:
        raise HubError(403, "QuotaExceeded", f"the limit of {MOST_DEPLOYMENTS} configurations is reached")
    _agent_of(modules)
    time = twins.now()
    return {
        "id": name,
        "schemaVersion": body.get("schemaVersion", "1.0"),
        "labels": body.get("labels") or {},
        "content": body["content"],
        "targetCondition": condition,
        "priority": priority,
        "createdTimeUtc": old["createdTimeUtc"] if old else time,
        "lastUpdatedTimeUtc": time,
        "metrics": {"queries": (body.get("metrics") or {}).get("queries") or {}},
        "etag": twins.etag(),
        # Which of two was made first, also within one tick of the clock.
        "order": old["order"]
        if old
        else 1 + max((one["order"] for one in hub.store.all("configurations").values()), default=0),
    }


def _agent_of(modules: dict[str, Any]) -> None:
    agent = modules[_AGENT]
    if not all(isinstance(one, dict) for one in modules.values()):
        raise invalid("content.modulesContent has a module whose properties are no object")
    for module, properties in modules.items():
        for path in properties:
            if path != _DESIRED and not path.startswith(f"{_DESIRED}."):
                raise invalid(f"{module}: {path} is no path of desired properties")
    if _DESIRED in agent:
        desired = agent[_DESIRED]
        if str(desired.get("schemaVersion", "")).split(".")[0] != "1" or "runtime" not in desired:
            raise invalid("$edgeAgent needs schemaVersion 1.x and runtime")
        if not {"edgeAgent", "edgeHub"} <= set(desired.get("systemModules") or {}):
            raise invalid("$edgeAgent needs systemModules.edgeAgent and edgeHub")
        named = len(desired.get("modules") or {})
    else:
        named = sum(1 for path in agent if path.startswith(f"{_DESIRED}.modules."))
    if named > MOST_MODULES:
        raise invalid(f"a deployment has at most {MOST_MODULES} modules")


def targets(configuration: Record, device: Record, at: float) -> bool:
    """Tell whether a configuration is meant for a device."""
    condition = configuration["targetCondition"]
    if not condition or not device["capabilities"].get("iotEdge"):
        # Without one, it is for none.
        return False
    return condition == "*" or queries.holds(parse(condition), twins.shown(device, at))


def apply(hub: Hub, device: Record) -> None:
    """Bring a device's modules' twins to what its configurations say."""
    if not device["capabilities"].get("iotEdge"):
        return
    at = hub.clock()
    everything = hub.store.all("configurations").values()
    wanted = sorted(
        (one for one in everything if targets(one, device, at)), key=lambda one: (one["priority"], one["order"])
    )
    full = [one for one in wanted if _DESIRED in one["content"]["modulesContent"][_AGENT]]
    base: Record | None = full[-1] if full else hub.store.get("manual", device["deviceId"])
    applied: list[Record] = []
    if base is not None:
        applied = [base, *(one for one in wanted if one not in full and one["priority"] > base.get("priority", -1))]
    desired: dict[str, dict[str, Any]] = {}
    for one in applied:
        for module, properties in one["content"]["modulesContent"].items():
            for path, value in properties.items():
                desired[module] = _set(desired.get(module, {}), path, value)
    _write(hub, device, desired, {one["id"]: {"status": "Applied"} for one in applied if "id" in one})


def _set(desired: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    if path == _DESIRED:
        return dict(copy.deepcopy(value))
    *steps, last = path.removeprefix(f"{_DESIRED}.").split(".")
    here = desired
    for step in steps:
        here = here.setdefault(step, {})
    here[last] = copy.deepcopy(value)
    return desired


def _write(hub: Hub, device: Record, desired: dict[str, dict[str, Any]], statuses: dict[str, Any]) -> None:
    name = device["deviceId"]
    there = set(hub.modules_of(name))
    on_device = (desired.get(_AGENT, {}).get("modules") or {}).keys() | desired.keys() | set(twins.SYSTEM_MODULES)
    # The runtime's own modules stay; others go when nothing names them, but for those that somebody else made.
    for module in sorted(there - on_device):
        record = hub.store.get("modules", f"{name}/{module}")
        if record and record["managedBy"] == "iotEdge":
            hub.store.delete("modules", f"{name}/{module}")
    for module in sorted(on_device):
        record = hub.store.get("modules", f"{name}/{module}") or hub.new_module(name, module, managed_by="iotEdge")
        twin = record["twin"]
        changed = twins.set_desired(twin, desired.get(module, {}))
        # Each says whose content it has.
        if twin.get("configurations") != statuses:
            twin["configurations"] = statuses
            changed = True
        if changed or module not in there:
            hub.store.put("modules", f"{name}/{module}", record)


def with_metrics(hub: Hub, configuration: Record) -> Record:
    """Return a configuration as the hub shows it, with what its metrics are by now."""
    name, at = configuration["id"], hub.clock()
    condition = configuration["targetCondition"]
    system = {
        "targetedCount": _TARGETED.format(condition=condition or "false"),
        "appliedCount": _ON_AGENT.format(id=name),
        "reportedSuccessfulCount": _REPORTED.format(id=name, sign="="),
        "reportedFailedCount": _REPORTED.format(id=name, sign="!="),
    }
    targeted = sum(targets(configuration, one, at) for one in hub.store.all("devices").values())
    results = {key: hub.count(text) for key, text in system.items() if key != "targetedCount"}
    own = configuration["metrics"]["queries"]
    return {
        **{key: value for key, value in configuration.items() if key != "order"},
        "systemMetrics": {"results": {"targetedCount": targeted, **results}, "queries": system},
        "metrics": {"results": {key: hub.count(text) for key, text in own.items()}, "queries": own},
    }


def found(hub: Hub, name: str) -> Record:
    """Return a configuration.

    Raises:
        HubError: There is none of that id.
    """
    configuration = hub.store.get("configurations", name)
    if configuration is None:
        raise no_configuration(name)
    return configuration
