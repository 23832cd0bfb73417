"""EdgeDevice: a device of IoT Edge, registered with an IoT hub.

Inputs: `hub` (its name), `connectionString` (with a key of the hub, secret; without one, whoever is signed in to Azure
asks), `deviceId`, `tags`, `auth` (`key` or `certificate`) and `enabled`. Outputs: also `deviceConnectionString`, always
secret, which the device is set up with.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from provider.resource import Diff, Failure, ProviderError, Resource, State, changes
from provider.slipway.hub_calls import client, told
from provider.values import UNKNOWN, Secret, has_unknown

if TYPE_CHECKING:
    from iot_hub import HubClient
    from provider.resource import Call

_KINDS = {"key": "sas", "certificate": "certificateAuthority"}
_SECRET = "deviceConnectionString"  # noqa: S105 - an output's name
_LONGEST_REASON = 128


class EdgeDevice(Resource):
    """A device's identity and the tags of its twin; tags that others have set stay as they are."""

    def check(
        self, call: Call, old: dict[str, Any] | None, new: dict[str, Any]
    ) -> tuple[dict[str, Any], list[Failure]]:
        """Refuse what the hub would refuse."""
        from manifest.edge.limits import MOST_TAG_BYTES, size, wrong_twin  # noqa: PLC0415 - other stacks start without it

        del call, old
        new = {"tags": {}, "auth": "key", "enabled": True, **new}
        failures = []
        if new["auth"] not in _KINDS and not has_unknown(new["auth"]):
            failures.append(Failure("auth", f"must be one of {', '.join(_KINDS)}"))
        tags = new["tags"]
        if not has_unknown(tags):
            failures += [Failure("tags", message) for message in wrong_twin(tags)]
            if size(tags) > MOST_TAG_BYTES:
                failures.append(Failure("tags", f"are {size(tags):,} bytes; a twin takes {MOST_TAG_BYTES:,}"))
        return new, failures

    def diff(self, call: Call, old: State, new: dict[str, Any]) -> Diff:
        """Compare: another key of the hub is nothing new."""
        del call
        before, after = (_relevant(one) for one in (old.inputs, new))
        return Diff(changes(before, after, replaces=lambda name: name in {"hub", "deviceId"}))

    def preview(self, call: Call, inputs: dict[str, Any], old: State | None) -> dict[str, Any]:
        """Know the key that stays."""
        del call
        kept = old.outputs.get(_SECRET) if old and old.inputs["auth"] == inputs["auth"] else None
        return {**inputs, _SECRET: Secret(kept) if kept is not None else UNKNOWN}

    def create(self, call: Call, inputs: dict[str, Any]) -> State:
        """Register it."""
        hub, name = client(call, inputs), inputs["deviceId"]
        identity = {**_identity(inputs), "statusReason": _mark(call)}
        with told():
            made = _registered(hub, name, identity, _mark(call))
            if inputs["tags"]:
                hub.set_tags(name, inputs["tags"])
        return State(f"{inputs['hub']}/devices/{name}", inputs, _outputs(inputs, made))

    def read(self, call: Call, state: State) -> State | None:
        """Look at the hub."""
        hub_name, _, name = state.id.rpartition("/devices/")
        if not hub_name:
            raise ProviderError(
                f"import it as HUB/devices/DEVICE, for example hub.azure-devices.net/devices/{state.id}"
            )
        hub = client(call, {"hub": hub_name, **state.inputs})
        with told():
            device = hub.device(name)
            tags = hub.tags(name) if device else {}
        if device is None:
            return None
        kind = (device.get("authentication") or {}).get("type", "sas")
        auth = next((ours for ours, theirs in _KINDS.items() if theirs == kind), kind)
        known = state.inputs.get("tags", tags)
        found = {
            **state.inputs,
            "hub": hub_name,
            "deviceId": name,
            "tags": {tag: tags[tag] for tag in known if tag in tags},
            "auth": auth,
            "enabled": device.get("status", "enabled") == "enabled",
        }
        if not (device.get("capabilities") or {}).get("iotEdge"):
            raise ProviderError(
                f"{name} on {hub_name} is no device of IoT Edge, which cannot be changed: remove it there"
            )
        return State(state.id, found, _outputs(found, device))

    def update(self, call: Call, old: State, new: dict[str, Any]) -> dict[str, Any]:
        """Change it in place; its keys stay."""
        hub, name = client(call, new), new["deviceId"]
        with told():
            device = hub.device(name)
            if device is None:
                raise ProviderError(
                    f"{name} is gone from {new['hub']}; `pulumi refresh` notes that, and `up` makes it anew"
                )
            if any(old.inputs[key] != new[key] for key in ("auth", "enabled")):
                keys = device.get("authentication") if old.inputs["auth"] == new["auth"] else None
                identity = {**_identity(new), **({"authentication": keys} if keys else {})}
                kept = {key: device[key] for key in ("deviceScope", "statusReason") if device.get(key)}
                device = hub.put_device(name, {**kept, **identity}, device["etag"])
            gone = dict.fromkeys(old.inputs["tags"].keys() - new["tags"].keys())
            if old.inputs["tags"] != new["tags"]:
                hub.set_tags(name, {**new["tags"], **gone})
        return _outputs(new, device)

    def delete(self, call: Call, state: State) -> None:
        """Remove it from the hub."""
        with told():
            client(call, state.inputs).delete_device(state.inputs["deviceId"])


def _relevant(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in inputs.items() if name not in {"connectionString", _SECRET}}


def _identity(inputs: dict[str, Any]) -> dict[str, Any]:
    return {
        "status": "enabled" if inputs["enabled"] else "disabled",
        "authentication": {"type": _KINDS[inputs["auth"]]},
        "capabilities": {"iotEdge": True},
    }


def _mark(call: Call) -> str:
    """What tells a device that this stack has registered, should the engine be killed before it notes that."""
    return call.urn[-_LONGEST_REASON:]


def _registered(hub: HubClient, name: str, identity: dict[str, Any], mark: str) -> dict[str, Any]:
    from iot_hub.client import THERE, HubError  # noqa: PLC0415 - an unchanged stack starts without it

    try:
        return hub.put_device(name, identity)
    except HubError as error:
        if error.status != THERE:
            raise
    device = hub.device(name)
    if device is not None and device.get("statusReason") == mark:
        return device
    raise ProviderError(
        f"{name} is registered with {hub.host} already, by somebody else. Leave it out of "
        "slipway:azure.iotHub.devices: deployments reach it all the same. Or remove it from the hub first."
    )


def _outputs(inputs: dict[str, Any], device: dict[str, Any]) -> dict[str, Any]:
    key = ((device.get("authentication") or {}).get("symmetricKey") or {}).get("primaryKey")
    text = f"HostName={inputs['hub']};DeviceId={inputs['deviceId']};SharedAccessKey={key}" if key else ""
    return {**json.loads(json.dumps(inputs)), _SECRET: Secret(text)}
