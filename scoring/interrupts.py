"""Breaking off Python code in another thread: what a deadline needs when run() does not come back."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


class Interrupted(BaseException):
    """Raised in the middle of a script; no Exception, so that few scripts catch it."""


class Interruptible:
    """The work of one thread, which others may break off.

    CPython can raise an exception in another thread at its next bytecode, so compiled code has to return
    first. The exception must never arrive outside the work, so what was sent too late is taken back.
    """

    def __init__(self) -> None:
        """Belong to the thread that makes it."""
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._token: object = None
        self._sent = False

    def run(self, token: object, work: Callable[[], Result]) -> Result | None:
        """Do the work, in the thread that this belongs to.

        Args:
            token: What `interrupt` has to be called with to mean this work and no later one.
            work: What to do.

        Returns:
            What the work returned; None when it was broken off.

        Raises:
            BaseException: What the work raised.
        """
        result: Result | None = None
        self._token = token
        try:
            try:
                result = work()
            finally:
                self._end()
        except Interrupted:
            # Once more, where it arrived in the middle of the end.
            self._end()
            return None
        return result

    def interrupt(self, token: object) -> None:
        """Break off the work of that token, from any thread, if it is still under way."""
        with self._lock:
            # Once only: a second one could arrive while the first is being cleared away.
            if self._token is token and not self._sent:
                self._sent = True
                _raise_in(self._thread, Interrupted)

    def _end(self) -> None:
        with self._lock:
            self._token = None
            if self._sent:
                self._sent = False
                _raise_in(self._thread, None)


def _raise_in(thread: int, exception: type[BaseException] | None) -> None:
    """Have a thread raise an exception; None takes back one that was not raised yet."""
    import ctypes  # noqa: PLC0415 - needed by a missed deadline only, and slow to import

    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(exception) if exception else None
    )
