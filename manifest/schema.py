"""The manifest's JSON Schema, for editors: `python -m manifest.schema --write|--check models.schema.json`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from manifest.atomic import write_atomically
from manifest.model import Manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import core_schema


class _ForEditors(GenerateJsonSchema):
    """Leaves out what only says that a key may be absent: null is refused, so it is not offered."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        inner = super().default_schema(schema)
        return {key: value for key, value in inner.items() if key != "default" or value not in (None, [], {})}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        inner = super().dict_schema(schema)
        return {**inner, "additionalProperties": False} if "patternProperties" in inner else inner


def schema() -> dict[str, Any]:
    """Return the JSON Schema of models.yaml."""
    generated = Manifest.model_json_schema(schema_generator=_ForEditors, ref_template="#/definitions/{model}")
    return {
        # The draft that YAML editors support.
        "$schema": "http://json-schema.org/draft-07/schema#",
        **_without_titles(generated),
        "title": "Slipway models",
        "definitions": {name: _without_titles(one) for name, one in generated["$defs"].items()},
    }


def _without_titles(value: Any) -> Any:
    """Drop the titles that pydantic derives from names: editors would show them in place of the key."""
    if isinstance(value, list):
        return [_without_titles(one) for one in value]
    if isinstance(value, dict):
        return {
            key: _without_titles(one)
            for key, one in value.items()
            if key != "$defs" and not (key == "title" and isinstance(one, str))
        }
    return value


def text() -> str:
    """Return the schema as it is kept in its file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file, or tell whether it is current."""
    parser = argparse.ArgumentParser(prog="python -m manifest.schema", description=__doc__)
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--write", type=Path, metavar="FILE", help="write the schema")
    way.add_argument("--check", type=Path, metavar="FILE", help="fail when the file is not current")
    options = parser.parse_args(arguments)
    file: Path = options.write or options.check
    try:
        current = file.read_text(encoding="utf-8") if file.exists() else None
        if current == text():
            return 0
        if options.check:
            return _fail(f"{file} is not current; run: python -m manifest.schema --write {file}")
        write_atomically(file, text())
    except (OSError, UnicodeDecodeError) as error:
        return _fail(f"{file}: {getattr(error, 'strerror', None) or 'is not UTF-8'}")
    return 0


def _fail(message: str) -> int:
    sys.stderr.write(f"{message}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
