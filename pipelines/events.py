"""From the engine's event log to what changes for each model and target.

Values of properties are never taken over but for numbers, booleans and versions: what is secret is `[secret]` in the
log already, and what somebody forgot to mark as secret is a text.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipelines.changes import Action, Change, ModelChange, Preview

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

_STACK = "pulumi:pulumi:Stack"
_PROVIDER = "pulumi:providers:"
_IMAGE = "docker-build:index:Image"
_REGISTERED = "slipway:index:RegisteredModel"
# That the container's host has an image, or has lost it, is no change of what runs.
_FETCHED = "RemoteImage"
_IMAGES = {"ScoringImage": "image", "EnvironmentImage": "environment", "RegisteredModel": "image"}
_ACTIONS: dict[str, Action] = {
    "create": "created",
    "import": "created",
    "update": "updated",
    "replace": "replaced",
    "create-replacement": "replaced",
    "delete-replaced": "replaced",
    "delete": "deleted",
    "same": "unchanged",
}
# How people call what a property is; None: it says nothing that another one does not.
_WORDS = {
    "tags": "its content",
    "envs": "environment variables",
    "env": "environment variables",
    "environmentVariables": "environment variables",
    "image": "its image",
    "name": "its name",
    "memorySwap": None,
    "cpus": "processors",
    "mounts": "mounted folders",
    "ports": "ports",
}
# Types that start anew what runs in them whatever is updated, and properties that do so in the others.
_RESTARTING_TYPES = ("ContainerGroup",)
_RESTARTING_PROPERTIES = re.compile(r"template|image|env", re.IGNORECASE)
_KEBAB = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_SECRET_NAME = re.compile(r"PASS|SECRET|TOKEN|KEY|CREDENTIAL|SAS|CONNECTION_STRING", re.IGNORECASE)
_SHORTEST_SECRET = 6
_MOST_ERROR_LINES = 40
_LONGEST_LINE = 500
_MOST_REASONS = 12


@dataclass
class _Group:
    """All resources of one model at one target."""

    component: Action | None = None
    resources: list[Action] = field(default_factory=list)
    reasons: dict[str, None] = field(default_factory=dict)
    restarts: bool = False

    @property
    def action(self) -> Action:
        """What happens to it as a whole."""
        if self.component in {"created", "deleted"}:
            return self.component
        found = set(self.resources)
        if found <= {"unchanged"}:
            return self.component or "unchanged"
        # Something came or went inside of what stays.
        return "replaced" if "replaced" in found else "updated"


@dataclass
class _Seen:
    parents: dict[str, str] = field(default_factory=dict)
    groups: dict[tuple[str, str], _Group] = field(default_factory=dict)
    # Image to be built: its tag, by model.
    tags: dict[str, str] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


def read_preview(
    stack: str,
    log: Path,
    *,
    code: int,
    size_of: Callable[[str], int | None] = lambda _: None,
    environ: Mapping[str, str] = os.environ,
) -> Preview:
    """Return what a preview would do.

    Args:
        stack: The stack.
        log: The engine's event log; one that is missing or cut off is read as far as it goes.
        code: The engine's exit code.
        size_of: Tells the size of an image in its registry.
        environ: Where values are that must not be in error messages.
    """
    seen = _Seen(_parents(log))
    for kind, event in _events(log):
        _take(seen, kind, event)
    changes = [
        Change(
            model=model,
            target=target,
            action=one.action,
            reasons=list(one.reasons)[:_MOST_REASONS],
            restarts=one.restarts,
        )
        for (model, target), one in sorted(seen.groups.items())
    ]
    return Preview(
        stack=stack,
        # The engine's own error says no more than that there are violations.
        failed=failure([*seen.violations, *seen.errors], environ) if code else [],
        changes=changes,
        models=_models(seen, changes, size_of),
    )


def read_drift(stack: str, log: Path, *, code: int, environ: Mapping[str, str] = os.environ) -> Preview:
    """Return what differs between a stack's state and what is really there; the rest as in `read_preview`."""
    seen = _Seen(_parents(log))
    for kind, event in _events(log):
        if kind == "diagnosticEvent":
            _take(seen, kind, event)
            continue
        metadata = event.get("metadata") or {}
        # A refresh announces each resource as "refresh"; what it found comes with the outputs.
        if kind != "resOutputsEvent" or metadata.get("type", "").startswith((_STACK, _PROVIDER)):
            continue
        found = metadata.get("op") == "delete" or (metadata.get("op") == "update" and _paths(metadata))
        _add(seen, {**metadata, "op": metadata["op"] if found else "same"})
        place, lost = _place(metadata, seen.parents), metadata["type"].rpartition(":")[2]
        if metadata["op"] == "delete" and lost != _FETCHED and place in seen.groups:
            seen.groups[place].reasons[f"{lost} is gone"[:200]] = None
    changes = [
        Change(model=model, target=target, action=one.action, reasons=list(one.reasons)[:_MOST_REASONS])
        for (model, target), one in sorted(seen.groups.items())
    ]
    return Preview(stack=stack, failed=failure(seen.errors, environ) if code else [], changes=changes)


