"""What the command prints, to a reader that may go before it has ended, as `head` does: that is no error."""

from __future__ import annotations

import io
import os
import select
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Output(io.FileIO):
    """A stream of the process; what can be written no more goes nowhere from then on.

    Attributes:
        is_read: Whether its reader may still be there.
    """

    is_read = True

    def write(self, content: ReadableBuffer, /) -> int:
        try:
            return super().write(content)
        except OSError as error:
            # What waits in a buffer would fail once more at the process's end, and programs that it starts write here.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if not isinstance(error, BrokenPipeError):
                raise
            self.is_read = False
            return memoryview(content).nbytes


def outlast_readers() -> None:
    """Have the process's outputs go on without readers; one that the caller has closed leads nowhere."""
    sys.stdout, sys.stderr = _outlasting(sys.stdout), _outlasting(sys.stderr)


def _outlasting(stream: TextIO | None) -> TextIO:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - open as long as the process
    raw = _Output(stream.fileno(), "w", closefd=False)
    lines = getattr(stream, "line_buffering", True)
    return io.TextIOWrapper(io.BufferedWriter(raw), stream.encoding, stream.errors, line_buffering=lines)


def is_read() -> bool:
    """Return whether somebody may still read the standard output; what has no end of its own ends where nobody does."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if not isinstance(raw, _Output):
        return True
    # A pipe tells so also while there is nothing to write.
    poll = select.poll()
    poll.register(raw, 0)
    return raw.is_read and not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
