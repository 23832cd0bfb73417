"""@input_schema and @output_schema: what run() takes and returns."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from ._schema import SCHEMA, Input, RunSchema
from .parameter_types.abstract_parameter_type import AbstractParameterType

if TYPE_CHECKING:
    from collections.abc import Callable


def input_schema(
    param_name: str,
    param_type: AbstractParameterType,
    convert_to_provided_type: bool = True,
    optional: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Say of which type a parameter is; requests have it as a member of their JSON object.

    Args:
        param_name: The parameter's name.
        param_type: Its type.
        convert_to_provided_type: Whether run() gets a value of that type, else what JSON had.
        optional: Whether an empty value is given as it is; the parameter's default is for a missing one.

    Raises:
        TypeError: `param_type` is no type of a parameter, or the function has no such parameter.
    """
    if not isinstance(param_type, AbstractParameterType):
        raise TypeError(
            f"@input_schema({param_name!r}): the type is {param_type!r}; wrap the sample in a parameter type"
        )
    given = Input(param_name, param_type, convert=convert_to_provided_type, optional=optional)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        schema = _schema_of(function)
        if not schema.takes(param_name):
            raise TypeError(
                f"@input_schema({param_name!r}): {schema.function.__name__}() has no such parameter; it has "
                f"{', '.join(schema.parameters)}"
            )
        schema.inputs[param_name] = given
        return schema.wrapper

    return decorate


def output_schema(output_type: AbstractParameterType) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Say what run() returns; that is documented, and not held against what it does return.

    Raises:
        TypeError: `output_type` is no type of a parameter, or there is one already.
    """
    if not isinstance(output_type, AbstractParameterType):
        raise TypeError(f"@output_schema: the type is {output_type!r}; wrap the sample in a parameter type")
    output_type.input_to_swagger()

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        schema = _schema_of(function)
        if schema.output is not None:
            raise TypeError(f"@output_schema: {schema.function.__name__}() has one already")
        schema.output = output_type
        return schema.wrapper

    return decorate


def _schema_of(function: Callable[..., Any]) -> RunSchema:
    """The schema of a function, new for one that has none."""
    known = getattr(function, SCHEMA, None)
    if known is not None and known.wrapper is function:
        return known  # type: ignore[no-any-return]
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*arguments: Any, **named: Any) -> Any:
        bound = signature.bind(*arguments, **named)
        schema.convert(bound.arguments)
        return function(*bound.args, **bound.kwargs)

    schema = RunSchema(function, wrapper, signature)
    setattr(wrapper, SCHEMA, schema)
    return schema
