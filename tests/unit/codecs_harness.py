"""What the tests of the codecs share."""

from __future__ import annotations

import contextlib
import tracemalloc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def memory() -> Iterator[Callable[[], int]]:
    """Watch what Python takes while the block runs; the function tells the most of it, in bytes."""
    tracemalloc.start()
    peak = 0
    try:
        yield lambda: peak
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
