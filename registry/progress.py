"""How far a download is, in words: beside a resource, in the program's log, or on a terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.fetch import Progress

_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
_BAR = 30
_REDRAW_SECONDS = 0.1


def in_words(name: str, done: int, size: int | None) -> str:
    """Return a line such as `model.onnx: 1.2 of 5.0 GB`."""
    unit, amount = next((one for one in _UNITS if max(done, size or 0) >= one[1]), _UNITS[-1])
    total = f" of {size / amount:.1f}" if size else ""
    return f"{name}: {done / amount:.1f}{total} {unit}"


def every(seconds: float, show: Callable[[str], None]) -> Progress:
    """Return what tells the progress in words, not more often than people read.

    Args:
        seconds: Between two lines.
        show: Takes a line.
    """
    told = time.monotonic()

    def progress(name: str, done: int, size: int | None) -> None:
        nonlocal told
        if time.monotonic() - told >= seconds:
            told = time.monotonic()
            show(in_words(name, done, size) if done else name)

    return progress


def on_terminal() -> Progress | None:
    """Return a bar on stderr; None where nobody watches one."""
    if not sys.stderr.isatty():
        return None
    drawn = 0.0

    def progress(name: str, done: int, size: int | None) -> None:
        nonlocal drawn
        finished = size is not None and done >= size
        if time.monotonic() - drawn < _REDRAW_SECONDS and not finished:
            return
        drawn = time.monotonic()
        full = _BAR * done // size if size else 0
        bar = f"[{'#' * full}{'.' * (_BAR - full)}] " if size else ""
        # Back to the line's start, and clear it.
        sys.stderr.write(f"\r\033[K{bar}{in_words(name, done, size)}" + ("\n" if finished else ""))
        sys.stderr.flush()

    return progress
