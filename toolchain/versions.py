"""The versions that are used: read from the locks, so that each is written down once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from toolchain.report import ToolchainError

if TYPE_CHECKING:
    from pathlib import Path


def numbers(version: str) -> tuple[int, ...]:
    """Return a version's leading numbers: "v3.259.0-dev" is (3, 259, 0), "go1.26.8" is (1, 26, 8)."""
    found = re.match(r"(?:v|go)?(\d+(?:\.\d+)*)", version.strip())
    return tuple(int(part) for part in found.group(1).split(".")) if found else ()


def at_least(version: str, minimum: str) -> bool:
    """Tell whether a version is known and not older than another."""
    have, want = numbers(version), numbers(minimum)
    width = max(len(have), len(want))
    return bool(have) and have + (0,) * (width - len(have)) >= want + (0,) * (width - len(want))


def locked(requirements: Path, package: str) -> str:
    """Return the version that a lock of Python packages names.

    Raises:
        ToolchainError: If the lock does not hold the package.
    """
    found = re.search(rf"^{re.escape(package)}==(\S+)", requirements.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ToolchainError(f"{requirements} does not lock {package}.", to_do="run `make lock` and commit the result.")
    return found.group(1)


def module_version(go_mod: Path, module: str) -> str:
    """Return the version of a Go module that a go.mod requires, such as v3.259.0.

    Raises:
        ToolchainError: If it is not required there.
    """
    text = go_mod.read_text(encoding="utf-8")
    found = re.search(rf"^\s*(?:require )?{re.escape(module)} (v\S+)", text, re.MULTILINE)
    if found is None:
        raise ToolchainError(f"{go_mod} does not require {module}.", to_do="restore the file from the repository.")
    return found.group(1)


def go_version(go_mod: Path) -> str:
    """Return the oldest Go that a go.mod allows."""
    found = re.search(r"^go (\S+)", go_mod.read_text(encoding="utf-8"), re.MULTILINE)
    return found.group(1) if found else "1.0"
