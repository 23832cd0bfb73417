"""A conda environment file -> the same as lines of a requirements.txt, where pip can install the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from manifest.conda_names import ADVICE, NOT_NEEDED, RENAMED, SAME
from manifest.problems import ManifestError, shown, unknown
from manifest.requirement_line import LineError, package_name
from manifest.source import parse

if TYPE_CHECKING:
    from manifest.document import Document, Node
    from manifest.requirements import Collector

# What the scoring runtime runs on.
PYTHONS = ("3.11", "3.12", "3.13")

# Where packages come from is pip's business here, and the rest is about the place on the author's disk.
_UNUSED = ("name", "channels", "prefix")
_KEYS = ("dependencies", *_UNUSED)

_SPEC = re.compile(r"(?:[\w./-]+::)?([A-Za-z0-9_][\w.-]*)\s*(.*)")
_FUZZY = re.compile(r"=\s*([^=<>!~\s]\S*?)(?:=(\S+))?")
_EXACT = re.compile(r"(?:==\s*)?([0-9]\S*?)(?:(?:\s+|=)([\w.*]+))?")
_CLAUSE = re.compile(r"(==|!=|<=|>=|~=|<|>)\s*([0-9A-Za-z.*+!_]+)")


def read_environment(collector: Collector, file: str) -> None:
    """Add what a conda environment file asks for; problems go to the collector.

    Args:
        collector: Where to add.
        file: The file, relative to the project's folder.
    """
    try:
        document = parse(collector.read(file), file)
    except ManifestError as error:
        collector.problems += error.problems
        return
    collector.problems += document.problems
    if not isinstance(document.root.value, dict):
        collector.problems.append(document.problem((), "must be a mapping with the key `dependencies`"))
        return
    for key in document.root.value:
        if key == "variables":
            message = "environment variables belong to `scoring.env` in the manifest"
            collector.problems.append(document.problem((key,), message, key=True))
        elif key not in _KEYS:
            collector.problems.append(document.problem((key,), unknown("key", key, _KEYS), key=True))
    entries = document.find(("dependencies",)).value if "dependencies" in document.root.value else None
    if not isinstance(entries, list):
        message = "must have a list of packages under `dependencies`"
        collector.problems.append(document.problem(("dependencies",), message))
        return
    for index, entry in enumerate(entries):
        _entry(collector, document, index, entry)


def _entry(collector: Collector, document: Document, index: int, entry: Node) -> None:
    loc = ("dependencies", index)
    if isinstance(entry.value, dict):
        _pip(collector, document, index, entry)
    elif not isinstance(entry.value, str):
        message = f"must be a package such as numpy=2.1, not {shown(entry.value)}"
        collector.problems.append(document.problem(loc, message))
    else:
        try:
            _package(collector, document, loc, entry)
        except LineError as error:
            collector.problems.append(document.problem(loc, str(error)))


def _pip(collector: Collector, document: Document, index: int, entry: Node) -> None:
    for key, (_, lines) in entry.value.items():
        loc = ("dependencies", index, key)
        if key != "pip" or not isinstance(lines.value, list):
            message = "only `pip:` with a list of requirements can stand among the packages"
            collector.problems.append(document.problem(loc, message, key=True))
            continue
        for number, line in enumerate(lines.value):
            if isinstance(line.value, str) and line.value.strip():
                place = document.problem((*loc, number), "")
                collector.add(line.value.strip(), document.file, line.line, line.column, place.key)
            else:
                message = f"must be a requirement such as numpy==2.1.0, not {shown(line.value)}"
                collector.problems.append(document.problem((*loc, number), message))


def _package(collector: Collector, document: Document, loc: tuple[str | int, ...], entry: Node) -> None:
    """Add one package of conda's."""
    text = entry.value.strip()
    if "[" in text:
        raise LineError(f"conda's brackets are not supported: {shown(text)}; write for example numpy=2.1")
    spec = _SPEC.fullmatch(text)
    if not spec:
        raise LineError(f"not a conda package: {shown(text)}; write for example numpy=2.1")
    name, version = spec[1].lower(), spec[2].strip()
    place = f"{document.file}:{entry.line}"
    if name == "python":
        collector.python = _python(version)
    elif name in ADVICE:
        raise LineError(f"pip cannot install the conda package {name}; {ADVICE[name]}")
    elif name in NOT_NEEDED:
        collector.notes.append(f"{place}: {name} is left out: Python and the wheels that pip installs bring it along.")
    else:
        pip_name = RENAMED.get(name) or (name if package_name(name) in SAME else None)
        if pip_name is None:
            raise LineError(
                f"Slipway does not know whether the conda package {name} is the same on Python's package index; if "
                f"pip can install it, list it under `- pip:` by its name there, else use a package that pip can install"
            )
        requirement = pip_name + _pip_version(version, text)
        collector.add(requirement, document.file, entry.line, entry.column, document.problem(loc, "").key)
        if _build(version):
            collector.notes.append(f"{place}: the build of {name} is left out: pip chooses the wheel.")


def _python(version: str) -> str | None:
    if version in {"", "*", "=*"}:
        return None
    found = re.fullmatch(r"={0,2}\s*(3\.\d+)(?:\.[\d*]+)*\.?(?:[ =]\S+)?", version)
    if not found or found[1] not in PYTHONS:
        given = version.lstrip("= ") if found else version
        raise LineError(
            f"python must be one of {', '.join(PYTHONS)}, written as python={PYTHONS[0]}, not {shown(given)}"
        )
    return found[1]


def _build(version: str) -> str | None:
    found = _FUZZY.fullmatch(version) or _EXACT.fullmatch(version)
    return found[2] if found else None


def _pip_version(version: str, text: str) -> str:
    """The version of a conda package in pip's spelling."""
    if version in {"", "*", "=*"}:
        return ""
    if "|" in version:
        raise LineError(f"alternatives (|) are not supported: {shown(text)}; give one range, such as >=1.2,<2")
    fuzzy = _FUZZY.fullmatch(version)
    if fuzzy and "," not in version:
        number = fuzzy[1].removesuffix("*").rstrip(".")
        # With a build, conda too takes the version as exact.
        return f"=={number}" if fuzzy[2] else f"=={number}.*"
    exact = _EXACT.fullmatch(version)
    if exact and "," not in version:
        return f"=={exact[1]}"
    clauses = [_CLAUSE.fullmatch(part.strip()) for part in version.split(",")]
    if not all(clauses):
        raise LineError(f"not a version: {shown(version)} in {shown(text)}; write for example numpy=2.1 or numpy>=2,<3")
    return ",".join(_pip_clause(*clause.groups()) for clause in clauses if clause)


def _pip_clause(operator: str, number: str) -> str:
    """A comparison: conda takes >=1.2.* for >=1.2, pip takes * only for == and !=."""
    return operator + (number if operator in {"==", "!="} else number.removesuffix("*").rstrip("."))
