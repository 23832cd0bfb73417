"""What a script prints, as log events: streams that take the place of sys.stdout and sys.stderr."""

from __future__ import annotations

import io
import logging
import threading
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

from scoring.context import REQUEST_ID
from scoring.telemetry.events import MOST_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Iterable

_this_thread = threading.local()


class PrintStream(io.TextIOBase):
    """A text stream whose lines are log events.

    A line belongs to the thread that prints it, and to the request that this works for. Text without an end of line
    is kept until there is one, until it is flushed, or until the thread works for another request. A line that a
    carriage return takes back, as progress bars do, is not an event; what stands in the end is.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, real: TextIO, name: str, level: int) -> None:
        """Make one.

        Args:
            real: The stream whose place this takes.
            name: The logger for its lines.
            level: Their level.
        """
        super().__init__()
        self._real = real
        self._logger = logging.getLogger(name)
        self._level = level
        # What each thread has printed without an end of line: the request, the text, and how much of it was cut.
        self._held: dict[int, tuple[str, str, int]] = {}

    @property
    def name(self) -> str:
        """The stream's name, as Python's own has it."""
        return self._real.name

    @property
    def buffer(self) -> BinaryIO:
        """The stream of bytes: what is written to it goes out as it is."""
        return self._real.buffer

    def fileno(self) -> int:
        """Return the descriptor of the stream whose place this takes."""
        return self._real.fileno()

    def isatty(self) -> bool:
        """A log is no terminal."""
        return False

    def writable(self) -> bool:
        """It can be written to."""
        return True

    def reconfigure(self, **_options: object) -> None:
        """Take the options of Python's own streams, which have no meaning here."""

    def close(self) -> None:
        """Stay open: others print too."""
        self.flush()

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]  # a text stream has text
        """Write texts one after the other."""
        self.write("".join(lines))

    def write(self, text: str) -> int:
        """Take text, and log the lines that it ends."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if getattr(_this_thread, "is_logging", False):
            # The log itself prints, about an error of its own: an event for that would have no end.
            self._real.write(text)
            return len(text)
        thread, request, beyond = threading.get_ident(), REQUEST_ID.get(), 0
        whole = text
        if (held := self._held.pop(thread, None)) is not None:
            if held[0] != request:
                self._log(*held)
            else:
                whole, beyond = held[1] + text, held[2]
        *lines, rest = whole.split("\n")
        for line in lines:
            self._log(request, line, beyond)
            beyond = 0
        if rest:
            rest = _last_drawn(rest)
            self._held[thread] = (request, rest[:MOST_CHARACTERS], beyond + max(0, len(rest) - MOST_CHARACTERS))
        return len(text)

    def flush(self) -> None:
        """Log what this thread has printed without an end of line, unless it is being redrawn."""
        held = self._held.get(threading.get_ident())
        if held is not None and "\r" not in held[1]:
            self._held.pop(threading.get_ident(), None)
            self._log(*held)
        self._real.flush()

    def finish(self) -> None:
        """Log what any thread has printed without an end of line."""
        while self._held:
            self._log(*self._held.popitem()[1])
        self._real.flush()

    def _log(self, request: str, line: str, beyond: int) -> None:
        line = _last_drawn(line).strip("\r")
        if not line.strip() or not self._logger.isEnabledFor(self._level):
            return
        record = self._logger.makeRecord(self._logger.name, self._level, "", 0, line[:MOST_CHARACTERS], (), None)
        record.request_id = request
        record.left_out = beyond + max(0, len(line) - MOST_CHARACTERS)
        _this_thread.is_logging = True
        try:
            self._logger.handle(record)
        finally:
            _this_thread.is_logging = False


def _last_drawn(line: str) -> str:
    """Leave what carriage returns have not taken back, and the returns that matter to what follows."""
    if "\r" not in line:
        return line
    drawn = [part for part in line.split("\r") if part]
    last = drawn[-1] if drawn else ""
    return f"\r{last}\r" if line.endswith("\r") else f"\r{last}"


def replace(real: TextIO, name: str, level: int) -> TextIO:
    """Return the stream to put in a stream's place."""
    return cast("TextIO", PrintStream(real, name, level))
