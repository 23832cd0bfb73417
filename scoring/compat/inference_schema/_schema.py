"""What decorators know of a function: the types of its parameters and of what it returns."""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .parameter_types.abstract_parameter_type import AbstractParameterType

# The attributes by which the runtime finds it, and @batched of the package `slipway`.
SCHEMA = "__slipway_schema__"
_BATCHING = "__slipway_batching__"
_VERSIONS = ("2.0", "3.0", "3.1")
_ONLY_FOR_SCRIPTS = "request_headers"

# Every function that was decorated, by module and name: the last one where a module was loaded again.
known: dict[str, RunSchema] = {}


class Input:
    """A parameter and its type.

    Attributes:
        is_exact: Whether it can hold integers beyond 64 bits.
    """

    def __init__(self, name: str, kind: AbstractParameterType, *, convert: bool, optional: bool) -> None:
        """Take what @input_schema says.

        Args:
            name: The parameter's name.
            kind: Its type.
            convert: Whether a value is converted to it.
            optional: Whether an empty value is not.
        """
        self.swagger = kind.input_to_swagger()
        self.versions = set(kind.supported_versions())
        self.is_exact = not convert or bool(getattr(kind, "is_exact", True))
        self._name = name
        self._kind = kind
        self._convert = convert
        self._optional = optional

    def convert(self, value: Any) -> Any:
        """Return a value of the type.

        Raises:
            ValueError: It cannot be one.
        """
        if not self._convert or (self._optional and _is_empty(value)):
            return value
        return self._kind.deserialize_input(value)

    def convert_named(self, value: Any) -> Any:
        """Return a value of the type, for a caller that has no other way to tell which one does not fit."""
        try:
            return self.convert(value)
        except ValueError as error:
            raise ValueError(f"the value of {self._name!r} does not fit its schema: {error}") from error


class RunSchema:
    """A decorated function.

    Attributes:
        function: Without the decorators of this package.
        wrapper: With them: it converts its arguments.
        inputs: Its parameters' types, by name.
        output: The type of what it returns.
        parameters: The names of its parameters.
    """

    def __init__(self, function: Callable[..., Any], wrapper: Callable[..., Any], signature: inspect.Signature) -> None:
        """Take a function that has no types yet."""
        self.function = function
        self.wrapper = wrapper
        self.inputs: dict[str, Input] = {}
        self.output: AbstractParameterType | None = None
        kinds = {parameter.kind for parameter in signature.parameters.values()}
        self._takes_any = inspect.Parameter.VAR_KEYWORD in kinds
        self.parameters = [
            parameter.name
            for parameter in signature.parameters.values()
            if parameter.kind not in {parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL}
        ]
        known[f"{function.__module__}.{function.__name__}"] = self

    def takes(self, name: str) -> bool:
        """Return whether the function has a parameter of that name."""
        return self._takes_any or name in self.parameters

    def convert(self, arguments: dict[str, Any]) -> None:
        """Convert a call's arguments in place; of a function that takes batches, each item of them."""
        batched = getattr(self.wrapper, _BATCHING, None) is not None
        for name, given in self.inputs.items():
            if name not in arguments:
                continue
            value = arguments[name]
            arguments[name] = [given.convert_named(item) for item in value] if batched else given.convert_named(value)

    def input_to_swagger(self) -> dict[str, Any]:
        """Return the schema of a request: an object with a member for each parameter, and an example."""
        names = [name for name in (*self.parameters, *self.inputs) if name != _ONLY_FOR_SCRIPTS]
        members: dict[str, Any] = {name: {} for name in names}
        example: dict[str, Any] = dict.fromkeys(names, "")
        for name, given in self.inputs.items():
            members[name] = copy.deepcopy(given.swagger)
            example[name] = members[name].pop("example", "")
        return {"type": "object", "properties": members, "example": example}

    def output_to_swagger(self) -> dict[str, Any] | None:
        """Return the schema of an answer; None where there is none."""
        return self.output.input_to_swagger() if self.output is not None else None

    def versions(self) -> list[str]:
        """Return the versions of Swagger that can tell all of it."""
        versions = set(_VERSIONS)
        for given in self.inputs.values():
            versions &= given.versions
        if self.output is not None:
            versions &= set(self.output.supported_versions())
        return sorted(versions)


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, (bool, int, float, str, list, dict)) and not value)
