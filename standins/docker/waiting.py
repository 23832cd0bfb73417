"""Waiting until nothing uses a thing any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from standins.docker.engine import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider.resource import Call

_ATTEMPTS = 60
_PAUSE_SECONDS = 0.5


def while_in_use(call: Call, remove: Callable[[], None], words: str) -> None:
    """Try to remove something until its users have gone, for half a minute.

    Args:
        call: Its interruption ends the wait.
        remove: The attempt.
        words: What the engine says while the thing is in use.

    Raises:
        EngineError: It stays in use, or something else is wrong.
    """
    for attempt in range(_ATTEMPTS):
        try:
            remove()
        except EngineError as error:
            if words not in str(error) or attempt == _ATTEMPTS - 1 or call.cancelled.wait(_PAUSE_SECONDS):
                raise
        else:
            return
