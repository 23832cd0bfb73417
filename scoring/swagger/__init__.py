"""/swagger.json: what the service takes and answers, for people and for clients such as Power BI."""

from __future__ import annotations

import json
import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from scoring.answers import Answer, to_json
from scoring.swagger.documents import document
from scoring.swagger.infer import schema_of

if TYPE_CHECKING:
    from pathlib import Path

    from scoring.script import Script

_log = logging.getLogger("slipway")
_VERSIONS = {"2": "2.0", "2.0": "2.0", "3": "3.0", "3.0": "3.0", "3.1": "3.1"}
_DEFAULT = "2"
# What replaces a document, by its version, in the app root: the first that is there.
_FILES = {"2.0": ("swagger.json", "swagger2.json"), "3.0": ("swagger3.json",), "3.1": ("swagger3.1.json",)}
_SHOWN = 40


class SwaggerError(Exception):
    """A document that the app has and that cannot be used; the message says which and why."""


class Swagger:
    """The documents of one service.

    What the model takes is told by its decorators, else by its schema file, else by its sample.
    """

    def __init__(
        self,
        *,
        name: str,
        version: str,
        path_prefix: str,
        root: Path,
        script: Script | None,
        schema: Path | None,
        sample: Path | None,
    ) -> None:
        """Take what is known of a service; files are read when a document is first asked for.

        Args:
            name: Its name.
            version: Its version.
            path_prefix: SERVICE_PATH_PREFIX, what a gateway in front has before the paths.
            root: The app root, where files may replace the documents.
            script: The script; None while it is not loaded.
            schema: The schema file.
            sample: The sample of a request.
        """
        self._name = name or "ML service"
        self._number = version or "1.0"
        self._prefix = f"/{path_prefix.strip('/')}" if path_prefix.strip("/") else ""
        self._root = root
        self._script = script
        self._schema = schema
        self._sample = sample
        self._documents: dict[str, dict[str, Any]] = {}

    def answer(self, query: bytes) -> Answer:
        """Return the answer to a request for /swagger.json.

        Args:
            query: The request's query; `version` is 2, 2.0, 3, 3.0 or 3.1.
        """
        asked = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("version", [_DEFAULT])[0]
        if asked not in _VERSIONS:
            message = f"Swagger version [{asked[:_SHOWN]}] is not valid. Supported versions: [{', '.join(_VERSIONS)}]."
            return Answer(to_json({"message": message}), 404)
        try:
            return Answer(to_json(self.document(asked)))
        except SwaggerError as error:
            _log.error("/swagger.json: %s", error)
            return Answer(to_json({"message": str(error)}), 500)

    def document(self, version: str) -> dict[str, Any]:
        """Return the document of a version: 2, 2.0, 3, 3.0 or 3.1.

        Raises:
            SwaggerError: The app has one that is not JSON.
        """
        version = _VERSIONS[version]
        if (own := self._own_document(version)) is not None:
            return own
        if version not in self._documents:
            self._documents[version] = document(
                version, name=self._name, number=self._number, prefix=self._prefix, schemas=self._schemas
            )
        return self._documents[version]

    def _own_document(self, version: str) -> dict[str, Any] | None:
        # Read each time: init() may write it, and some of Azure's tools have one that does.
        for name in _FILES[version]:
            try:
                content = json.loads((self._root / name).read_bytes())
            except FileNotFoundError:
                continue
            except (OSError, ValueError, RecursionError) as error:
                raise SwaggerError(f"{name} in the app's folder cannot be read as JSON: {error}") from None
            if not isinstance(content, dict):
                raise SwaggerError(f"{name} in the app's folder is not an object")
            return content
        return None

    @cached_property
    def _schemas(self) -> tuple[Any, Any]:
        """JSON Schemas of a request's body and of an answer."""
        decorated = self._script.schema if self._script is not None else None
        if decorated is not None:
            output = decorated.output_to_swagger()
            return decorated.input_to_swagger(), output if output is not None else {}
        given = self._given_schemas()
        sample, found = self._read_sample()
        wanted = given.get("input")
        if wanted is None:
            wanted = schema_of(sample) if found else {}
        if found and isinstance(wanted, dict) and not {"example", "examples"} & wanted.keys():
            wanted = {**wanted, "example": sample}
        return wanted, given.get("output", {})

    def _given_schemas(self) -> dict[str, Any]:
        if self._schema is None:
            return {}
        try:
            content = json.loads(self._schema.read_bytes())
        except (OSError, ValueError) as error:
            _log.warning("/swagger.json: %s cannot be read as JSON: %s", self._schema.name, error)
            return {}
        return content if isinstance(content, dict) else {}

    def _read_sample(self) -> tuple[Any, bool]:
        """The sample's value; text where it is no JSON."""
        if self._sample is None:
            return None, False
        try:
            text = self._sample.read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None, False
        try:
            return json.loads(text), True
        except (ValueError, RecursionError):
            return text, True
