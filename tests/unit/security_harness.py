"""What the tests of access share."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


async def eventually(condition: Callable[[], Any], what: str) -> None:
    """Wait, on the event loop, until a condition holds."""
    try:
        async with asyncio.timeout(30):
            while not await _value(condition()):  # noqa: ASYNC110 - it is the code under test that changes it
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"waited in vain until {what}") from None


async def _value(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result
