"""What a scoring script can ask of Slipway beyond Azure ML's contract: batches, and parsed bodies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Batching", "batched", "decoded"]

Run = TypeVar("Run", bound="Callable[..., Any]")


@dataclass(frozen=True)
class Batching:
    """How run() takes batches.

    Attributes:
        max_size: How many requests at once, at most.
        max_wait_ms: How many milliseconds a request waits for others, at most; with 0 only those are taken together
            that are there already.
    """

    max_size: int = 64
    max_wait_ms: float = 0


@overload
def batched(run: Run, /) -> Run: ...
@overload
def batched(*, max_size: int = ..., max_wait_ms: float = ...) -> Callable[[Run], Run]: ...
def batched(run: Any = None, /, *, max_size: int = 64, max_wait_ms: float = 0) -> Any:
    """Have run() called with a list for each of its parameters; it returns a list as long, in the same order.

    Args:
        run: The function, where the decorator is written without parentheses.
        max_size: How many requests at once, at most.
        max_wait_ms: How many milliseconds a request waits for others, at most.

    Raises:
        ValueError: A value cannot be used.
    """
    if isinstance(max_size, bool) or not isinstance(max_size, int) or max_size < 1:
        raise ValueError(f"@batched: max_size is {max_size!r}; allowed is a whole number of at least 1")
    if (
        isinstance(max_wait_ms, bool)
        or not isinstance(max_wait_ms, (int, float))
        or not 0 <= max_wait_ms < float("inf")
    ):
        raise ValueError(f"@batched: max_wait_ms is {max_wait_ms!r}; allowed is a number of at least 0")

    def mark(function: Run) -> Run:
        function.__slipway_batching__ = Batching(max_size, max_wait_ms)  # type: ignore[attr-defined]  # what the runtime reads
        return function

    return mark if run is None else mark(run)


def decoded(run: Run) -> Run:
    """Have run() called with the body's value instead of its text.

    By the content type: JSON as Python's objects (integers beyond 64 bits as floats), application/x-npy as a NumPy
    array, an Arrow stream as a table, msgpack as what was packed.
    """
    run.__slipway_decoded__ = True  # type: ignore[attr-defined]  # what the runtime reads
    return run
