"""A JSON Schema of what a sample looks like."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def schema_of(value: Any) -> Schema:
    """Return the schema of a JSON value: its types and members, and nothing that a sample cannot tell."""
    if isinstance(value, dict):
        members = {str(name): schema_of(item) for name, item in value.items()}
        return {"type": "object", "properties": members, **({"required": list(members)} if members else {})}
    if isinstance(value, list):
        items: Schema | None = None
        for item in value:
            found = schema_of(item)
            items = found if items is None else _merged(items, found)
        return {"type": "array", "items": items or {}}
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, (int, float)):
        # A sample's 5 may as well have been 5.1.
        return {"type": "number"}
    return {"type": "string"} if isinstance(value, str) else {}


def _merged(first: Schema, second: Schema) -> Schema:
    """A schema that both fit."""
    if first == second:
        return first
    kind = first.get("type")
    if kind != second.get("type"):
        return {}
    if kind == "array":
        return {"type": "array", "items": _merged(first["items"], second["items"])}
    known, further = first["properties"], second["properties"]
    members = {
        name: _merged(known[name], further[name]) if name in known and name in further else {**known, **further}[name]
        for name in {**known, **further}
    }
    required = [name for name in first.get("required", ()) if name in second.get("required", ())]
    return {"type": "object", "properties": members, **({"required": required} if required else {})}
