"""What the four resources share: checking, defaults, names, and comparing inputs with inputs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, ClassVar

from provider.resource import Call, Change, Diff, Failure, ProviderError, Resource, State, autoname, changes
from provider.values import UNKNOWN
from standins.docker.normal import normal
from standins.docker.rules import apply_rules
from standins.docker.schema import check_types, load_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from standins.docker.engine import Engine
    from standins.docker.rules import Rule


class DockerResource(Resource):
    """A resource whose inputs are described by tables."""

    args: ClassVar[str]
    """The SDK's class of its arguments."""
    named: ClassVar[bool] = True
    """Whether a missing name is made up."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """The official plugin's defaults."""
    refused: ClassVar[frozenset[str]] = frozenset()
    """Properties of the SDK that are not served here."""
    rules: ClassVar[Mapping[str, Rule]] = {}
    """What is allowed beyond the types, by path."""
    computed: ClassVar[frozenset[str]] = frozenset()
    """Outputs that only the engine knows."""
    state_version: ClassVar[str] = "0"
    """The version of the official plugin's state, so that it can take over the state made here."""

    def __init__(self, engine: Engine) -> None:
        """Use an engine.

        Args:
            engine: To be connected to at the first call that needs it.
        """
        self.engine = engine

    def check(
        self, call: Call, old: dict[str, Any] | None, new: dict[str, Any]
    ) -> tuple[dict[str, Any], list[Failure]]:
        """Check types, then rules; fill in defaults and a name."""
        inputs = {name: value for name, value in new.items() if value is not None}
        failures = check_types(load_schema()[self.args], inputs)
        failures += [Failure(name, _REFUSED) for name in sorted(self.refused) if normal(name, inputs.get(name))]
        mistyped = {re.split(r"[.\[]", failure.property)[0] for failure in failures}
        failures += apply_rules(self.rules, {name: inputs[name] for name in inputs.keys() - mistyped})
        filled = [name for name in self.defaults if name not in inputs]
        inputs |= {name: self.defaults[name] for name in filled}
        if self.named and "name" not in inputs:
            made_up = bool(old) and "name" in (old or {}).get("__defaults", ())
            try:
                inputs["name"] = autoname(call, old["name"] if old and made_up else None)
                filled.append("name")
            except ProviderError as error:
                failures.append(Failure("name", str(error)))
        inputs["__defaults"] = sorted(filled)
        return inputs, failures

    def replaces(self, name: str, new: dict[str, Any]) -> bool:
        """Tell whether a change of a property needs a new resource."""
        raise NotImplementedError

    def diff(self, call: Call, old: State, new: dict[str, Any]) -> Diff:
        """Compare inputs with inputs; a name that stays must be free before it can be taken again."""
        del call
        # Asking for what it already is, by Docker's or the image's default, is no change.
        given = {name: old.outputs[name] for name in self.computed & new.keys() & old.outputs.keys()}
        before = {**given, **old.inputs}
        found = changes(before, new, replaces=lambda name: self.replaces(name, new), normal=normal)
        return Diff(found + self.other_changes(old), old.inputs.get("name") == new.get("name"))

    def other_changes(self, old: State) -> tuple[Change, ...]:
        """Find what has to change although the inputs are the same."""
        del old
        return ()

    def preview(self, call: Call, inputs: dict[str, Any], old: State | None) -> dict[str, Any]:
        """Know the inputs, and of the rest what an update will not change."""
        del call
        known = dict.fromkeys(self.computed, UNKNOWN)
        if old is not None:
            known |= {name: value for name, value in old.outputs.items() if name not in old.inputs}
        return self.outputs(inputs, known)

    def outputs(self, inputs: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
        """Put the outputs together: what was found, under what was asked for."""
        asked = {name: value for name, value in inputs.items() if not name.startswith("__")}
        return {**found, **asked, "__meta": json.dumps({"schema_version": self.state_version})}


_REFUSED = (
    "is not served by this stand-in for the docker plugin; leave it out, or install the official plugin: "
    "`pulumi plugin install resource docker`"
)


def labels_of(inputs: dict[str, Any]) -> dict[str, str]:
    """Turn Pulumi's list of labels into Docker's map."""
    return {label["label"]: label["value"] for label in inputs.get("labels") or []}


def labels_from(labels: dict[str, str] | None) -> list[dict[str, str]]:
    """Turn Docker's map of labels into Pulumi's list."""
    return [{"label": name, "value": value} for name, value in sorted((labels or {}).items())]
