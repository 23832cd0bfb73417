"""What decorators leave on run(): attributes, so that a script's packages and the runtime need not share a module."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# @rawhttp: the class of the request that run() gets.
RAW = "__slipway_raw__"
# @decoded: True.
DECODED = "__slipway_decoded__"
# @batched: an object with `max_size` (requests) and `max_wait_ms`.
BATCHING = "__slipway_batching__"
# @input_schema, @output_schema: an object with `wrapper`, `function`, `inputs` and `output`.
SCHEMA = "__slipway_schema__"


def find(run: Callable[..., Any], mark: str) -> Any:
    """Return what a decorator left on a function, or on one that this function wraps; None where there is none.

    Args:
        run: The function, as the script has it.
        mark: One of the names above.
    """
    for function in _layers(run, set()):
        if (found := getattr(function, mark, None)) is not None:
            return found
    return None


def _layers(function: Any, seen: set[int]) -> Iterator[Any]:
    """A function, and those that it was made of: by functools.wraps, or as a closure's variable."""
    if id(function) in seen:
        return
    seen.add(id(function))
    yield function
    inner = [getattr(function, "__wrapped__", None)]
    for cell in getattr(function, "__closure__", None) or ():
        try:
            inner.append(cell.cell_contents)
        except ValueError:  # A variable that has no value yet.
            continue
    for candidate in inner:
        if inspect.isfunction(candidate):
            yield from _layers(candidate, seen)
