"""run()'s parameters, and what the contract allows them to be."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

HEADERS = "request_headers"


class ScriptError(Exception):
    """A script that does not keep the contract of init() and run(); the message says what is wrong."""


def parameters_of(run: Callable[..., Any], name: str) -> tuple[list[inspect.Parameter], bool]:
    """Return run()'s parameters for the request, and whether it takes `request_headers` too.

    Args:
        run: The function.
        name: The script's name, for messages.

    Raises:
        ScriptError: It cannot be called as the contract has it.
    """
    parameters = inspect.signature(run).parameters
    for parameter in parameters.values():
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            raise ScriptError(
                f"{name}: run() has {str(parameter)!r}; not allowed are positional-only parameters, *args and **kwargs"
            )
    others = [parameter for parameter in parameters.values() if parameter.name != HEADERS]
    if not others:
        raise ScriptError(f"{name}: run() has no parameter for the request; write run(data)")
    return others, HEADERS in parameters


def only_parameter(run: Callable[..., Any], name: str) -> tuple[str, bool]:
    """Return the name of run()'s one parameter for the request, and whether it takes `request_headers` too.

    Raises:
        ScriptError: There is none, or another one has no default.
    """
    (first, *others), takes_headers = parameters_of(run, name)
    if missing := [parameter.name for parameter in others if parameter.default is parameter.empty]:
        raise ScriptError(
            f"{name}: run() is called with the request only, as {first.name!r}; a default is missing for "
            f"{', '.join(missing)}"
        )
    return first.name, takes_headers
