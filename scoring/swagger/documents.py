"""The documents themselves, in Azure ML's form: what its clients look for by name is named the same."""

from __future__ import annotations

from typing import Any

from scoring.swagger.dialects import to_version

Document = dict[str, Any]

# In the order of age; the first is the one that clients without a wish get.
VERSIONS = {"2.0": "2.0", "3.0": "3.0.3", "3.1": "3.1.0"}
_JSON = "application/json"
_BEARER = {
    "type": "apiKey",
    "name": "Authorization",
    "in": "header",
    "description": "The word Bearer, a space, and a key or token.",
}
_ERROR = {"type": "object", "properties": {"message": {"type": "string"}}}
_ASKED_VERSION = {"type": "string", "enum": ["2", "2.0", "3", "3.0", "3.1"]}
_HEALTHY = "The service is up."
_SPECIFICATION = "This document, in the version that was asked for."
_SCORED = "What the model answers."
_FAILED = "The request was refused, or the service failed; the message says why."
_RUN_TEXT = "Have the model answer one request."
_HEALTH_TEXT = "Tell whether the service is up."
_GET_TEXT = "Get this document."
_INPUT_TEXT = "What the model answers to."


def document(version: str, *, name: str, number: str, prefix: str, schemas: tuple[Any, Any]) -> Document:
    """Return a document.

    Args:
        version: 2.0, 3.0 or 3.1.
        name: The service's name.
        number: The service's version.
        prefix: What paths start with: empty, or with a slash at its start and none at its end.
        schemas: JSON Schemas of a request's body and of an answer.
    """
    place = "#/definitions" if version == "2.0" else "#/components/schemas"
    definitions = {
        "ServiceInput": to_version(schemas[0], version, f"{place}/ServiceInput"),
        "ServiceOutput": to_version(schemas[1], version, f"{place}/ServiceOutput"),
        "ErrorResponse": _ERROR,
    }
    info = {"title": name, "description": f"The machine-learning service {name}", "version": number}
    if version == "2.0":
        return _version_2(info, prefix, definitions)
    return _version_3(VERSIONS[version], info, prefix, definitions)


def _version_2(info: Document, prefix: str, definitions: Document) -> Document:
    def answers(text: str, schema: Document) -> Document:
        failed = {"description": _FAILED, "schema": {"$ref": "#/definitions/ErrorResponse"}}
        return {"200": {"description": text, "schema": schema}, "default": failed}

    body = {
        "name": "serviceInputPayload",
        "in": "body",
        "description": _INPUT_TEXT,
        "schema": {"$ref": "#/definitions/ServiceInput"},
    }
    return {
        "swagger": "2.0",
        "info": info,
        "schemes": ["https"],
        "consumes": [_JSON],
        "produces": [_JSON],
        "securityDefinitions": {"Bearer": _BEARER},
        "paths": _paths(
            prefix,
            health={"responses": answers(_HEALTHY, {"type": "string"})},
            score={"parameters": [body], "responses": answers(_SCORED, {"$ref": "#/definitions/ServiceOutput"})},
            swagger={
                "parameters": [{"name": "version", "in": "query", "required": False, **_ASKED_VERSION}],
                "responses": answers(_SPECIFICATION, {"type": "object"}),
            },
        ),
        "definitions": definitions,
    }


def _version_3(version: str, info: Document, prefix: str, definitions: Document) -> Document:
    def content(schema: Document, kind: str = _JSON) -> Document:
        return {"content": {kind: {"schema": schema}}}

    def answers(text: str, found: Document) -> Document:
        failed = {"description": _FAILED, **content({"$ref": "#/components/schemas/ErrorResponse"})}
        return {"200": {"description": text, **found}, "default": failed}

    return {
        "openapi": version,
        "info": info,
        "security": [{"Bearer": []}],
        "paths": _paths(
            prefix,
            health={"responses": answers(_HEALTHY, content({"type": "string", "example": "Healthy"}, "text/html"))},
            score={
                "requestBody": {"description": _INPUT_TEXT, **content({"$ref": "#/components/schemas/ServiceInput"})},
                "responses": answers(_SCORED, content({"$ref": "#/components/schemas/ServiceOutput"})),
            },
            swagger={
                "parameters": [{"name": "version", "in": "query", "required": False, "schema": _ASKED_VERSION}],
                "responses": answers(_SPECIFICATION, content({"type": "object"})),
            },
        ),
        "components": {"schemas": definitions, "securitySchemes": {"Bearer": _BEARER}},
    }


def _paths(prefix: str, *, health: Document, score: Document, swagger: Document) -> Document:
    security: Document = {"security": [{"Bearer": []}]}
    return {
        f"{prefix}/": {"get": {"operationId": "ServiceHealthCheck", "description": _HEALTH_TEXT, **health}},
        f"{prefix}/score": {"post": {"operationId": "RunMLService", "description": _RUN_TEXT, **security, **score}},
        f"{prefix}/swagger.json": {"get": {"operationId": "GetSwaggerSpec", "description": _GET_TEXT, **swagger}},
    }
