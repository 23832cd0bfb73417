"""RegisteredModel: a version of a model in the registry, bound for ever to its bytes.

Inputs: `name`, `version`, `digest` (`sha256:...`), `registry` (its location), and either `path` (relative to the
project) with `exclude` (what of that folder is not the model), or `url` and `sha256`. `framework`, `description`,
`tags`, `data` and `metrics` are notes, which may change. Outputs: also `size`, `registeredAt`, `registeredBy` and
`commit`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from provider.resource import Diff, Failure, ProviderError, Resource, State, changes
from provider.values import UNKNOWN, has_unknown

if TYPE_CHECKING:
    from manifest.listing import Listing
    from provider.resource import Call
    from registry import ModelVersion, Notes, Registry
    from registry.fetch import Progress

_KEYS = ("name", "version", "registry")
_NOTES = ("data", "description", "framework", "metrics", "tags")
_FOUND = ("size", "registeredAt", "registeredBy", "commit")
_STATUS_SECONDS = 1.0


class RegisteredModel(Resource):
    """A registered version. Deleting it keeps the record: other stacks may run that version, and it stays taken."""

    def check(
        self, call: Call, old: dict[str, Any] | None, new: dict[str, Any]
    ) -> tuple[dict[str, Any], list[Failure]]:
        """Refuse a version that is bound to other bytes; a preview shows it too."""
        del call
        if any(has_unknown(new.get(name)) for name in (*_KEYS, "digest")):
            return new, []
        # Nothing to ask the registry for: this stack registered these very bytes.
        if old and all(old.get(name) == new.get(name) for name in (*_KEYS, "digest")):
            return new, []
        from registry import RegistryError  # noqa: PLC0415 - an unchanged stack starts without it

        try:
            known = old["digest"] if old and all(old.get(name) == new.get(name) for name in _KEYS) else None
            _refuse_other_bytes(_registry(new), new, known)
        except RegistryError as error:
            # Of the resource, not of a property: the message names what to change.
            return new, [Failure("", str(error))]
        return new, []

    def diff(self, call: Call, old: State, new: dict[str, Any]) -> Diff:
        """Compare: another version is another resource, other notes are an update, and another place is nothing."""
        del call
        relevant = (*_KEYS, "digest", *_NOTES)
        before, after = ({name: one[name] for name in relevant if name in one} for one in (old.inputs, new))
        return Diff(changes(before, after, replaces=lambda name: name not in _NOTES))

    def preview(self, call: Call, inputs: dict[str, Any], old: State | None) -> dict[str, Any]:
        """Know the inputs, and of the rest what an update will not change."""
        del call
        known = {name: old.outputs[name] for name in _FOUND if name in old.outputs} if old else {}
        return {**dict.fromkeys(_FOUND, UNKNOWN), **known, **inputs} if not old else {**known, **inputs}

    def create(self, call: Call, inputs: dict[str, Any]) -> State:
        """Register it; what is registered already with the same bytes is taken as it is."""
        from registry import ModelVersion, RegistryError  # noqa: PLC0415 - as above
        from registry.lineage import lineage_here  # noqa: PLC0415 - as above

        root = Path.cwd()
        try:
            registry = _registry(inputs)
            there = registry.get(inputs["name"], inputs["version"])
            if there is None or there.digest != inputs["digest"]:
                folder, listing = _files(call, inputs, root)
                if listing.digest != inputs["digest"]:
                    raise ProviderError(f"{inputs['path']} changed while it was being registered; run it again")
                lineage = lineage_here(root, inputs.get("url") or inputs["path"])
                wanted = ModelVersion.of(inputs["name"], inputs["version"], listing, lineage, _notes(inputs))
                call.status("registering")
                there = registry.register(wanted, folder, shared="url" in inputs)
            if there.notes != _notes(inputs):
                registry.annotate(there.name, there.version, _notes(inputs))
        except RegistryError as error:
            raise ProviderError(str(error)) from None
        return State(f"{there.name}:{there.version}", inputs, _outputs(inputs, there))

    def read(self, call: Call, state: State) -> State | None:
        """Look whether it is registered; for an import, its id is NAME:VERSION."""
        del call
        from registry import DEFAULT_LOCATION, RegistryError  # noqa: PLC0415 - as above

        name, _, version = state.id.partition(":")
        inputs = state.inputs or {"name": name, "version": version, "registry": DEFAULT_LOCATION}
        try:
            there = _registry(inputs).get(name, version)
        except RegistryError as error:
            raise ProviderError(str(error)) from None
        if there is None:
            return None
        notes = {key: value for key, value in there.notes.model_dump(exclude_none=True).items() if value}
        inputs = {key: value for key, value in inputs.items() if key not in _NOTES} | notes | {"digest": there.digest}
        return State(state.id, inputs, _outputs(inputs, there))

    def update(self, call: Call, old: State, new: dict[str, Any]) -> dict[str, Any]:
        """Change the notes."""
        del call
        from registry import RegistryError  # noqa: PLC0415 - as above

        try:
            _registry(new).annotate(new["name"], new["version"], _notes(new))
        except RegistryError as error:
            raise ProviderError(str(error)) from None
        return {**{name: old.outputs[name] for name in _FOUND if name in old.outputs}, **new}

    def delete(self, call: Call, state: State) -> None:
        """Keep the record and the bytes."""
        del call, state


def _registry(inputs: dict[str, Any]) -> Registry:
    from registry import open_registry  # noqa: PLC0415 - as above

    return open_registry(inputs["registry"], Path.cwd())


def _refuse_other_bytes(registry: Registry, new: dict[str, Any], known: str | None) -> None:
    """Refuse a version that the registry, or this stack's own state, knows with other bytes."""
    from registry import VersionTakenError  # noqa: PLC0415 - as above
    from registry.record import next_free  # noqa: PLC0415 - as above

    there = registry.get(new["name"], new["version"])
    registered = there.digest if there else known
    if registered in {None, new["digest"]}:
        return
    taken = (one.version for one in registry.versions(new["name"]))
    free = next_free(new["version"], taken)
    raise VersionTakenError(
        new["name"], new["version"], registered=str(registered), given=str(new["digest"]), free=free
    )


