"""The schemas of decorated functions, for those who ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._schema import SCHEMA, RunSchema, known

if TYPE_CHECKING:
    from collections.abc import Callable


def get_input_schema(func: Callable[..., Any]) -> dict[str, Any]:
    """Return the Swagger schema of a function's parameters."""
    schema = _schema(func)
    return schema.input_to_swagger() if schema is not None and schema.inputs else {"type": "object"}


def get_output_schema(func: Callable[..., Any]) -> dict[str, Any]:
    """Return the Swagger schema of what a function returns."""
    schema = _schema(func)
    return (schema.output_to_swagger() if schema is not None else None) or {"type": "object"}


def get_supported_versions(func: Callable[..., Any]) -> list[str]:
    """Return the versions of Swagger that can tell a function's schemas."""
    schema = _schema(func)
    return schema.versions() if schema is not None else ["2.0", "3.0", "3.1"]


def get_schemas_dict() -> dict[str, dict[str, Any]]:
    """Return the schemas of all decorated functions, by module and name."""
    return {
        name: {
            **({"input_schema": schema.input_to_swagger()} if schema.inputs else {}),
            **({"output_schema": schema.output_to_swagger()} if schema.output is not None else {}),
        }
        for name, schema in known.items()
    }


def is_schema_decorated(func: Callable[..., Any]) -> bool:
    """Return whether a function is decorated with @input_schema or @output_schema."""
    return _schema(func) is not None


def _schema(func: Callable[..., Any]) -> RunSchema | None:
    return getattr(func, SCHEMA, None)
