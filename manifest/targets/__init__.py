"""The targets that a model can have: each a class in a file of its own, listed here.

A new target is a subclass of Target in a new file, named in `AnyTarget` and in `TARGETS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic_core import core_schema

from manifest.fields import refusal
from manifest.problems import shown, unknown
from manifest.targets.aci import AciTarget
from manifest.targets.aks import AksTarget
from manifest.targets.batch import BatchTarget
from manifest.targets.iot_edge import IotEdgeTarget
from manifest.targets.local_docker import LocalDockerTarget

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

AnyTarget = LocalDockerTarget | AciTarget | AksTarget | BatchTarget | IotEdgeTarget

_CLASSES: tuple[type[AnyTarget], ...] = (LocalDockerTarget, AciTarget, AksTarget, BatchTarget, IotEdgeTarget)
TARGETS = {target.kind: target for target in _CLASSES}


class _OneKeyMapping:
    """How a target is written: `local-docker: {port: 8890}`, or only `local-docker`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        by_kind = core_schema.typed_dict_schema(
            {
                kind: core_schema.typed_dict_field(handler.generate_schema(target), required=False)
                for kind, target in TARGETS.items()
            }
        )
        return core_schema.no_info_after_validator_function(
            _only_value, core_schema.no_info_before_validator_function(_long_form, by_kind)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        mapping = handler(schema)
        mapping["properties"] = {
            kind: {"anyOf": [options, {"type": "null"}]} for kind, options in mapping["properties"].items()
        }
        one_key = {"additionalProperties": False, "minProperties": 1, "maxProperties": 1}
        return {"anyOf": [{**mapping, **one_key}, {"type": "string", "enum": sorted(TARGETS)}]}


def _long_form(entry: Any) -> Any:
    """Bring every way to write a target into the one with a mapping, and refuse what is none."""
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, dict):
        return entry
    kinds = [kind for kind in entry if kind in TARGETS]
    if len(entry) > 1 and len(kinds) == 1:
        others = ", ".join(shown(key) for key in entry if key not in TARGETS)
        raise refusal(f"indent {others} below {kinds[0]}: a target is a mapping with one key, its kind")
    if len(entry) != 1:
        raise refusal("must be a mapping with one key, the target's kind; begin a list entry (-) for each target")
    [(kind, options)] = entry.items()
    if kind not in TARGETS:
        raise refusal(unknown("target", kind, TARGETS))
    return {kind: {} if options is None else options}


def _only_value(entry: dict[str, AnyTarget]) -> AnyTarget:
    return next(iter(entry.values()))


__all__ = [
    "TARGETS",
    "AciTarget",
    "AksTarget",
    "AnyTarget",
    "BatchTarget",
    "IotEdgeTarget",
    "LocalDockerTarget",
    "TargetEntry",
]

TargetEntry = Annotated[AnyTarget, _OneKeyMapping()]
