"""Something that is done every so often on an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

# Between a file's change and its being noticed.
LOOK_SECONDS = 1.0


class Periodic:
    """Calls a function every so often until it is stopped."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, function: Callable[[], None]) -> None:
        """Begin; the first call is after that time.

        Args:
            loop: Where it is called.
            seconds: Time between calls.
            function: Quick: the loop stands still meanwhile.
        """
        self._loop = loop
        self._seconds = seconds
        self._function = function
        self._next = loop.call_later(seconds, self._call)

    def stop(self) -> None:
        """End."""
        self._next.cancel()

    def _call(self) -> None:
        # Before the call: one that fails is not the last.
        self._next = self._loop.call_later(self._seconds, self._call)
        self._function()