def _events(log: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        file = log.open(encoding="utf-8", errors="replace")
    except OSError:
        return
    with file:
        for line in file:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            for kind in ("resourcePreEvent", "resOutputsEvent", "diagnosticEvent", "policyEvent"):
                if isinstance(event.get(kind), dict):
                    yield kind, event[kind]


def _parents(log: Path) -> dict[str, str]:
    """Resource to its parent; deletions come children first, so all of them are known before one is looked at."""
    found = {}
    for _, event in _events(log):
        metadata = event.get("metadata") or {}
        state = metadata.get("new") or metadata.get("old") or {}
        if state.get("parent"):
            found[str(metadata.get("urn"))] = str(state["parent"])
    return found


def _take(seen: _Seen, kind: str, event: dict[str, Any]) -> None:
    if kind == "diagnosticEvent":
        if event.get("severity") == "error":
            seen.errors += str(event.get("message", "")).splitlines()
        return
    if kind == "policyEvent":
        seen.violations += _violation(event)
        return
    metadata = event.get("metadata") or {}
    if metadata.get("type") == _STACK:
        # The first of these events comes before the program has exported anything.
        seen.before = _exported(metadata.get("old")) or seen.before
        seen.after = _exported(metadata.get("new")) if kind == "resOutputsEvent" else seen.after
    elif kind == "resourcePreEvent" and not metadata.get("type", "").startswith(_PROVIDER):
        _add(seen, metadata)


def _violation(event: dict[str, Any]) -> list[str]:
    """What a mandatory policy refuses; its first line is the policy's own description."""
    if event.get("enforcementLevel") != "mandatory":
        return []
    lines = str(event.get("message", "")).splitlines()
    return [f"{event.get('policyName')}: {line}" for line in lines[1:] or lines]


def _exported(state: Any) -> dict[str, Any]:
    models = ((state or {}).get("outputs") or {}).get("models")
    return models if isinstance(models, dict) else {}


def _add(seen: _Seen, metadata: dict[str, Any]) -> None:
    action = _ACTIONS.get(metadata.get("op", ""))
    place = _place(metadata, seen.parents)
    if action is None or place is None:
        return
    group = seen.groups.setdefault(place, _Group())
    state = metadata.get("new") or metadata.get("old") or {}
    if not state.get("custom"):
        group.component = action
        return
    kind = metadata["type"].rpartition(":")[2]
    if kind == _FETCHED:
        return
    # Another version in the model registry replaces none that is there.
    group.resources.append("updated" if action == "replaced" and metadata["type"] == _REGISTERED else action)
    paths = _paths(metadata)
    for path in paths:
        if reason := _reason(path, metadata):
            group.reasons[reason] = None
    if place[1] not in _IMAGES.values():
        updated = action == "updated" and (kind in _RESTARTING_TYPES or any(map(_RESTARTING_PROPERTIES.search, paths)))
        group.restarts = group.restarts or action == "replaced" or updated
    if metadata["type"] == _IMAGE and action in {"created", "updated", "replaced"}:
        tags = ((metadata.get("new") or {}).get("inputs") or {}).get("tags") or []
        if tags:
            seen.tags[place[0]] = str(tags[0])


def _place(metadata: dict[str, Any], parents: Mapping[str, str]) -> tuple[str, str] | None:
    """Model and target: the name and type of the component that stands directly below the stack."""
    urn = str(metadata.get("urn", ""))
    while (parent := parents.get(urn)) and f"::{_STACK}::" not in parent:
        urn = parent
    _, _, types, name = (urn.split("::", 3) + [""] * 4)[:4]
    component = types.rpartition(":")[2]
    # A promoted image is a name, nothing that is made: what runs it is where a promotion shows.
    if not component or types == _STACK or component == "PromotedImage":
        return None
    return _name(name), _name(_IMAGES.get(component) or _KEBAB.sub("-", component).lower())


def _name(text: str) -> str:
    return _NOT_IN_NAMES.sub("-", text).strip("-._")[:100] or "unnamed"


def _paths(metadata: dict[str, Any]) -> list[str]:
    return [str(path) for path in (metadata.get("detailedDiff") or metadata.get("diffs") or ())]


def _reason(path: str, metadata: dict[str, Any]) -> str | None:
    parts = [part for part in re.split(r"[.\[\]\"]+", path) if part and not part.isdigit()]
    last = parts[-1] if parts else path
    word = _WORDS.get(last, last)
    if word is None:
        return None
    old, new = _scalar(metadata.get("old"), path), _scalar(metadata.get("new"), path)
    return f"{word} {old} → {new}"[:200] if old is not None and new is not None else word[:200]


def _scalar(state: Any, path: str) -> str | None:
    """A top-level input that is a number or a boolean, as text; no text is shown, whatever it says."""
    value = ((state or {}).get("inputs") or {}).get(path)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, int | float) else None


