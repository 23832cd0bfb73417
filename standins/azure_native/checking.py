"""Values checked against the SDK's types: stricter than the official plugin, which drops what it does not know."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from provider.resource import Failure
from provider.values import UNKNOWN
from standins.typed_values import check_members, mismatch

if TYPE_CHECKING:
    from standins.azure_native.schema import Schema, Type

_ASIDE = " (the official plugin drops it without a word)"


def check_inputs(schema: Schema, inputs: dict[str, Any]) -> list[Failure]:
    """Check a resource's inputs.

    Args:
        schema: Its types.
        inputs: What was given; unknown parts pass.

    Returns:
        All that is wrong: types, unknown names, missing values, and values that an enumeration does not have.
    """
    return _check(schema, {"type": "ref", "name": schema.inputs}, inputs, "")


def _check(schema: Schema, kind: Type, value: Any, path: str) -> list[Failure]:
    if value is UNKNOWN or kind["type"] == "any":
        return []
    if kind["type"] == "union":
        # What comes nearest to one of them tells what is wrong.
        return min((_check(schema, one, value, path) for one in kind["of"]), key=len, default=[])
    if wrong := mismatch("object" if kind["type"] == "ref" else kind["type"], value, path):
        return [wrong]
    failures: list[Failure] = []
    match kind["type"]:
        case "string" if "enum" in kind and value not in kind["enum"]:
            failures.append(Failure(path, f"must be one of {', '.join(kind['enum'])}; was given {value!r}"))
        case "array":
            for index, item in enumerate(value):
                failures += _check(schema, kind["items"], item, f"{path}[{index}]")
        case "map":
            for name, item in value.items():
                failures += _check(schema, kind["items"], item, f"{path}.{name}")
        case "ref":
            found = schema.objects[kind["name"]]
            check = partial(_check, schema)
            failures += check_members(found["members"], found["required"], value, path, check, aside=_ASIDE)
    return failures
