"""The types of the SDK's own `*Args` classes, and values checked against them.

Importing the SDK takes longer than all the rest of the plugin's start, so what was read there is kept in a file.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provider.values import UNKNOWN
from standins.typed_values import check_members, mismatch
from toolchain.cache import cache_home

if TYPE_CHECKING:
    from provider.resource import Failure

# The form of what is kept: raised when `_describe` changes.
_FORM = 1
_ARGS = ("ContainerArgs", "RemoteImageArgs", "NetworkArgs", "VolumeArgs", "ProviderArgs")
_SCALARS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}


def load_schema() -> dict[str, Any]:
    """Read the arguments of the SDK's resources.

    Returns:
        By class name an object type. A type is {"type": "string" | "integer" | "number" | "boolean"},
        {"type": "array" | "map", "items": type} or {"type": "object", "members": {name: type}, "required": [name]},
        with names as on the wire.
    """
    kept = _kept()
    with contextlib.suppress(OSError, ValueError):
        schema = json.loads(kept.read_text(encoding="utf-8"))
        if isinstance(schema, dict) and set(schema) == set(_ARGS):
            return schema
    schema = read_sdk()
    # A read-only home costs time on each start, nothing else.
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=kept.parent, prefix=".schema-")
        with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - a handle, not a path
            json.dump(schema, file)
        Path(name).replace(kept)
    return schema


def _kept() -> Path:
    """Name the file by what it was read from: another SDK, another file."""
    found = importlib.util.find_spec("pulumi_docker")
    folder = Path(found.submodule_search_locations[0]) if found and found.submodule_search_locations else Path()
    stamp = [str(_FORM), str(folder)]
    for name in ("_inputs.py", "container.py"):
        with contextlib.suppress(OSError):
            stat = (folder / name).stat()
            stamp.append(f"{stat.st_size}:{stat.st_mtime_ns}")
    digest = hashlib.sha256("|".join(stamp).encode()).hexdigest()[:16]
    return cache_home(os.environ) / "schemas" / f"docker-{digest}.json"


def read_sdk() -> dict[str, Any]:
    """Read the types from the SDK's classes themselves.

    Returns:
        As `load_schema`.
    """
    import pulumi_docker  # noqa: PLC0415 - half a second, and only the first time

    return {name: _describe(getattr(pulumi_docker, name)) for name in _ARGS}


def _describe(hint: Any) -> dict[str, Any]:
    import inspect  # noqa: PLC0415 - as above
    import typing  # noqa: PLC0415 - as above
    from collections import abc  # noqa: PLC0415 - as above

    from pulumi import _types  # noqa: PLC0415 - as above

    origin = typing.get_origin(hint)
    if origin is typing.Union:
        # An input may be the value itself, an awaitable or an output: the value comes first.
        return _describe(typing.get_args(hint)[0])
    if origin is abc.Sequence:
        return {"type": "array", "items": _describe(typing.get_args(hint)[0])}
    if origin is abc.Mapping:
        return {"type": "map", "items": _describe(typing.get_args(hint)[1])}
    if _types.is_input_type(hint):
        wire = _types.input_type_py_to_pulumi_names(hint)
        required = [
            wire[name]
            for name, parameter in inspect.signature(hint.__init__).parameters.items()
            if parameter.default is parameter.empty and name in wire
        ]
        members = {name: _describe(member) for name, member in _types.input_type_types(hint).items()}
        return {"type": "object", "members": members, "required": required}
    return {"type": _SCALARS[hint.__name__]}


def check_types(schema: dict[str, Any], value: Any, path: str = "") -> list[Failure]:
    """Check a value against a type.

    Args:
        schema: The type, as `load_schema` describes.
        value: What was given; unknown parts pass.
        path: Where it stands.

    Returns:
        All that is wrong.
    """
    if value is UNKNOWN:
        return []
    kind = schema["type"]
    if wrong := mismatch(kind, value, path):
        return [wrong]
    if kind == "object":
        return check_members(schema["members"], schema["required"], value, path, check_types)
    failures: list[Failure] = []
    if kind == "array":
        for index, item in enumerate(value):
            failures += check_types(schema["items"], item, f"{path}[{index}]")
    elif kind == "map":
        for name, item in value.items():
            failures += check_types(schema["items"], item, f"{path}.{name}")
    return failures
