"""A local job's folders, as its containers see them: the input can only be read there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.engine import JobError

_INPUT, _OUTPUT = "/mnt/input", "/mnt/output"
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Places:
    """Where a container finds what a job names.

    Attributes:
        input: What the runner is given as its input.
        output: What it is given as its output.
        mounts: Folders of this machine, as Docker's bind mounts take them.
        names: What each mount of the input is called on this machine.
        output_folder: The output on this machine; None where it is a URL.
    """

    input: str
    output: str
    mounts: list[dict[str, Any]]
    names: dict[str, str]
    output_folder: Path | None


def mounted(given: str, output: str) -> Places:
    """Return where containers find an input and an output; the output's folder is made.

    Args:
        given: Absolute paths, globs or URLs, one a line.
        output: An absolute path, or a URL.

    Raises:
        JobError: There is no such input, or the output cannot be made.
    """
    mounts: list[dict[str, Any]] = []
    lines = [_mount(line, f"{_INPUT}/{number}", mounts) for number, line in enumerate(given.splitlines())]
    names = {one["target"]: one["source"] for one in mounts}
    if "://" in output:
        return Places("\n".join(lines), output, mounts, names, None)
    folder = Path(output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JobError(f"The output {folder} cannot be made: {error.strerror}.", is_usage=True) from None
    mounts.append({"source": str(folder), "target": _OUTPUT})
    return Places("\n".join(lines), _OUTPUT, mounts, names, folder)


def _mount(line: str, to: str, mounts: list[dict[str, Any]]) -> str:
    """Mount what a line of the input names; return the line as the container has it."""
    if "://" in line:
        return line
    match = _WILD.search(line)
    # The folder above the first wildcard, or the file or folder itself.
    base = Path(line if match is None else line[: match.start()].rpartition("/")[0] or "/")
    if not base.exists():
        raise JobError(f"There is no input {line}: {base} does not exist.", is_usage=True)
    bound = to if base.is_dir() else f"{to}/{base.name}"
    mounts.append({"source": str(base), "target": bound, "read_only": True})
    return bound + line[len(str(base)) :]
