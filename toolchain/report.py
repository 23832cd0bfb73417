"""What the user sees of a set-up: one line for each step, the progress of long ones, and errors that say what to do."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NAME_WIDTH = 12
QUIET_SECONDS = 1.0  # A step faster than this shows its result only.
HEARTBEAT_SECONDS = 30.0  # How often a log file, which cannot be overwritten, hears of a long step.


class ToolchainError(Exception):
    """A step that failed: what happened, the end of its log and what to do about it."""

    def __init__(self, what: str, *, to_do: str = "", log: Path | None = None, tail: Sequence[str] = ()) -> None:
        """Keep the parts.

        Args:
            what: What failed, as one sentence.
            to_do: What the user can do about it.
            log: The whole output of what failed.
            tail: The last lines of that log.
        """
        super().__init__(what)
        self.what = what
        self.to_do = to_do
        self.log = log
        self.tail = tuple(tail)

    def __str__(self) -> str:
        """Return the whole report, as the user reads it."""
        lines = [self.what]
        if self.tail:
            lines += ["", *("    " + line for line in self.tail), ""]
        if self.log is not None:
            lines.append(f"Its whole log: {self.log}")
        if self.to_do:
            lines.append(f"What to do: {self.to_do}")
        return "\n".join(lines)


class Step:
    """One step of the set-up while it runs."""

    def __init__(self, name: str, stream: TextIO) -> None:
        """Prepare to report the step `name` on `stream`."""
        self._name = name
        self._stream = stream
        self._live = stream.isatty()
        self._wake = threading.Condition()
        self._doing = ""
        self._detail = ""
        self._since = time.monotonic()
        self._over = False

    def doing(self, text: str) -> None:
        """Say what takes time now: shown with the seconds it has taken so far."""
        with self._wake:
            self._doing = text
            self._detail = ""
            self._since = time.monotonic()
            self._wake.notify()

    def progress(self, detail: str) -> None:
        """Say how far it has come: too much for a log file, which hears of it now and then."""
        with self._wake:
            self._detail = detail

    def note(self, text: str) -> None:
        """Print a line of its own below the step's name."""
        with self._wake:
            self._write(text)

    def _write(self, text: str) -> None:
        clear = "\r\x1b[K" if self._live else ""
        self._stream.write(f"{clear}{self._name:<{NAME_WIDTH}}{text}\n")
        self._stream.flush()

    def _show(self) -> None:
        """Show the progress until the step is over (a thread of its own)."""
        with self._wake:
            shown, heard = "", 0.0
            while not self._over:
                elapsed = time.monotonic() - self._since
                told = f"… {elapsed:.0f} s" + (f", {self._detail}" if self._detail else "")
                if self._doing and elapsed >= QUIET_SECONDS:
                    if self._live:
                        self._stream.write(f"\r\x1b[K{self._name:<{NAME_WIDTH}}{self._doing} {told}")
                        self._stream.flush()
                    elif shown != self._doing:
                        self._write(f"{self._doing} …")
                        shown, heard = self._doing, 0.0
                    elif elapsed - heard >= HEARTBEAT_SECONDS:
                        heard = elapsed
                        self._write(told)
                self._wake.wait(QUIET_SECONDS)
            if self._live:
                self._stream.write("\r\x1b[K")
                self._stream.flush()

    @contextmanager
    def running(self) -> Iterator[Step]:
        """Show the step's progress for as long as the block runs."""
        shower = threading.Thread(target=self._show, daemon=True)
        shower.start()
        try:
            yield self
        finally:
            with self._wake:
                self._over = True
                self._wake.notify()
            shower.join()


class Report:
    """The lines of one run."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Report on `stream`, by default the standard output."""
        self.stream = stream if stream is not None else sys.stdout

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Run one step; its result is told with `line`."""
        with Step(name, self.stream).running() as step:
            yield step

    def line(self, name: str, text: str) -> None:
        """Print one line, such as a step's result."""
        self.stream.write(f"{name:<{NAME_WIDTH}}{text}\n")
        self.stream.flush()
