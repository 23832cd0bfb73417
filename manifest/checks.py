"""What only the whole manifest and the project's files can tell: names and ports taken twice, paths, contents.

A model with an error elsewhere is checked here all the same, as far as its other parts are sound, so that one run
shows everything.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from manifest.edge.pipelines import Placed, check_pipelines
from manifest.files import check_files
from manifest.model import Model, Scoring, Source
from manifest.problems import shown
from manifest.targets import IotEdgeTarget, TargetEntry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from manifest.document import Document
    from manifest.problems import Loc, Problem
    from manifest.targets import AnyTarget

    _Entry = tuple[Loc, dict[str, Any]]


# For files, it only matters that there is one.
_ANY_SOURCE = Source(url="https://example.com/model", sha256="0" * 64)


def check(document: Document, value: Any, root: Path) -> list[Problem]:
    """Check a manifest's models against each other and against the project's files.

    Args:
        document: The manifest, for places.
        value: Its plain value, sound or not.
        root: The project's folder.
    """
    models = value.get("models") if isinstance(value, dict) else None
    entries: list[_Entry] = []
    if isinstance(models, list):
        entries = [(("models", index), one) for index, one in enumerate(models) if isinstance(one, dict)]
    problems = [*_names(document, entries), *_targets(document, entries), *_pipelines(document, entries)]
    for loc, entry in entries:
        model, unsound = _model_for_files(entry, root)
        if model is not None:
            problems += check_files(document, loc, model, unsound, root)
    return problems


def _names(document: Document, entries: list[_Entry]) -> list[Problem]:
    problems = []
    first: dict[str, Loc] = {}
    for loc, entry in entries:
        name = entry.get("name")
        if not isinstance(name, str):
            continue
        taken = first.setdefault(name.casefold(), loc)
        if taken != loc:
            line = document.find((*taken, "name")).line
            message = (
                f"the name {shown(name)} is taken by the model in line {line}; names must differ, not only in case"
            )
            problems.append(document.problem((*loc, "name"), message))
    return problems


def _targets(document: Document, entries: list[_Entry]) -> list[Problem]:
    """Refuse the same kind twice in one model, and what two models cannot both have, such as a port."""
    problems = []
    claims: dict[tuple[str, str, Any], tuple[Any, Loc]] = {}
    for loc, entry in entries:
        kinds: dict[str, Loc] = {}
        targets = entry.get("targets")
        for index, raw in enumerate(targets if isinstance(targets, list) else ()):
            target, unsound = _sound(_adapter(TargetEntry), raw)
            here = (*loc, "targets", index)
            if target is None:
                continue
            if kinds.setdefault(target.kind, here) != here:
                line = document.find(kinds[target.kind]).line
                message = f"a second {target.kind} target; the first one is in line {line}"
                problems.append(document.problem(here, message))
            else:
                known = {str(part[-1]) for part in unsound if part}
                problems += _claims(document, claims, entry.get("name"), here, target, known)
    return problems


def _pipelines(document: Document, entries: list[_Entry]) -> Iterator[Problem]:
    """Check `iot-edge` targets against each other; one that is unsound by itself is left out."""
    placed, names = [], []
    for loc, entry in entries:
        name, targets = entry.get("name"), entry.get("targets")
        if not isinstance(name, str):
            continue
        names.append(name)
        for index, raw in enumerate(targets if isinstance(targets, list) else ()):
            target, unsound = _sound(_adapter(TargetEntry), raw)
            if isinstance(target, IotEdgeTarget) and not unsound:
                placed.append(Placed(name, target, (*loc, "targets", index, target.kind)))
    return check_pipelines(document, placed, names)


def _claims(
    document: Document,
    claims: dict[tuple[str, str, Any], tuple[Any, Loc]],
    name: Any,
    loc: Loc,
    target: AnyTarget,
    unsound: set[str],
) -> Iterator[Problem]:
    for key, value in target.claims(name if isinstance(name, str) else "").items():
        given = getattr(target, key) is not None
        if key in unsound or not (given or isinstance(name, str)):
            continue
        place = (*loc, target.kind, key) if given else loc
        other, taken = claims.setdefault((target.kind, key, value), (name, place))
        # Two models of one name are a problem of their own.
        if taken == place or (not given and other == name):
            continue
        why = "" if given else " (which follows from this model's name)"
        line = document.find(taken).line
        yield document.problem(
            place,
            f"{key} {value}{why} is that of the model {shown(other)} too, in line {line}; give one of them another",
        )


def _model_for_files(entry: dict[str, Any], root: Path) -> tuple[Model | None, set[str]]:
    """A model with what its files can be checked by, and the keys of `scoring` that cannot be."""
    scoring, unsound = _sound(_adapter(Scoring), entry.get("scoring", {}))
    source = _sound(_adapter(Source), entry["source"])[0] or _ANY_SOURCE if "source" in entry else None
    known = {"name": "unnamed", "version": "0", "path": entry.get("path"), "scoring": scoring or Scoring()}
    known |= {"source": source} if source else {}
    try:
        model = Model.model_validate(known, context={"root": root})
    except ValidationError:
        return None, set()
    names = {str(loc[0]) for loc in unsound if loc}
    return model, names if scoring is not None else {*Scoring.model_fields}


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _sound(adapter: TypeAdapter[Any], raw: Any) -> tuple[Any, set[Loc]]:
    """A value without its unsound keys, and where these were; None if nothing remains."""
    try:
        return adapter.validate_python(raw), set()
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        unsound = {one["loc"][:-1] if one["loc"][-1:] == ("[key]",) else one["loc"] for one in found}
    rest = copy.deepcopy(raw)
    for loc in unsound:
        here = rest
        for part in loc[:-1]:
            here = here.get(part) if isinstance(here, dict) else None
        if loc and isinstance(here, dict):
            here.pop(loc[-1], None)
    try:
        return adapter.validate_python(rest), unsound
    except ValidationError:
        return None, unsound
