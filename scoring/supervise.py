"""Runs the check in a child process, and believes it only when it says that it has come to its end.

A script may end its process with exit code 0, hang, or print a line of megabytes; the last of these jams the
build's log for good. The parent runs no code but this.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import selectors
import signal
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# The docker-build plugin stops reading a build's log at a line of 64 KiB.
_LONGEST_LINE = 4096
_DONE = b"done"
# For the traceback of what hung.
_LAST_WORDS_SECONDS = 2.0


def supervised(work: Callable[[], int], seconds: float) -> int:
    """Run work in a child process, and pass on what it prints with long lines cut short.

    Args:
        work: Returns an exit code.
        seconds: How long it may take.

    Returns:
        The work's exit code; 1 where it did not return, with the reason printed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pipes = {target: os.pipe() for target in (1, 2)}
    proof_read, proof_write = os.pipe()
    child = os.fork()
    if child == 0:
        for target, (_, write) in pipes.items():
            os.dup2(write, target)
        faulthandler.enable(all_threads=True)
        code = work()
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(proof_write, _DONE)
        # Threads that the script left behind must not keep a build waiting.
        os._exit(code)
    os.close(proof_write)
    for _, write in pipes.values():
        os.close(write)
    status, in_time = _watch(child, [_Lines(read, target) for target, (read, _) in pipes.items()], seconds)
    os.set_blocking(proof_read, False)
    with contextlib.suppress(BlockingIOError):
        if os.read(proof_read, len(_DONE)) == _DONE and in_time:
            return os.waitstatus_to_exitcode(status)
    code = os.waitstatus_to_exitcode(status)
    how = (
        f"was ended by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"ended itself with code {code}"
    )
    reason = (
        f"the process {how} before the check was done; a script must not end its process"
        if in_time
        else f"not done after {seconds:g} s; the traceback above tells where it was. Give it longer by the variable "
        "SLIPWAY_CHECK_SECONDS in the model's scoring.env"
    )
    os.write(2, f"check failed: {reason}\n".encode())
    return 1


def _watch(child: int, outputs: list[_Lines], seconds: float) -> tuple[int, bool]:
    """Pass on the outputs until the child has ended; return its status, and whether that was in time."""
    deadline, in_time = time.monotonic() + seconds, True
    with selectors.DefaultSelector() as selector:
        for one in outputs:
            selector.register(one.source, selectors.EVENT_READ, one)
        while True:
            if selector.get_map():
                for key, _ in selector.select(0.05):
                    if not key.data.pass_on():
                        selector.unregister(key.fd)
            else:
                time.sleep(0.005)
            # Not until the outputs are closed: a process that the script started may hold them open.
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                for one in outputs:
                    one.pass_on()
                return status, in_time
            now = time.monotonic()
            if in_time and now > deadline:
                in_time = False
                # faulthandler prints where every thread is.
                os.kill(child, signal.SIGABRT)
            elif now > deadline + _LAST_WORDS_SECONDS:
                os.kill(child, signal.SIGKILL)


class _Lines:
    """Passes on what comes out of a pipe, of each line only its beginning.

    Attributes:
        source: The pipe's end to read from.
    """

    def __init__(self, source: int, target: int) -> None:
        """Pass on from one file descriptor to another."""
        os.set_blocking(source, False)
        self.source = source
        self._target = target
        self._length = 0

    def pass_on(self) -> bool:
        """Pass on all that is there now; tell whether more may come."""
        try:
            while chunk := os.read(self.source, 1 << 16):
                for part in chunk.splitlines(keepends=True):
                    self._pass_on_part(part)
        except BlockingIOError:
            return True
        return False

    def _pass_on_part(self, part: bytes) -> None:
        text, ended = part.rstrip(b"\r\n"), part.endswith((b"\n", b"\r"))
        room = max(0, _LONGEST_LINE - self._length)
        os.write(self._target, text[:room])
        if self._length <= _LONGEST_LINE < self._length + len(text):
            os.write(self._target, b" ... (the rest of the line is not shown)")
        self._length += len(text)
        if ended:
            os.write(self._target, b"\n")
            self._length = 0
