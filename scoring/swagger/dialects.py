"""JSON Schemas as Swagger 2.0, OpenAPI 3.0 and OpenAPI 3.1 have them.

3.1 takes JSON Schema 2020-12 as it is; the others know a part of it, and what they do not know is left out: the schema
that is documented then allows more than the one that was given, never less.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

# What all of them have, and what means the same in all.
_KEPT = (
    "title", "description", "default", "format", "pattern", "multipleOf", "maximum", "minimum", "maxLength",
    "minLength", "maxItems", "minItems", "uniqueItems", "maxProperties", "minProperties", "enum", "example", "readOnly",
)  # fmt: skip
_KEPT_BY_3_0 = ("writeOnly", "deprecated", "nullable")
_BOUNDS = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))
_UNIONS = ("anyOf", "oneOf")
_NOTHING = "null"
# Members of a schema that hold schemas by name, lists of them, and values that are none.
_BY_NAME = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
_LISTS = {"allOf", "anyOf", "oneOf", "prefixItems", "items"}
_VALUES = {"default", "example", "examples", "const", "enum", "required"}
# What would change where references lead, and what has another name now.
_LEFT_OUT = {"$schema", "$id", "additionalItems"}


def to_version(schema: Any, version: str, place: str) -> Schema:
    """Return a schema as a version has it.

    Args:
        schema: A JSON Schema, complete in itself.
        version: 2.0, 3.0 or 3.1.
        place: Where it will stand in the document, as a JSON pointer.
    """
    if version == "3.1":
        return _whole(_moved(schema, place))
    return _Older(schema, version).convert(schema, ())


def _moved(schema: Any, place: str) -> Any:
    """The schema with references that lead to where it stands now."""
    if not isinstance(schema, dict):
        return schema
    moved = {
        key: _moved_member(key, value, place)
        for key, value in schema.items()
        if key not in _LEFT_OUT and not (key == "required" and not value)
    }
    if isinstance(schema.get("items"), list):
        # Before 2020-12.
        moved["prefixItems"] = moved.pop("items")
        if "additionalItems" in schema:
            moved["items"] = _moved(schema["additionalItems"], place)
    return moved


def _moved_member(key: str, value: Any, place: str) -> Any:
    if key == "$ref" and isinstance(value, str) and value.startswith("#"):
        return f"{place}{value[1:]}"
    if key in _BY_NAME and isinstance(value, dict):
        return {str(name): _whole(_moved(member, place)) for name, member in value.items()}
    if key in _LISTS and isinstance(value, list):
        return [_whole(_moved(item, place)) for item in value]
    return value if key in _VALUES else _moved(value, place)


def _whole(schema: Any) -> Schema:
    """A schema that is true or false, as one that every tool reads."""
    return schema if isinstance(schema, dict) else {} if schema else {"not": {}}


class _Older:
    """Converts to the versions whose schemas are their own dialect."""

    def __init__(self, root: Any, version: str) -> None:
        self._root = root
        self._is_2 = version == "2.0"

    def convert(self, schema: Any, open_references: tuple[str, ...]) -> Schema:
        """Convert a schema; references are replaced by what they lead to, and one to itself by anything."""
        if not isinstance(schema, dict):
            return {} if self._is_2 else _whole(schema)
        reference = schema.get("$ref")
        if isinstance(reference, str):
            beside = {key: value for key, value in schema.items() if key in {"title", "description", "example"}}
            target = self._find(reference)
            if reference in open_references or target is None:
                return beside
            return {**self.convert(target, (*open_references, reference)), **beside}
        kept = _KEPT if self._is_2 else _KEPT + _KEPT_BY_3_0
        found: Schema = {key: schema[key] for key in kept if key in schema}
        self._scalars(schema, found)
        self._parts(schema, found, open_references)
        self._type(schema, found)
        return found

    def _scalars(self, schema: Schema, found: Schema) -> None:
        if "const" in schema:
            found["enum"] = [schema["const"]]
        if not found.get("enum", True):
            del found["enum"]
        if schema.get("examples") and "example" not in found and isinstance(schema["examples"], list):
            found["example"] = schema["examples"][0]
        if schema.get("contentEncoding") == "base64":
            found["format"] = "byte"
        if required := schema.get("required"):
            found["required"] = list(dict.fromkeys(required))
        for exclusive, bound in _BOUNDS:
            limit = schema.get(exclusive)
            if isinstance(limit, bool):
                found[exclusive] = limit
            elif limit is not None:
                found[bound], found[exclusive] = limit, True

    def _parts(self, schema: Schema, found: Schema, open_references: tuple[str, ...]) -> None:
        def convert(part: Any) -> Schema:
            return self.convert(part, open_references)

        if properties := schema.get("properties"):
            found["properties"] = {str(name): convert(member) for name, member in properties.items()}
        further = schema.get("additionalProperties")
        # Members by patterns are further ones to these versions.
        if further is not None and not schema.get("patternProperties"):
            found["additionalProperties"] = further if isinstance(further, bool) else convert(further)
        items = schema.get("items")
        if isinstance(items, dict) and "prefixItems" not in schema:
            found["items"] = convert(items)
        if every := schema.get("allOf"):
            found["allOf"] = [convert(part) for part in every]
        if self._is_2:
            return
        for union in _UNIONS:
            if choices := schema.get(union):
                found[union] = [convert(choice) for choice in choices]
        if "not" in schema:
            found["not"] = convert(schema["not"])

    def _type(self, schema: Schema, found: Schema) -> None:
        """One type or none; null is a mark of its own."""
        given = schema.get("type")
        kinds = given if isinstance(given, list) else [given] if given is not None else []
        others = [kind for kind in kinds if kind != _NOTHING]
        if _NOTHING in kinds and not self._is_2:
            if others:
                found["nullable"] = True
            else:
                found.update(nullable=True, enum=[None])
        if len(others) == 1 and (not self._is_2 or _NOTHING not in kinds):
            found["type"] = others[0]
        elif len(others) > 1 and not self._is_2 and "anyOf" not in found:
            found["anyOf"] = [{"type": kind, **({"items": {}} if kind == "array" else {})} for kind in others]
        if found.get("nullable") and "type" not in found:
            del found["nullable"]
            found.pop("anyOf", None)
        if found.get("type") == "array":
            found.setdefault("items", {})

    def _find(self, reference: str) -> Any:
        if not reference.startswith("#"):
            return None
        place: Any = self._root
        for part in reference[1:].split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(place, list) and name.isdecimal() and int(name) < len(place):
                place = place[int(name)]
            elif isinstance(place, dict) and name in place:
                place = place[name]
            else:
                return None
        return place
