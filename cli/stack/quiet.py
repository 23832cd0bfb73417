"""Shortens the engine's output where it is not shown on a terminal: a log file, a pipe, a CI job.

On a terminal each resource has a line of its own that changes. Elsewhere the engine prints the line again for
everything that a build says, hundreds of lines for each image. What a failed build said is shown at the end.
"""

from __future__ import annotations

import re

# ` +  docker-build:index:Image iris creating (3s) #15 DONE 0.0s`
_ROW = re.compile(r" *(?P<what>(?:[^\s:]+ +)?[\w-]+:[\w./-]+:\w+ \S+ (?:\*\*[a-z ]+\*\*|[a-z]*)).*")


class Shortener:
    """Tells which of the engine's lines are worth printing: of one resource's, those with news of its state."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._seen: set[str] = set()

    def keeps(self, line: str) -> bool:
        """Tell whether to print a line.

        Args:
            line: One of the engine's lines, in the order of printing.
        """
        row = _ROW.fullmatch(line.rstrip("\r\n"))
        if row is None:
            return True
        is_news = row["what"] not in self._seen
        self._seen.add(row["what"])
        return is_news
