"""EdgeDeployment: an automatic deployment of IoT Edge, named by its content, which the hub never changes.

Inputs: `hub` (its name), `connectionString` (secret; without one, whoever is signed in to Azure asks), `name` (how the
id begins), `content` (the modules' content), `targetCondition`, `priority` and `labels`. Outputs: also
`owner`. Its id is the hub's.

Other content is another deployment. It is there before the old one goes, so that a device has one at every moment; the
old one is put one below its priority first, so that devices take the new one as soon as there is one.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import TYPE_CHECKING, Any

from provider.resource import Diff, Failure, ProviderError, Resource, State, changes
from provider.slipway.hub_calls import client, told
from provider.values import UNKNOWN, has_unknown

if TYPE_CHECKING:
    from iot_hub import HubClient
    from provider.resource import Call

_NAME, _OWNER = "slipway-name", "slipway-owner"
_SCHEMA_VERSION = "1.0"
_HASH = 10
_LONGEST_NAME = 128 - _HASH - 1
_REPLACING = frozenset({"hub", "name", "content"})


class EdgeDeployment(Resource):
    """One configuration of the hub. Condition, priority and labels change in place."""

    def check(
        self, call: Call, old: dict[str, Any] | None, new: dict[str, Any]
    ) -> tuple[dict[str, Any], list[Failure]]:
        """Refuse what the hub would refuse."""
        from manifest.edge.query import QueryError, parse  # noqa: PLC0415 - other stacks start without it

        del call, old
        new = {"labels": {}, **new}
        failures = []
        name, content, condition = (new.get(key) for key in ("name", "content", "targetCondition"))
        if isinstance(name, str) and (len(name) > _LONGEST_NAME or name != name.lower()):
            failures.append(Failure("name", f"must be at most {_LONGEST_NAME} characters in lower case"))
        if isinstance(condition, str):
            try:
                parse(condition)
            except QueryError as error:
                failures.append(Failure("targetCondition", f"cannot be read: {error}"))
        if not has_unknown(content):
            failures += _wrong_content(content)
        return new, failures

    def diff(self, call: Call, old: State, new: dict[str, Any]) -> Diff:
        """Compare: other content is another deployment, and another key of the hub is nothing new."""
        del call
        before, after = (
            {name: value for name, value in one.items() if name != "connectionString"} for one in (old.inputs, new)
        )
        return Diff(changes(before, after, replaces=lambda name: name in _REPLACING))

    def preview(self, call: Call, inputs: dict[str, Any], old: State | None) -> dict[str, Any]:
        """Know all but its mark."""
        del call
        return {**inputs, "owner": old.outputs["owner"] if old else UNKNOWN}

    def create(self, call: Call, inputs: dict[str, Any]) -> State:
        """Create it above those that it replaces."""
        hub, name, owner = client(call, inputs), configuration_id(inputs), secrets.token_hex(4)
        with told():
            there = hub.configurations()
            for one in there:
                if (one.get("labels") or {}).get(_NAME) == inputs["name"] and one["id"] != name:
                    _lower(hub, one, inputs["priority"] - 1)
            _put(hub, name, inputs, owner, len(there))
        return State(name, inputs, {**inputs, "owner": owner})

    def read(self, call: Call, state: State) -> State | None:
        """Look at the hub."""
        if not state.inputs:
            raise ProviderError(
                "a deployment cannot be imported: let `pulumi up` make its own, then delete the other one"
            )
        with told():
            found = client(call, state.inputs).configuration(state.id)
        if found is None:
            return None
        labels = found.get("labels") or {}
        inputs = {
            **state.inputs,
            "targetCondition": found.get("targetCondition", ""),
            "priority": found.get("priority", 0),
            "labels": {name: labels[name] for name in state.inputs["labels"] if name in labels},
            "content": _same(found["content"].get("modulesContent"), state.inputs["content"]),
        }
        return State(state.id, inputs, {**state.outputs, **inputs})

    def update(self, call: Call, old: State, new: dict[str, Any]) -> dict[str, Any]:
        """Change what of it can be changed."""
        hub = client(call, new)
        with told():
            found = hub.configuration(old.id)
            if found is None:
                raise ProviderError(
                    f"{old.id} is gone from {new['hub']}; `pulumi refresh` notes that, and `up` makes it anew"
                )
            hub.put_configuration({**found, **_mutable(new, old.outputs["owner"])}, found["etag"])
        return {**new, "owner": old.outputs["owner"]}

    def delete(self, call: Call, state: State) -> None:
        """Delete it, unless it has become somebody else's: one with the same content has the same name."""
        hub = client(call, state.inputs)
        with told():
            found = hub.configuration(state.id)
            if found is not None and (found.get("labels") or {}).get(_OWNER) == state.outputs["owner"]:
                hub.delete_configuration(state.id, found["etag"])


def configuration_id(inputs: dict[str, Any]) -> str:
    """Return the id of a deployment: its name, and the hash of its content."""
    text = json.dumps(inputs["content"], sort_keys=True, separators=(",", ":"))
    return f"{inputs['name']}-{hashlib.sha256(text.encode()).hexdigest()[:_HASH]}"


def _wrong_content(content: Any) -> list[Failure]:
    from manifest.edge.limits import MOST_TWIN_BYTES, size  # noqa: PLC0415 - other stacks start without it

    if not isinstance(content, dict) or not {"$edgeAgent", "$edgeHub"} <= content.keys():
        return [Failure("content", "needs $edgeAgent and $edgeHub")]
    return [
        Failure("content", f"{module} is {size(properties):,} bytes; a twin takes {MOST_TWIN_BYTES:,}")
        for module, properties in content.items()
        if size(properties) > MOST_TWIN_BYTES
    ]


def _mutable(inputs: dict[str, Any], owner: str) -> dict[str, Any]:
    return {
        "targetCondition": inputs["targetCondition"],
        "priority": inputs["priority"],
        "labels": {**inputs["labels"], _NAME: inputs["name"], _OWNER: owner},
    }


def _put(hub: HubClient, name: str, inputs: dict[str, Any], owner: str, there: int) -> None:
    from iot_hub.client import THERE, HubError  # noqa: PLC0415 - an unchanged stack starts without it
    from manifest.edge.limits import MOST_DEPLOYMENTS  # noqa: PLC0415 - as above

    body = {
        "id": name,
        "schemaVersion": _SCHEMA_VERSION,
        "content": {"modulesContent": inputs["content"]},
        **_mutable(inputs, owner),
    }
    try:
        hub.put_configuration(body)
    except HubError as error:
        if error.status != THERE:
            full = there >= MOST_DEPLOYMENTS
            hint = f" It has {there} deployments, and takes {MOST_DEPLOYMENTS}." if full else ""
            raise ProviderError(f"{error}{hint}") from None
    else:
        return
    # The engine was killed before it noted it, or it is still to be deleted as the old one of another change.
    found = hub.configuration(name)
    if found is None:
        raise ProviderError(f"{name} was deleted from {hub.host} meanwhile; run `pulumi up` again")
    hub.put_configuration({**found, **_mutable(inputs, owner)}, found["etag"])


def _lower(hub: HubClient, configuration: dict[str, Any], priority: int) -> None:
    if configuration.get("priority", 0) > priority:
        hub.put_configuration({**configuration, "priority": priority}, configuration["etag"])


def _same(found: Any, known: dict[str, Any]) -> Any:
    """Content as it is known where it is the same: numbers may come back in another form."""
    return known if json.dumps(found, sort_keys=True) == json.dumps(known, sort_keys=True) else found
