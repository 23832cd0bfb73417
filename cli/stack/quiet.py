"""Shortens the engine's output where it is not shown on a terminal: a log file, a pipe, a CI job.

On a terminal each resource has a line of its own that changes. Elsewhere the engine prints the line again for
everything that a build says, hundreds of lines for each image. What a failed build said is shown at the end.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

# ` +  docker-build:index:Image iris creating (3s) #15 DONE 0.0s`
_ROW = re.compile(
    r" *(?P<what>(?:[^\s:]+ +)?[\w-]+:[\w./-]+:\w+ \S+ (?P<state>\*\*[a-z ]+\*\*|[a-z]*))"
    r"(?P<time>(?: [a-z]+)? \((?P<seconds>\d+)(?:\.\d+)?s\))?(?P<told>.*)"
)
# A build says all the time what it does; who waits for it is told this often.
_TOLD_AFTER_SECONDS = 10
_DIAGNOSTICS = "Diagnostics:"
# `  pulumi:pulumi:Stack (shop-dev):`, over what is told of it.
_HEADING = re.compile(r"  [\w-]+:[\w./-]+:\w+ \(.*\):")
_ON_PATH = re.compile(r" *warning: using \S+ from \$PATH at (?P<folder>.*)/[^/]+")
# The diagnostics say which they are.
_COUNT = re.compile(r"(?:^|;) \d+ warnings?$")
_LEFT_OUT = re.compile(
    # Dots, which pass the time where they are seen at once.
    r"@ [a-z ]+\.+"
    # `slipway down` has the stack removed itself.
    r"|The resources in the stack have been deleted, but the history and configuration .*"
    r"|If you want to remove the stack completely, run `pulumi stack rm .*"
)


class Shortener:
    """Tells what to print of the engine's lines: of one resource's, those with news of its state."""

    def __init__(self, folders: Collection[str] = ()) -> None:
        """Begin with nothing seen.

        Args:
            folders: Where the set-up has put plugins: no warning is due that they are taken from there.
        """
        self._folders = folders
        self._seen: set[tuple[str, int]] = set()
        # Headings of which nothing is known yet to be under them.
        self._held: list[str] = []

    def shortened(self, line: str) -> str:
        """Return what to print for a line, with its end: the line, more, less, or nothing.

        Args:
            line: One of the engine's lines, in the order of printing.
        """
        text = line.rstrip("\r\n")
        if text == _DIAGNOSTICS or _HEADING.fullmatch(text):
            self._held.append(line)
            return ""
        if self._is_expected(text) or _LEFT_OUT.fullmatch(text):
            return ""
        if not text and self._held and self._held[-1].strip() != _DIAGNOSTICS:
            self._held.pop()
            return ""
        held = "".join(self._held)
        if held.strip() == _DIAGNOSTICS:
            held = "\n"
        self._held.clear()
        return held + (self._of_row(match) if (match := _ROW.fullmatch(text)) else line)

    def _is_expected(self, text: str) -> bool:
        warning = _ON_PATH.fullmatch(text)
        return warning is not None and warning["folder"] in self._folders

    def _of_row(self, row: re.Match[str]) -> str:
        news = (row["what"], int(row["seconds"] or 0) // _TOLD_AFTER_SECONDS)
        told = "" if self._is_expected(row["told"]) else _COUNT.sub("", row["told"])
        if news in self._seen or not (row["state"] or told.strip()):
            return ""
        self._seen.add(news)
        return row[0].removesuffix(row["told"]) + told + "\n"
