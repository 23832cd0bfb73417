"""A virtual environment for each server, from its locked requirements, made once and kept."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_FOLDER = Path("~/.cache/slipway/bench").expanduser()
_KEPT_LINES = 12


class UnavailableError(Exception):
    """A server cannot take part; the message says why."""


def environment(name: str, locks: Sequence[Path], folder: Path) -> Path:
    """Return the `bin` folder of a virtual environment that holds what some locks ask for.

    Args:
        name: The server's name.
        locks: Its requirements, with hashes.
        folder: Where environments are kept. One whose locks have changed is made anew.

    Raises:
        UnavailableError: Something cannot be installed.
    """
    digest = hashlib.sha256(sys.version.encode())
    for lock in locks:
        digest.update(lock.read_bytes())
    home = folder / f"{name}-{digest.hexdigest()[:12]}"
    whole = home / ".whole"
    if whole.exists():
        return home / "bin"
    print(f"installing {name} …", file=sys.stderr, flush=True)
    # Virtual environments hold their own path, so it is made where it stays.
    shutil.rmtree(home, ignore_errors=True)
    try:
        _run([sys.executable, "-m", "venv", str(home)], name)
        files = [argument for lock in locks for argument in ("-r", str(lock))]
        _run([str(home / "bin/python"), "-m", "pip", "install", "-q", "--require-hashes", *files], name)
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    whole.touch()
    for old in folder.glob(f"{name}-*"):
        if old != home:
            shutil.rmtree(old, ignore_errors=True)
    return home / "bin"


def _run(arguments: Sequence[str], name: str) -> None:
    done = subprocess.run(arguments, env=clean_environ(), capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_KEPT_LINES:])
        raise UnavailableError(f"{name} cannot be installed: {last}")


def clean_environ() -> dict[str, str]:
    """Return this process's environment variables without those that would make servers slower than users have them."""
    unwanted = {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHASHSEED", "PYTHONUNBUFFERED", "VIRTUAL_ENV"}
    return {name: value for name, value in os.environ.items() if name not in unwanted}