def _models(seen: _Seen, changes: list[Change], size_of: Callable[[str], int | None]) -> dict[str, ModelChange]:
    changed = {one.model for one in changes if one.action != "unchanged"}
    found = {}
    for name in sorted(changed & {*seen.before, *seen.after}):
        before, after = seen.before.get(name) or {}, seen.after.get(name) or {}
        image = str(after.get("image", ""))
        # Before it is built an image has no digest, but its tag is known: it may have been built elsewhere.
        wanted = image if "@sha256:" in image else seen.tags.get(name)
        was = str(before.get("image", ""))
        found[_name(name)] = ModelChange(
            was=_version(before),
            becomes=_version(after),
            size_was=size_of(was) if "@sha256:" in was and wanted != was else None,
            size_becomes=size_of(wanted) if wanted and wanted != was else None,
        )
    return found


def _version(model: dict[str, Any]) -> str | None:
    version = model.get("version")
    return str(version)[:200] if version is not None else None


def failure(lines: Iterable[str], environ: Mapping[str, str]) -> list[str]:
    """Return why something failed, fit to be published: limited, and without what the environment keeps secret.

    Args:
        lines: What was said.
        environ: Where values are that must not be in it; a variable's name tells.
    """
    secrets = sorted(
        (value for name, value in environ.items() if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_SECRET),
        key=len,
        reverse=True,
    )
    told = []
    for line in lines:
        for secret in secrets:
            line = line.replace(secret, "[secret]")  # noqa: PLW2901 - the same line, without what is secret
        if line.strip():
            told.append(line[:_LONGEST_LINE])
    return told[:_MOST_ERROR_LINES] or ["The engine gave no reason; see its log."]
