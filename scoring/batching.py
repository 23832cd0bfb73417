"""How many requests a run() that takes batches is called with at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Batching:
    """What `@batched` or the manifest says.

    Attributes:
        max_size: Requests in one call of run(), at most.
        max_wait_ms: How long the first of them waits for others, in milliseconds. With 0 run() gets what waits
            already, and nothing waits for it.
    """

    max_size: int = 64
    max_wait_ms: int = 0
