"""The policy pack's Python environment: in the cache, made where a stack has policies, and linked into the checkout.

It is not .venv: pulumi-policy wants another version of protobuf than the project.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain.cache import write_atomically
from toolchain.context import Taken
from toolchain.process import run
from toolchain.report import ToolchainError

if TYPE_CHECKING:
    from toolchain.context import Context
    from toolchain.report import Step

NAME = "Policies"
LOCK = Path("policies") / "requirements.lock"
LINK = Path(".slipway") / "policies"
INSTALL_SECONDS = 900.0
_MARKER = ".slipway-stamp"


def current(root: Path) -> bool:
    """Tell whether a checkout's pack has its environment.

    Args:
        root: The checkout.
    """
    folder = root / LINK
    try:
        made = (folder / _MARKER).read_text(encoding="utf-8")
    except OSError:
        return False
    return made == _stamp(root) and (folder / "bin" / "python").exists()


def ensure(context: Context, step: Step) -> Taken:
    """Make the environment, unless it is there, and link to it. Call it with the cache locked.

    Raises:
        ToolchainError: .venv is missing, or the packages cannot be installed.
    """
    if current(context.root):
        return Taken(NAME, "current")
    base = context.venv / "bin" / "python"
    if not base.exists():
        raise ToolchainError(
            f"{context.venv} is missing, which the policies' environment is made from.", to_do="run `make setup`."
        )
    # Two versions of Python have an environment each.
    python = base.resolve()
    wanted = _stamp(context.root)
    mark = hashlib.sha256(f"{wanted} {python} {python.stat().st_mtime_ns}".encode()).hexdigest()[:16]
    folder = context.cache.home / "policies" / mark
    line = "in the cache"
    if not (folder / _MARKER).exists() or not (folder / "bin" / "python").exists():
        shutil.rmtree(folder, ignore_errors=True)
        how = _make(context, step, folder)
        # Written last: an interrupted installation is made anew.
        write_atomically(folder / _MARKER, wanted)
        line = f"installed as locked, by {how}"
    _link(context.root / LINK, folder)
    return Taken(NAME, line)


def _stamp(root: Path) -> str:
    return hashlib.sha256((root / LOCK).read_bytes()).hexdigest()


def _make(context: Context, step: Step, folder: Path) -> str:
    """Make it from wheels with hashes; return what installed them."""
    base, python = str(context.venv / "bin" / "python"), str(folder / "bin" / "python")
    uv = shutil.which("uv", path=context.environ.get("PATH"))
    dropped = {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    env = {name: value for name, value in context.environ.items() if name not in dropped}
    log = context.log("policies")
    make = [uv, "venv", "--python", base, str(folder)] if uv else [base, "-m", "venv", "--without-pip", str(folder)]
    # .venv has pip, whatever made it.
    pip = (
        [uv, "pip", "install", "--python", python]
        if uv
        else [base, "-m", "pip", "--python", python, "install", "--no-input"]
    )
    step.doing("installing the policies' packages")
    for command, what, to_do in (
        (make, "Making the policies' environment", "see the log."),
        (
            [*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(context.root / LOCK)],
            "Installing the policies' packages",
            "see the log; the Python package index must be reachable (PIP_INDEX_URL names another, UV_INDEX_URL uv's).",
        ),
    ):
        run(
            command,
            log=log,
            what=what,
            to_do=to_do,
            env={**env, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            timeout=INSTALL_SECONDS,
        )
    return "uv" if uv else "pip"


def _link(link: Path, folder: Path) -> None:
    """Replace a link as a whole: two commands may do it at once."""
    link.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=link.parent) as scratch:
        new = Path(scratch) / link.name
        new.symlink_to(folder)
        os.replace(new, link)  # noqa: PTH105 - as toolchain/tools.py has it
