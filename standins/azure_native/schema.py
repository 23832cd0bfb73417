"""The types of azure-native's resources, read from the SDK's own classes and kept in files.

A type is {"type": "string" | "integer" | "number" | "boolean" | "any"}, a string also with "enum": [...],
{"type": "array" | "map", "items": type}, {"type": "union", "of": [type]}, or {"type": "ref", "name": NAME}, which
stands for the object of that name: {"members": {name: type}, "required": [name]}. Names are those on the wire.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from standins.azure_native import VERSION
from toolchain.cache import cache_home

# The form of what is kept: raised when what is read changes.
_FORM = 1
_SCALARS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_API_VERSION = re.compile(r"Uses Azure REST API version ([0-9a-z-]+)\.")

Type = dict[str, Any]


@dataclass(frozen=True)
class Schema:
    """One resource type.

    Attributes:
        inputs: The name of the object that its arguments are.
        outputs: The types of its outputs.
        objects: The objects that references name.
        api_version: Azure's, which this version of the SDK uses by default.
    """

    inputs: str
    outputs: dict[str, Type]
    objects: dict[str, Any]
    api_version: str

    @property
    def members(self) -> dict[str, Type]:
        """The types of the arguments."""
        members: dict[str, Type] = self.objects[self.inputs]["members"]
        return members

    @property
    def required(self) -> list[str]:
        """The arguments that have to be given."""
        required: list[str] = self.objects[self.inputs]["required"]
        return required


@cache
def schema_of(token: str) -> Schema:
    """Read a resource's types.

    Args:
        token: Such as "storage:StorageAccount".

    Returns:
        Its schema; kept in a file after the first time, since importing the SDK takes longer than all the rest.
    """
    kept = cache_home(os.environ) / "schemas" / f"azure-native-{_stamp()}" / f"{token.replace(':', '.')}.json"
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Schema(**json.loads(kept.read_text(encoding="utf-8")))
    schema = read_sdk(token)
    # A read-only home costs time on each start, nothing else.
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=kept.parent, prefix=".schema-")
        with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - a handle, not a path
            json.dump(schema.__dict__, file)
        Path(name).replace(kept)
    return schema


def _stamp() -> str:
    found = importlib.util.find_spec("pulumi_azure_native")
    folder = str(found.submodule_search_locations[0]) if found and found.submodule_search_locations else ""
    return hashlib.sha256(f"{_FORM}|{VERSION}|{folder}".encode()).hexdigest()[:12]


def read_sdk(token: str) -> Schema:
    """Read a resource's types from the SDK's classes themselves.

    Args:
        token: As for `schema_of`.

    Returns:
        Its schema.
    """
    from pulumi import _types  # noqa: PLC0415 - half a second, and only the first time

    module, _, name = token.partition(":")
    package = importlib.import_module(f"pulumi_azure_native.{module}")
    resource = getattr(package, name)
    own_module = sys.modules[resource.__module__]
    # Where an object of the same name exists, the resource's own arguments are called ...InitArgs.
    arguments = getattr(own_module, next(one for one in own_module.__all__ if one.endswith("Args")))
    objects: dict[str, Any] = {}
    own = _describe(arguments, objects)
    outputs = {wire: _describe(hint, objects) for wire, hint in _types.resource_types(resource).items()}
    found = _API_VERSION.search(Path(str(own_module.__file__)).read_text(encoding="utf-8"))
    return Schema(own["name"], outputs, objects, found[1] if found else "")


def _describe(hint: Any, objects: dict[str, Any]) -> Type:  # noqa: PLR0911 - one for each sort of type
    import enum  # noqa: PLC0415 - as above
    import inspect  # noqa: PLC0415 - as above
    import typing  # noqa: PLC0415 - as above
    from collections import abc  # noqa: PLC0415 - as above

    from pulumi import _types  # noqa: PLC0415 - half a second, and only the first time

    origin = typing.get_origin(hint)
    if origin is typing.Union:
        return _union(hint, objects)
    if origin is abc.Sequence:
        return {"type": "array", "items": _describe(typing.get_args(hint)[0], objects)}
    if origin is abc.Mapping:
        return {"type": "map", "items": _describe(typing.get_args(hint)[1], objects)}
    if not inspect.isclass(hint):
        return {"type": "any"}
    if issubclass(hint, enum.Enum):
        return {"type": "string", "enum": [member.value for member in hint]}
    if _types.is_input_type(hint) or _types.is_output_type(hint):
        name = hint.__name__
        if name not in objects:
            objects[name] = {}
            types = _types.input_type_types(hint) if _types.is_input_type(hint) else _types.output_type_types(hint)
            objects[name] = {
                "members": {wire: _describe(member, objects) for wire, member in types.items()},
                "required": _required(hint) if _types.is_input_type(hint) else [],
            }
        return {"type": "ref", "name": name}
    return {"type": _SCALARS.get(hint.__name__, "any")}


def _required(arguments: Any) -> list[str]:
    import inspect  # noqa: PLC0415 - as above

    from pulumi import _types  # noqa: PLC0415 - half a second, and only the first time

    wire = _types.input_type_py_to_pulumi_names(arguments)
    return [
        wire[name]
        for name, parameter in inspect.signature(arguments.__init__).parameters.items()
        if parameter.default is parameter.empty and name in wire
    ]


def _union(hint: Any, objects: dict[str, Any]) -> Type:
    """An input may be the value itself, an awaitable or an output; a value may be of one of several types."""
    import inspect  # noqa: PLC0415 - as above
    import typing  # noqa: PLC0415 - as above
    from collections import abc  # noqa: PLC0415 - as above

    from pulumi import Output  # noqa: PLC0415 - as above

    given: list[Type] = []
    for one in typing.get_args(hint):
        origin = typing.get_origin(one) or one
        skipped = (
            one is type(None)
            or origin is abc.Awaitable
            or typing.is_typeddict(one)
            or (inspect.isclass(origin) and issubclass(origin, Output))
        )
        if not skipped:
            given.append(_describe(one, objects))
    enums = [one for one in given if "enum" in one]
    if enums:
        # The SDK's `str | Enum`: Azure may take others one day, this stand-in takes what the SDK knows.
        return {"type": "string", "enum": sorted({value for one in enums for value in one["enum"]})}
    return given[0] if len(given) == 1 else {"type": "union", "of": given}
