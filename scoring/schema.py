"""The schema of a model: JSON Schemas of the request's body and of the answer, in one file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

import fastjsonschema

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PARTS = ("input", "output")


class SchemaError(Exception):
    """A schema file that cannot be used, or a value that does not fit; the message says where and why."""


class Schema:
    """What requests and answers look like: `{"input": JSON Schema, "output": JSON Schema}`, each optional."""

    def __init__(self, path: Path) -> None:
        """Read and compile a schema file.

        Raises:
            SchemaError: It is missing, not JSON, or not of that form.
        """
        self._name = path.name
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise SchemaError(f"{path}: cannot be read as JSON: {error}") from None
        if not isinstance(content, dict) or not content or not set(content) <= set(_PARTS):
            given = f"the keys {', '.join(map(repr, content))}" if isinstance(content, dict) and content else "none"
            raise SchemaError(
                f"{path}: expected an object with 'input' and 'output', JSON Schemas of the request's body "
                f"and of the answer, or one of them; it has {given}"
            )
        self._validators = {part: self._compile(content[part], part) for part in content}

    def check(self, part: str, value: Any) -> None:
        """Check a value.

        Args:
            part: `input` or `output`.
            value: The parsed body.

        Raises:
            SchemaError: It does not fit.
        """
        validate = self._validators.get(part)
        if validate is None:
            return
        try:
            validate(value)
        except fastjsonschema.JsonSchemaValueException as error:
            given = json.dumps(error.value, default=str)
            shown = given if len(given) <= 200 else f"{given[:200]}…"  # noqa: PLR2004 - enough to recognise it
            raise SchemaError(f"does not fit {self._name}: {error.message}, given {shown}") from None

    def _compile(self, schema: Any, part: str) -> Callable[[Any], Any]:
        try:
            return fastjsonschema.compile(
                schema,
                handlers=dict.fromkeys(("http", "https", "file", "ftp"), _refuse_remote),
                use_default=False,
            )
        except Exception as error:  # noqa: BLE001 - what it raises for a bad schema depends on where it trips
            raise SchemaError(f"{self._name}: the JSON Schema of {part!r} cannot be used: {error}") from None


def _refuse_remote(uri: str) -> NoReturn:
    raise SchemaError(f"$ref to {uri}: a schema has to be complete in itself, because a build may have no network")
