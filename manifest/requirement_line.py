"""One requirement of pip's, brought into the one form that all its spellings share."""

from __future__ import annotations

import re

from manifest.problems import shown

# What these packages are for, Slipway's own runtime does in the image.
SERVERS = frozenset({"azureml-defaults", "azureml-inference-server-http"})

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_OPERATOR = r"===|==|~=|!=|<=|>=|<|>"
_CLAUSE = re.compile(rf"({_OPERATOR})\s*([A-Za-z0-9][A-Za-z0-9.*+!_-]*)")
_REQUIREMENT = re.compile(rf"({_NAME})\s*(?:\[([^\]]*)\])?\s*(.*)", re.DOTALL)
_HASH = re.compile(r"\s--hash[= ]\s*((?:sha256:[0-9a-f]{64})|(?:sha384:[0-9a-f]{96})|(?:sha512:[0-9a-f]{128}))(?=\s|$)")
_ARCHIVE = re.compile(r"https://[^\s@]+\.(?:whl|zip|tar\.gz)(?:#[^\s]*)?")
_VCS = re.compile(r"(?:git|hg|svn|bzr)\+|.*\.git(?:[@#]|$)")


class LineError(ValueError):
    """A requirement that cannot be used; the text says why and what to do."""


def package_name(name: str) -> str:
    """Return a package's name in the form that the package index compares."""
    return re.sub(r"[-_.]+", "-", name).lower()


def normalise(line: str) -> str:
    """Return a requirement in its normal form.

    Args:
        line: The requirement, without comments and continuations.

    Raises:
        LineError: It is not one, or of a kind that an image cannot be made from.
    """
    line = line.strip()
    hashes = sorted({match[1] for match in _HASH.finditer(line)})
    line = _HASH.sub("", line).strip()
    _refuse_other_kinds(line)
    found = _REQUIREMENT.fullmatch(line)
    if not found:
        raise LineError(f"not a requirement: {shown(line)}; write for example numpy==2.1.0")
    name, extras, rest = found.groups()
    if re.search(r"\s--?[a-z]", f" {rest}"):
        raise LineError(f"options of single requirements are not supported, besides --hash: {shown(line)}")
    source, marker = _source_and_marker(rest, line)
    text = package_name(name) + _extras(extras, line) + source + marker
    return " ".join([text, *(f"--hash={one}" for one in hashes)])


def _refuse_other_kinds(line: str) -> None:
    if re.search(r"\$\{[A-Z0-9_]+\}", line):
        raise LineError(f"environment variables would make images differ from machine to machine: {shown(line)}")
    target = line.split("@", 1)[1].strip() if re.match(rf"{_NAME}\s*(?:\[[^\]]*\])?\s*@", line) else line
    if _VCS.match(target):
        raise LineError(
            f"a requirement from a repository needs its tools in the image and can change: {shown(line)}; "
            "publish a wheel and name it as NAME @ https://..., or put the code into `scoring.code`"
        )
    if target.startswith(("./", "../", "/", "~", "file:", ".\\")) or line == "." or re.match(r"[A-Za-z]:\\", target):
        raise LineError(f"a package in a folder is not supported: {shown(line)}; put the code into `scoring.code`")
    if "://" in line and target is line:
        raise LineError(f"a URL needs its package's name: NAME @ {shown(line)[1:-1]}")
    if re.search(r"\.(?:whl|tar\.gz|zip)$", target) and "://" not in target:
        raise LineError(
            f"a package in a file is not supported: {shown(line)}; publish it, or unpack it into `scoring.code`"
        )


def _source_and_marker(rest: str, line: str) -> tuple[str, str]:
    """What follows the name: a version or an archive's address, and the condition."""
    if rest.startswith("@"):
        # Only a semicolon after a space ends a URL.
        url, _, marker = rest[1:].partition(" ;")
        return _archive(url.strip(), line), _marker(marker).replace("; ", " ; ", 1)
    versions, _, marker = rest.partition(";")
    return _versions(versions.strip(), line), _marker(marker)


def _archive(url: str, line: str) -> str:
    if not _ARCHIVE.fullmatch(url):
        raise LineError(
            f"only https addresses of .whl, .tar.gz and .zip files without credentials can be installed: {shown(line)}"
        )
    return f" @ {url}"


def _versions(text: str, line: str) -> str:
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    if not text:
        return ""
    clauses = set()
    for part in text.rstrip(",").split(","):
        clause = _CLAUSE.fullmatch(part.strip())
        if not clause:
            single = re.match(r"=\s*[^=]", part.strip())
            hint = "; write == for a version" if single else "; write for example numpy>=2,<3"
            raise LineError(f"not a version: {shown(text)} in {shown(line)}{hint}")
        clauses.add(clause[1] + clause[2])
    return ",".join(sorted(clauses))


def _extras(text: str | None, line: str) -> str:
    if text is None:
        return ""
    names = {part.strip() for part in text.split(",") if part.strip()}
    if not all(re.fullmatch(_NAME, name) for name in names):
        raise LineError(f"not a list of extras: {shown(text)} in {shown(line)}")
    return f"[{','.join(sorted(package_name(name) for name in names))}]" if names else ""


def _marker(text: str) -> str:
    marker = re.sub(r"\s+", " ", text.strip()).replace("'", '"')
    marker = re.sub(rf"\s*({_OPERATOR})\s*", r" \1 ", marker)
    if marker.startswith("-"):
        raise LineError(f'not a condition: {shown(text)}; write for example python_version >= "3.11"')
    return f"; {marker}" if marker else ""
