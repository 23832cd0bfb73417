"""One object of the cluster, of whatever kind: applied on the server, and waited for until it works."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from provider.resource import Diff, Failure, InitFailedError, ProviderError, Resource, State, autoname
from provider.values import UNKNOWN, Secret, has_unknown
from standins.kubernetes.api import APPLY, CONFLICT, NOT_FOUND, ApiError, UnreachableError
from standins.kubernetes.awaiting import NotReadyError, until_gone, until_ready
from standins.kubernetes.comparing import differences, drifted, forecast
from standins.kubernetes.immutable import replaces

if TYPE_CHECKING:
    from provider.resource import Call
    from standins.kubernetes.api import Api, Place

_AUTONAMED = "pulumi.com/autonamed"
_FORCED = "pulumi.com/patchForce"
_SKIPPED = "pulumi.com/skipAwait"
# What the API server writes, and a program never asks for.
_SERVERS = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
_HIDDEN = ("data", "stringData")
_DIGITS = 8


class KubernetesObject(Resource):
    """An object; its inputs are what is applied."""

    def __init__(self, api: Api) -> None:
        """Use an API server.

        Args:
            api: To be connected to at the first call that needs it.
        """
        self.api = api

    def check(
        self, call: Call, old: dict[str, Any] | None, new: dict[str, Any]
    ) -> tuple[dict[str, Any], list[Failure]]:
        """Name what has no name; whether an object is right, the API server says."""
        inputs = {name: value for name, value in new.items() if value is not None and name != "status"}
        failures = [
            Failure(name, "is required, and missing") for name in ("apiVersion", "kind") if not inputs.get(name)
        ]
        metadata = inputs.get("metadata") or {}
        if not isinstance(metadata, dict) or metadata.get("name") or metadata.get("generateName"):
            return inputs, failures
        before = (old or {}).get("metadata") or {}
        kept = before.get("name") if _annotation(old or {}, _AUTONAMED) else None
        try:
            name = autoname(call, kept)
        except ProviderError as error:
            return inputs, [*failures, Failure("metadata.name", str(error))]
        annotations = {**(metadata.get("annotations") or {}), _AUTONAMED: "true"}
        return {**inputs, "metadata": {**metadata, "name": name, "annotations": annotations}}, failures

    def diff(self, call: Call, old: State, new: dict[str, Any]) -> Diff:
        """Compare inputs with inputs; a name that stays must be free before it can be taken again."""
        del call
        kind = new.get("kind", "")
        mutable = self._is_mutable(kind, old.inputs)
        found = differences(old.inputs, new, lambda path: replaces(kind, path, mutable=mutable))
        named = not _annotation(new, _AUTONAMED)
        return Diff(found, named and self._where(old.inputs) == self._where(new))

    def _is_mutable(self, kind: str, inputs: dict[str, Any]) -> bool:
        settings = self.api.settings
        if settings is None or inputs.get("immutable"):
            return False
        return {"Secret": settings.secret_mutable, "ConfigMap": settings.config_map_mutable}.get(kind, False)

    def _where(self, inputs: dict[str, Any]) -> tuple[Any, Any]:
        metadata = inputs.get("metadata") or {}
        return metadata.get("namespace") or self.api.namespace({}), metadata.get("name")

    def preview(self, call: Call, inputs: dict[str, Any], old: State | None) -> dict[str, Any]:
        """Have the API server foretell it, where everything that it has to know is known."""
        if not self.api.is_known or has_unknown(inputs):
            return forecast(inputs, inputs["kind"])
        try:
            found = self._apply(call, inputs, dry=True)
        except UnreachableError as error:
            call.log("warning", f"not tried on the cluster: {error}")
            return forecast(inputs, inputs["kind"])
        except ApiError as error:
            # The namespace, or the definition of the kind, is made by the same update.
            if error.status == NOT_FOUND:
                return forecast(inputs, inputs["kind"])
            raise
        if old is None:
            return _outputs(inputs, forecast(inputs, inputs["kind"]))
        return _outputs(inputs, {**found, "status": old.outputs.get("status", UNKNOWN)})

    def create(self, call: Call, inputs: dict[str, Any]) -> State:
        """Apply it, and wait until it works."""
        made = self._apply(call, inputs)
        place = self.api.place(inputs["apiVersion"], inputs["kind"])
        name = made["metadata"]["name"]
        id_ = f"{made['metadata']['namespace']}/{name}" if place.namespaced else name
        return State(id_, inputs, self._awaited(call, id_, inputs, made))

    def update(self, call: Call, old: State, new: dict[str, Any]) -> dict[str, Any]:
        """Apply it again, and wait until it works."""
        return self._awaited(call, old.id, new, self._apply(call, new))

    def _awaited(self, call: Call, id_: str, inputs: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
        if _annotation(inputs, _SKIPPED) == "true":
            return _outputs(inputs, made)
        try:
            found = until_ready(self.api, call, made, self._path(made))
        except NotReadyError as error:
            raise InitFailedError(str(error), State(id_, inputs, _outputs(inputs, error.found))) from None
        return _outputs(inputs, found)

    def read(self, call: Call, state: State) -> State | None:
        """Look at it; what somebody else changed of what the program asked for comes into the inputs."""
        inputs = state.inputs or {name: state.outputs[name] for name in ("apiVersion", "kind") if name in state.outputs}
        if "kind" not in inputs:
            raise ProviderError(
                f"{state.id} cannot be imported here: give apiVersion and kind, or use the official plugin"
            )
        namespace, _, name = state.id.rpartition("/")
        given = {"metadata": {"name": name, **({"namespace": namespace} if namespace else {})}}
        path = self._path({**inputs, **given})
        try:
            live = self.api.request("GET", path)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise
        if not state.inputs:
            seen = {key: value for key, value in live.items() if key != "status"}
            return State(state.id, _bare(seen), _outputs(seen, live))
        applied = self._apply(call, inputs, dry=True, force=True)
        found = drifted(_without_text(inputs), _bare(applied), _bare(live))
        if found == _without_text(inputs):
            found = inputs
        return State(state.id, found, _outputs(found, live))

    def delete(self, call: Call, state: State) -> None:
        """Remove it, and what belongs to it, and wait until it is gone."""
        inputs = state.inputs or state.outputs
        namespace, _, name = state.id.rpartition("/")
        metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
        try:
            path = self._path({**inputs, "metadata": metadata})
            self.api.request("DELETE", path, {"propagationPolicy": "Foreground"})
        except ApiError as error:
            if error.status == NOT_FOUND:
                return
            raise
        except UnreachableError:
            if self.api.settings and self.api.settings.delete_unreachable:
                call.log("warning", f"{state.id} counts as deleted: its cluster cannot be reached")
                return
            raise
        until_gone(self.api, call, path, f"{inputs.get('kind')} {state.id}")

    def _place(self, found: dict[str, Any]) -> Place:
        return self.api.place(found["apiVersion"], found["kind"])

    def _path(self, found: dict[str, Any]) -> str:
        metadata = found["metadata"]
        return self._place(found).of(self.api.namespace(metadata), metadata["name"])

    def _apply(self, call: Call, inputs: dict[str, Any], *, dry: bool = False, force: bool = False) -> dict[str, Any]:
        """Have the server merge it with what others say of the object, and refuse what contradicts them."""
        query = {"dryRun": "All"} if dry else {}
        force = force or _annotation(inputs, _FORCED) == "true"
        # One name for each resource: what it no longer asks for goes.
        manager = f"pulumi-kubernetes-{hashlib.sha256(call.urn.encode()).hexdigest()[:_DIGITS]}"
        body = {name: value for name, value in inputs.items() if not name.startswith("__")}
        what = f"{inputs['kind']} {inputs['metadata'].get('name')}"
        try:
            found: dict[str, Any] = self.api.request(
                "PATCH",
                self._path(inputs),
                body,
                content_type=APPLY,
                fieldManager=manager,
                fieldValidation="Strict",
                force=str(force).lower(),
                text=False,
                **query,
            )
        except ApiError as error:
            if error.status == CONFLICT:
                raise ProviderError(
                    f'{what}: {error}. Somebody else set these fields; with the annotation {_FORCED}: "true" this '
                    "stack takes them over"
                ) from None
            raise ApiError(error.status, f"{what}: {error}", error.details) from None
        return found


def _annotation(found: dict[str, Any], name: str) -> Any:
    metadata = found.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    return annotations.get(name) if isinstance(annotations, dict) else None


def _bare(found: dict[str, Any]) -> dict[str, Any]:
    """An object without what is the server's."""
    metadata = {name: value for name, value in found.get("metadata", {}).items() if name not in _SERVERS}
    return {**{name: value for name, value in found.items() if name != "status"}, "metadata": metadata}


def _without_text(inputs: dict[str, Any]) -> dict[str, Any]:
    """Inputs in the form in which the server keeps them: a Secret's texts are data there."""
    return {name: value for name, value in inputs.items() if name != "stringData" and not name.startswith("__")}


def _outputs(inputs: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    metadata = found.get("metadata")
    if isinstance(metadata, dict):
        found = {**found, "metadata": {name: value for name, value in metadata.items() if name != "managedFields"}}
    outputs = {**{name: value for name, value in inputs.items() if not name.startswith("__")}, **found}
    if inputs.get("kind") == "Secret":
        # Whatever the program says: base64 is no lock.
        outputs |= {name: Secret(outputs[name]) for name in _HIDDEN if name in outputs}
    return outputs
