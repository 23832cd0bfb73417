"""What devices ask: over REST here, where they speak MQTT or AMQP with a real hub; named `/standin/` for that."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from standins.iot_hub.failure import invalid

if TYPE_CHECKING:
    from standins.iot_hub.service import Answer, Request

_LONGEST_WAIT = 60.0


def _answer(status: int, value: Any = None) -> Answer:
    from standins.iot_hub.service import Answer  # noqa: PLC0415 - which has the routes of this module

    return Answer(status, value)


def _wait(one: Request) -> float:
    try:
        return min(max(float(one.query.get("wait") or 0), 0.0), _LONGEST_WAIT)
    except ValueError:
        raise invalid("wait must be a number of seconds") from None


def _modules(one: Request) -> Answer:
    """Tell a device what its modules' twins say, once that is other than it knows."""
    hub, device = one.hub, one.parts[0]
    found: dict[str, Any] = {}

    def changed() -> bool:
        twins = {name: hub.module(device, name)["twin"] for name in hub.modules_of(device)}
        wanted = {name: [twin["desired"], twin["desiredVersion"]] for name, twin in twins.items()}
        etag = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]
        modules = {
            name: {
                "desired": {**twin["desired"], "$version": twin["desiredVersion"]},
                "reported": {**twin["reported"], "$version": twin["reportedVersion"]},
            }
            for name, twin in twins.items()
        }
        found.update({"etag": etag, "modules": modules})
        return etag != one.query.get("etag")

    with hub.store.changed:
        hub.seen(device)
        if not hub.store.changed.wait_for(changed, _wait(one)):
            return _answer(304)
        return _answer(200, json.loads(json.dumps(found)))


def _report(one: Request) -> Answer:
    device, module = one.parts
    version = one.hub.report(device, module, one.object())
    one.hub.seen(device)
    return _answer(200, {"$version": version})


def _send(one: Request) -> Answer:
    messages = one.json()
    if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
        raise invalid("the body must be a list of messages")
    one.hub.receive(one.parts[0], messages)
    return _answer(204)


def _calls(one: Request) -> Answer:
    found = one.hub.calls_for(one.parts[0], _wait(one))
    return _answer(
        200,
        [{"rid": each.rid, "module": each.module, "methodName": each.name, "payload": each.payload} for each in found],
    )


def _answered(one: Request) -> Answer:
    one.hub.answer(one.parts[0], one.parts[1], one.object())
    return _answer(204)


_DEVICE = "/standin/devices/([^/]+)"
ROUTES = [
    ("GET", f"{_DEVICE}/modules", _modules),
    ("PATCH", f"{_DEVICE}/modules/([^/]+)/reported", _report),
    ("POST", f"{_DEVICE}/messages", _send),
    ("GET", f"{_DEVICE}/methods", _calls),
    ("POST", f"{_DEVICE}/methods/([^/]+)", _answered),
]
