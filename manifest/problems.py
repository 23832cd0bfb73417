"""What is wrong with what a user wrote: each finding with its place, all of them in one error."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    Loc = tuple[str | int, ...]

_LONGEST_SHOWN = 60
# Of a path or a key that is as long as that nobody reads the rest.
_LONGEST_MESSAGE = 4000
_LONGEST_COMPARED = 64
_MOST_LINES = 200
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")
# What a URL may hold that no label, log, list of jobs or message should; scoring/batch/settings.py has the same.
SECRET_URL = re.compile(r"://[^/]*:[^/]*@|[?&](?:(?:sig|se|sv|AWSAccessKeyId|Signature)=|X-Amz-)", re.IGNORECASE)
_PLAIN_KEY = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding.

    Attributes:
        file: The file, as the user named it or relative to the project's folder.
        line: From 1; None when it is not known.
        column: From 1; None when it is not known.
        key: The way to the value, as `models[0].scoring.script`; empty when it is about the file.
        message: What was given, what is allowed and what to do.
    """

    file: str
    line: int | None
    column: int | None
    key: str
    message: str

    def __str__(self) -> str:
        """Return the finding as one line that editors and terminals can follow."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        text = ": ".join(part for part in (place, self.key, self.message) if part)
        if (more := len(text) - _LONGEST_MESSAGE) > 0:
            text = f"{text[:_LONGEST_MESSAGE]} … ({more:,} more characters)"
        return _printable(text)


class ManifestError(Exception):
    """The manifest, the stack's configuration or a file that they name cannot be used.

    Attributes:
        problems: Every finding, by place.
    """

    problems: tuple[Problem, ...]

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Collect the findings; those of the file that was read first stay first."""
        found = dict.fromkeys(problems)
        files = {problem.file: rank for rank, problem in reversed(list(enumerate(found)))}
        self.problems = tuple(sorted(found, key=lambda one: (files[one.file], one.line or 0, one.column or 0, one.key)))
        super().__init__(str(self))

    def __str__(self) -> str:
        """Return the report: a line for each problem, as far as anyone reads, then how many there are."""
        count = len(self.problems)
        total = "1 problem found." if count == 1 else f"{count:,} problems found."
        if count > _MOST_LINES:
            total = f"{total[:-1]}; these are the first {_MOST_LINES}."
        return "\n".join([*map(str, self.problems[:_MOST_LINES]), total])


def _printable(text: str) -> str:
    """Return a text without what a terminal would obey and what would break the line."""
    return text if text.isprintable() else "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)


def key_path(loc: Loc) -> str:
    """Return the way to a value as people write it: `models[0].targets[1].aks.replicas`."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{shown(part)}]"
    return text


def shown(value: Any) -> str:
    """Return a value for a message: short, on one line, without credentials."""
    if isinstance(value, dict | list | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = _CREDENTIALS.sub("...", value[: _LONGEST_COMPARED * 4]) if isinstance(value, str) else value
    try:
        text = json.dumps(text, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(text)
    text = _printable(text)
    if len(text) <= _LONGEST_SHOWN:
        return text
    return text[: _LONGEST_SHOWN - 4] + "..." + ('"' if text.startswith('"') else "")


def closest(given: str, names: Iterable[str]) -> str | None:
    """Return the name that was probably meant, if there is one."""
    from difflib import get_close_matches  # noqa: PLC0415 - only errors need it

    if len(given) > _LONGEST_COMPARED:
        return None
    plain = {name.lower().replace("_", "-"): name for name in names}
    close = get_close_matches(given.lower().replace("_", "-"), plain, n=1, cutoff=0.7)
    return plain[close[0]] if close else None


def unknown(what: str, given: str, allowed: Iterable[str]) -> str:
    """Return the message for a name that is none of the allowed ones, with the nearest of them."""
    names = sorted(allowed)
    near = closest(given, names)
    hint = f"did you mean {shown(near)}? Allowed" if near else "allowed"
    return f"unknown {what} {shown(given)}; {hint}: {', '.join(names)}."
