"""How a script's run() wants to be called, by its decorators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from scoring.calling import marks
from scoring.calling.one_value import OneValue, decoded_of, raw_of, text_of
from scoring.calling.schema import SchemaCalling
from scoring.calling.signature import ScriptError, only_parameter, parameters_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from scoring.request import Request


class Calling(Protocol):
    """Turns requests into run()'s arguments."""

    @property
    def kind(self) -> str:
        """What run() gets: `text`, `decoded` or `raw`, as one value; with `schema` arguments by their names."""
        ...

    @property
    def methods(self) -> tuple[str, ...]:
        """What run() is called for; OPTIONS is answered empty where it is not among them."""
        ...

    def arguments(self, request: Request) -> dict[str, object]:
        """Return what to call run() with.

        Raises:
            RefusedError: The request is one that run() cannot be called with.
        """
        ...


def calling_of(run: Callable[..., Any], name: str) -> Calling:
    """Find out how run() wants to be called.

    Args:
        run: The function, as the script has it.
        name: The script's name, for messages.

    Raises:
        ScriptError: It cannot be called as the contract has it.
    """
    raw, decoded, schema = (marks.find(run, mark) for mark in (marks.RAW, marks.DECODED, marks.SCHEMA))
    inputs = schema.inputs if schema is not None else {}
    used = [
        decorator
        for decorator, is_used in (("@rawhttp", raw), ("@input_schema", inputs), ("@decoded", decoded))
        if is_used
    ]
    if len(used) > 1:
        raise ScriptError(f"{name}: run() cannot be decorated with both {used[0]} and {used[1]}")
    # The real server takes an object for @output_schema alone, too.
    if schema is not None and not raw and not decoded:
        parameters, takes_headers = parameters_of(run, name)
        return SchemaCalling(parameters, inputs, takes_headers=takes_headers)
    parameter, takes_headers = only_parameter(run, name)
    if raw:
        return OneValue("raw", raw_of(raw), parameter, takes_headers=takes_headers, methods=("GET", "POST", "OPTIONS"))
    if decoded:
        return OneValue("decoded", decoded_of, parameter, takes_headers=takes_headers)
    return OneValue("text", text_of, parameter, takes_headers=takes_headers)


def function_of(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function to call with a `Calling`'s arguments: without the decorators that convert them."""
    schema = marks.find(run, marks.SCHEMA)
    # A decorator of the script's around ours has work of its own, and finds converted values as they should be.
    return schema.function if schema is not None and schema.wrapper is run else run
