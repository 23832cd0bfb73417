"""requirements.txt or a conda environment file -> what pip is to install, in a form that equal sets share."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from manifest.problems import ManifestError, Problem, shown, unknown
from manifest.requirement_line import SERVERS, LineError, normalise
from manifest.text_file import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from manifest.model import Model

_COMMENT = re.compile(r"(^|\s+)#.*$")
_SWITCHES = frozenset({"--pre", "--prefer-binary", "--require-hashes"})
_WITH_VALUE = frozenset({"--no-binary", "--only-binary"})
_INDEX = {
    "-i": "indexUrl",
    "--index-url": "indexUrl",
    "--extra-index-url": "extraIndexUrls",
    "--trusted-host": "trustedHosts",
}
_REFUSED = {
    "-c": "write the versions into the requirements themselves",
    "--constraint": "write the versions into the requirements themselves",
    "-e": "put the code into `scoring.code`",
    "--editable": "put the code into `scoring.code`",
    "-f": "name the wheels as NAME @ https://..., or set an index in the stack's configuration",
    "--find-links": "name the wheels as NAME @ https://..., or set an index in the stack's configuration",
    "--no-index": "set an index in the stack's configuration: slipway:pip: {indexUrl: ...}",
}
_INCLUDE = frozenset({"-r", "--requirement"})
_OPTIONS = _SWITCHES | _WITH_VALUE | _INDEX.keys() | _REFUSED.keys() | _INCLUDE


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What a model needs installed. Equal, and equally hashed, when the same is installed.

    Attributes:
        python: The Python version that is asked for, as "3.11"; None where any will do.
        pip: Lines of a requirements file, sorted, each in its normal form.
        notes: What was left out, and why, as lines for people.
    """

    python: str | None = None
    pip: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)


def dependencies(model: Model, root: Path) -> Dependencies:
    """Return what a model needs installed.

    Args:
        model: The model.
        root: The project's folder.

    Raises:
        ManifestError: The file cannot be read, or asks for what an image cannot have.
    """
    named = model.scoring.conda or model.scoring.requirements
    if named is None:
        return Dependencies()
    return read(root, posixpath.normpath(posixpath.join(model.folder, named)), conda=bool(model.scoring.conda))


def read(root: Path, file: str, *, conda: bool) -> Dependencies:
    """Return what a file asks for; file is relative to root. Raises as `dependencies` does."""
    collector = Collector(root)
    if conda:
        from manifest.conda import read_environment  # noqa: PLC0415 - its tables are only needed for such files

        read_environment(collector, file)
    else:
        collector.include(file)
    return collector.result()


class Collector:
    """Gathers requirements, notes and problems from a file and those that it includes."""

    def __init__(self, root: Path) -> None:
        """Start empty; files are relative to root."""
        self.python: str | None = None
        self.notes: list[str] = []
        self.problems: list[Problem] = []
        self._root = root
        self._lines: set[str] = set()
        self._including: list[str] = []

    def result(self) -> Dependencies:
        """Return what was gathered.

        Raises:
            ManifestError: There were problems.
        """
        if self.problems:
            raise ManifestError(self.problems)
        # Options (--pre) come before names.
        return Dependencies(self.python, tuple(sorted(self._lines)), tuple(self.notes))

    def read(self, file: str) -> str:
        """Return the text of a file in the project's folder."""
        path = self._root / file
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise ManifestError([Problem(file, None, None, "", "is outside of the repository")])
        return read_text(path, file)

    def include(self, file: str) -> None:
        """Add the lines of a requirements.txt."""
        self._including.append(file)
        try:
            for number, line in _logical_lines(self.read(file)):
                self.add(line, file, number)
        except ManifestError as error:
            self.problems += error.problems
        finally:
            self._including.pop()

    def add(self, line: str, file: str, number: int, column: int | None = None, key: str = "") -> None:
        """Add a line of a requirements.txt, which stands at a place in a file."""
        try:
            if line.startswith("-"):
                self._option(line, file)
                return
            requirement = normalise(line)
            name = re.split(r"[^a-z0-9-]", requirement, maxsplit=1)[0]
            if name in SERVERS:
                self.notes.append(
                    f"{file}:{number}: {name} is left out: Slipway's own runtime serves the model. "
                    "What the script imports of the packages that come with it has to be listed."
                )
            else:
                self._lines.add(requirement)
        except LineError as error:
            self.problems.append(Problem(file, number, column, key, str(error)))

    def _option(self, line: str, file: str) -> None:
        # One letter takes its value with or without a space, a word with a space or =.
        name = (re.findall(r"^--[^\s=]*|^-.?", line) or [line])[0]
        value = line[len(name) :].strip().removeprefix("=").strip()
        if name in _INCLUDE:
            self._nested(value, file)
        elif name in _INDEX:
            raise LineError(
                f"where packages come from belongs to the environment, not to the model: remove {name} here and "
                f"set slipway:pip: {{{_INDEX[name]}: ...}} in Pulumi.<stack>.yaml"
            )
        elif name in _REFUSED:
            raise LineError(f"{name} is not supported; {_REFUSED[name]}")
        elif name in _SWITCHES and not value:
            self._lines.add(name)
        elif name in _WITH_VALUE and re.fullmatch(r"[\w.,:-]+", value):
            self._lines.add(f"{name}={value}")
        elif name in _OPTIONS:
            raise LineError(f"{name} has a wrong value: {shown(value)}")
        else:
            raise LineError(unknown("option", name, _OPTIONS - _REFUSED.keys() - _INDEX.keys()))

    def _nested(self, value: str, file: str) -> None:
        if "://" in value:
            raise LineError(f"an address cannot be included: {shown(value)}; keep the file in the repository")
        nested = posixpath.normpath(posixpath.join(posixpath.dirname(file), value))
        if not value or posixpath.isabs(nested) or nested.startswith(".."):
            raise LineError(f"an included file must be in the repository, not {shown(value)}")
        if nested in self._including:
            raise LineError(f"{nested} includes itself")
        if not (self._root / nested).is_file():
            raise LineError(f"no such file: {nested}")
        self.include(nested)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines joined at backslashes and without comments, as pip reads them, each with its first line's number."""
    parts: list[str] = []
    start = 1
    for number, raw in enumerate([*text.splitlines(), ""], 1):
        line, comment = _COMMENT.subn("", raw)
        start = start if parts else number
        if line.endswith("\\") and not comment:
            parts.append(line.removesuffix("\\"))
            continue
        joined = "".join([*parts, line]).strip()
        if joined:
            yield start, joined
        parts = []
