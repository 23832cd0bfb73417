"""The worker processes as such: forked, told to stop, killed when overdue, and buried."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scoring.process import shorten_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Of prctl, from linux/prctl.h: PR_SET_PDEATHSIG.
_PR_SET_PDEATHSIG = 1
HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


@dataclass
class Child:
    """A worker process, as the master sees it.

    Attributes:
        process: Its id.
        slot: Its place on the board.
        began: When it was forked, on the monotonic clock.
        was_ready: Whether it ever answered.
        deadline: When it is killed if it has not ended; None until it is told to stop.
        is_replaced: Whether another takes its place: it answers until that one is ready.
        is_copy: Whether the model was loaded before it was forked.
    """

    process: int
    slot: int
    began: float = field(default_factory=time.monotonic)
    was_ready: bool = False
    deadline: float | None = None
    is_replaced: bool = False
    is_copy: bool = False


class Crew:
    """The children of this process."""

    def __init__(self, slots: int) -> None:
        """Begin with none.

        Args:
            slots: How many there may be at once.
        """
        self._slots = slots
        self._children: dict[int, Child] = {}

    def __iter__(self) -> Iterator[Child]:
        """Iterate over those that live."""
        return iter(tuple(self._children.values()))

    def free_slot(self) -> int | None:
        """Return a slot that no living child has."""
        taken = {child.slot for child in self}
        return next((slot for slot in range(self._slots) if slot not in taken), None)

    def fork(self, slot: int, work: Callable[[], None]) -> Child:
        """Start a child.

        Args:
            slot: Its place.
            work: What it does; when that returns it exits with 0.
        """
        sys.stdout.flush()
        sys.stderr.flush()
        # A signal to the child before it can handle it must end it, and not be lost in the master's handler.
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        master = os.getpid()
        process = os.fork()
        if process:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
            child = self._children[process] = Child(process, slot)
            return child
        signal.set_wakeup_fd(-1)
        for number in HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        _end_with(master)
        work()
        shorten_end()
        # Up through the master's frames, which clean up nothing, to what the script registered with atexit.
        sys.exit(0)

    def stop(self, child: Child, seconds: float) -> None:
        """Tell a child to stop.

        Args:
            child: Which.
            seconds: When it is killed if it has not ended.
        """
        child.deadline = time.monotonic() + seconds
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.process, signal.SIGTERM)

    def kill(self, child: Child) -> None:
        """End a child at once."""
        child.deadline = child.deadline or time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.process, signal.SIGKILL)

    def kill_overdue(self) -> None:
        """End those that were told to stop and have not."""
        for child in self:
            if child.deadline is not None and time.monotonic() > child.deadline:
                self.kill(child)

    def bury(self) -> list[tuple[Child, int]]:
        """Take out those that have ended.

        Returns:
            Each with its exit code; negative ones are signals.
        """
        ended: list[tuple[Child, int]] = []
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if process == 0:
                return ended
            child = self._children.pop(process, None)
            # Others are what the script left behind: the first process of a container buries them.
            if child is not None:
                ended.append((child, os.waitstatus_to_exitcode(status)))


def _end_with(master: int) -> None:
    """Have the kernel end this process when the master is gone: whatever it does, nobody would ever stop it."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes  # noqa: PLC0415 - there is nothing to call elsewhere

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != master:
        # It went in between.
        os._exit(1)
