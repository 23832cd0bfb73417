"""Identities and twins: made, changed with versions and ETags, and shown as the hub shows them."""

from __future__ import annotations

import base64
import datetime as dt
import secrets
from typing import TYPE_CHECKING, Any

from manifest.edge.limits import MOST_TAG_BYTES, MOST_TWIN_BYTES, size, wrong_twin
from standins.iot_hub.failure import invalid, precondition

if TYPE_CHECKING:
    from standins.iot_hub.store import Record

SYSTEM_MODULES = ("$edgeAgent", "$edgeHub")
NEVER = "0001-01-01T00:00:00"
_ONLINE_SECONDS = 90.0


def now() -> str:
    """Return the time as the hub writes it."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def etag() -> str:
    """Make an ETag."""
    return base64.b64encode(secrets.token_bytes(6)).decode()


def new_key() -> str:
    """Make a key."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def new_twin() -> Record:
    """Make an empty twin."""
    return {
        "etag": etag(),
        "version": 1,
        "tags": {},
        "desired": {},
        "desiredVersion": 1,
        "reported": {},
        "reportedVersion": 1,
    }


def match(given: str | None, current: str, what: str) -> None:
    """Hold the header If-Match against an ETag.

    Raises:
        HubError: They differ.
    """
    if given is not None and given != "*" and given.strip('"') != current:
        raise precondition(what)


def patched(value: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Return properties with others merged in; null takes one away."""
    found = dict(value)
    for name, given in patch.items():
        if given is None:
            found.pop(name, None)
        elif isinstance(given, dict):
            before = found.get(name)
            found[name] = patched(before if isinstance(before, dict) else {}, given)
        else:
            found[name] = given
    return found


def set_tags(twin: Record, tags: dict[str, Any]) -> None:
    """Merge tags in.

    Raises:
        HubError: The hub takes no such tags.
    """
    merged = patched(twin["tags"], tags)
    _hold(merged, MOST_TAG_BYTES, "tags")
    if merged != twin["tags"]:
        twin["tags"] = merged
        touched(twin)


def set_desired(twin: Record, desired: dict[str, Any]) -> bool:
    """Put other desired properties in the place of those there are; returns whether they differ.

    Raises:
        HubError: The hub takes no such properties.
    """
    _hold(desired, MOST_TWIN_BYTES, "properties.desired")
    if twin["desired"] == desired:
        return False
    twin["desired"] = desired
    twin["desiredVersion"] += 1
    touched(twin)
    return True


def report(twin: Record, patch: dict[str, Any]) -> int:
    """Merge reported properties in, and return their version.

    Raises:
        HubError: The hub takes no such properties.
    """
    merged = patched(twin["reported"], patch)
    _hold(merged, MOST_TWIN_BYTES, "properties.reported")
    twin["reported"] = merged
    twin["reportedVersion"] += 1
    touched(twin)
    return int(twin["reportedVersion"])


def touched(twin: Record) -> None:
    """Give a twin its next version."""
    twin["version"] += 1
    twin["etag"] = etag()


def _hold(value: dict[str, Any], most: int, what: str) -> None:
    for message in wrong_twin(value):
        raise invalid(f"{what}: {message}")
    if size(value) > most:
        raise invalid(f"{what} of {size(value)} bytes exceed the maximum size of {most}")


def online(device: Record, at: float) -> bool:
    """Tell whether a device has shown itself lately."""
    return at - float(device.get("seen", 0)) < _ONLINE_SECONDS


def identity(record: Record, at: float) -> dict[str, Any]:
    """Return a device's or a module's identity as the hub shows it, with its keys."""
    found = {name: value for name, value in record.items() if name not in {"twin", "seen"}}
    state = "Connected" if online(record, at) else "Disconnected"
    return {**found, "connectionState": state, "lastActivityTime": NEVER, "connectionStateUpdatedTime": NEVER}


def shown(record: Record, at: float) -> dict[str, Any]:
    """Return a twin as the hub shows it."""
    twin = record["twin"]
    found: dict[str, Any] = {"deviceId": record["deviceId"]}
    if "moduleId" in record:
        found |= {"moduleId": record["moduleId"], "configurations": twin.get("configurations", {})}
    else:
        found |= {"capabilities": record["capabilities"], "tags": twin["tags"]}
    return {
        **found,
        "etag": twin["etag"],
        "deviceEtag": record["etag"],
        "status": record.get("status", "enabled"),
        "connectionState": "Connected" if online(record, at) else "Disconnected",
        "authenticationType": record["authentication"]["type"],
        "version": twin["version"],
        "properties": {
            side: {**twin[side], "$version": twin[f"{side}Version"], "$metadata": {}}
            for side in ("desired", "reported")
        },
    }