def _files(call: Call, inputs: dict[str, Any], root: Path) -> tuple[Path, Listing]:
    """Have the model's files; return their folder and what they are."""
    from manifest import ManifestError, content  # noqa: PLC0415 - as above
    from manifest.listing import list_files  # noqa: PLC0415 - as above
    from registry import bytes_of, context_folder  # noqa: PLC0415 - as above

    if "url" in inputs:
        listing = bytes_of(inputs["url"], inputs["sha256"], root, progress=_progress(call))
        return root / context_folder(inputs["url"], inputs["sha256"]), listing
    path = root / inputs["path"]
    call.status(f"hashing {inputs['path']}")
    try:
        if path.is_file():
            return path.parent, list_files(path.parent, [path.name], single=True)
        names, complaints = content.scan(path, ".", inputs.get("exclude") or ())
        if complaints:
            raise ProviderError(f"{inputs['path']}: {'; '.join(complaints)}")
        return path, list_files(path, names, single=False)
    except ManifestError as error:
        raise ProviderError(str(error)) from None


def _progress(call: Call) -> Progress:
    """Show how far a download is, beside the resource; stop it when the user interrupts."""
    from registry.progress import every  # noqa: PLC0415 - as above

    tell = every(_STATUS_SECONDS, call.status)

    def show(name: str, done: int, size: int | None) -> None:
        if call.cancelled.is_set():
            raise ProviderError("interrupted; what was fetched is kept, and the next run goes on from there")
        tell(name, done, size)

    return show


def _notes(inputs: dict[str, Any]) -> Notes:
    from registry import Notes  # noqa: PLC0415 - as above

    return Notes(**{name: inputs[name] for name in _NOTES if inputs.get(name)})


def _outputs(inputs: dict[str, Any], there: ModelVersion) -> dict[str, Any]:
    return {
        **inputs,
        "size": there.size,
        "registeredAt": there.lineage.when.isoformat(timespec="seconds"),
        "registeredBy": there.lineage.who,
        "commit": there.lineage.commit or "",
    }
