"""The checkout's Python environment: .venv, in the versions of the locks, by uv where it is there, else by pip.

requirements.lock has what deploys models; requirements.dev.lock has that and what tests, checks and the stand-ins of
Azure and of devices need, which is more than half of it, and comes when one of them is wanted.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from typing import TYPE_CHECKING

from toolchain import apt
from toolchain.cache import write_atomically
from toolchain.context import Taken
from toolchain.process import capture, run
from toolchain.report import ToolchainError
from toolchain.versions import at_least, numbers

if TYPE_CHECKING:
    from pathlib import Path

    from toolchain.context import Context
    from toolchain.report import Step

NAME = "Python"
LOCK, DEV_LOCK = "requirements.lock", "requirements.dev.lock"
OLDEST = "3.11"
NEWEST = "3.13"
CANDIDATES = ("python3.13", "python3.12", "python3.11", "python3")
INSTALL_SECONDS = 1800.0
_DEV_STAMP = ".slipway-dev-stamp"
ASK_VERSION = "import platform; print(platform.python_version())"


def stamp(context: Context) -> str:
    """Return what the environment depends on: the lock, the project, and where it lies, as its scripts name it."""
    whole = hashlib.sha256(str(context.venv).encode())
    for name in (LOCK, "pyproject.toml"):
        whole.update((context.root / name).read_bytes())
    return whole.hexdigest()


def ensure(context: Context, step: Step) -> Taken:
    """Make the environment, unless it is current.

    Raises:
        ToolchainError: If there is no usable Python, or the packages cannot be installed.
    """
    python = context.venv / "bin" / "python"
    marker = context.venv / ".slipway-stamp"
    wanted = stamp(context)
    current = marker.read_text(encoding="utf-8").split("\n") if marker.exists() and python.exists() else [""]
    if current[0] == wanted:
        return _taken(context, f"Python {current[-1]} in .venv, current")
    log = context.log("python")
    uv = shutil.which("uv", path=context.environ.get("PATH"))
    version = _version(context, str(python)) if python.exists() else None
    if version is None or not suitable(version) or capture([str(python), "-m", "pip"], env=_env(context)) is None:
        shutil.rmtree(context.venv, ignore_errors=True)
        _create(context, step, uv, log)
        version = _version(context, str(python))
    # A package that both locks have may become another version now.
    (context.venv / _DEV_STAMP).unlink(missing_ok=True)
    _install(context, step, uv, log, LOCK)
    _install_command(context, step, uv, log)
    # Written last: an interrupted installation is taken up again.
    write_atomically(marker, f"{wanted}\n{version}")
    return _taken(context, f"Python {version} in .venv, as locked, installed by {_installer(uv)}")


def develop(context: Context, step: Step) -> Taken:
    """Add what tests, checks and stand-ins need to an environment that is made, unless it is there.

    Raises:
        ToolchainError: If the packages cannot be installed.
    """
    marker = context.venv / _DEV_STAMP
    wanted = hashlib.sha256(stamp(context).encode() + (context.root / DEV_LOCK).read_bytes()).hexdigest()
    if marker.exists() and marker.read_text(encoding="utf-8") == wanted:
        return _taken(context, "what tests need, in .venv, current")
    uv = shutil.which("uv", path=context.environ.get("PATH"))
    _install(context, step, uv, context.log("python-dev"), DEV_LOCK)
    write_atomically(marker, wanted)
    return _taken(context, f"what tests need, in .venv, as locked, installed by {_installer(uv)}")


def _installer(uv: str | None) -> str:
    return "uv" if uv else "pip"


def _taken(context: Context, line: str) -> Taken:
    return Taken(NAME, line, path=(context.venv / "bin",), env=(("VIRTUAL_ENV", str(context.venv)),))


def suitable(version: str) -> bool:
    """Tell whether the project runs on a version of Python."""
    return at_least(version, OLDEST) and numbers(version)[:2] <= numbers(NEWEST)


def _env(context: Context) -> dict[str, str]:
    dropped = {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    kept = {name: value for name, value in context.environ.items() if name not in dropped}
    return {**kept, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def _version(context: Context, python: str) -> str | None:
    told = capture([python, "-c", ASK_VERSION], env=_env(context))
    return told.strip() if told else None


def find(context: Context) -> tuple[str, str] | None:
    """Return a Python that the project runs on, and its version: the running one first."""
    running = getattr(sys, "_base_executable", None) or sys.executable
    search = context.environ.get("PATH")
    for candidate in (running, *(shutil.which(name, path=search) for name in CANDIDATES)):
        version = _version(context, candidate) if candidate else None
        if candidate and version and suitable(version):
            return candidate, version
    return None


def _create(context: Context, step: Step, uv: str | None, log: Path) -> None:
    found = find(context)
    step.doing("making .venv")
    if uv is not None:
        wanted = found[0] if found else f">={OLDEST},<={NEWEST}"
        # With pip: Pulumi's language host asks it which packages there are.
        run(
            [uv, "venv", "--seed", "--python", wanted, str(context.venv)],
            log=log,
            what="Making .venv",
            to_do=f"install Python {OLDEST} to {NEWEST}.",
            env=_env(context),
            timeout=INSTALL_SECONDS,
        )
        return
    if found is None:
        raise ToolchainError(
            f"There is no Python {OLDEST} to {NEWEST} on PATH; this is {sys.version.split()[0]}.",
            to_do="install one (on Debian and Ubuntu the package python3 or python3.12, on macOS "
            "`brew install python@3.13`), or install uv (https://docs.astral.sh/uv/), which brings its own.",
        )
    python, version = found
    if capture([python, "-c", "import ensurepip, venv"], env=_env(context)) is None:
        # Debian and Ubuntu split it off the interpreter.
        short = ".".join(version.split(".")[:2])
        apt.install(context, step, (f"python{short}-venv",), "Making .venv")
    run(
        [python, "-m", "venv", str(context.venv)],
        log=log,
        what="Making .venv",
        to_do="see the log; `python3 -m venv` must work on this machine.",
        env=_env(context),
        timeout=INSTALL_SECONDS,
    )


def _pip(context: Context, uv: str | None) -> list[str]:
    python = str(context.venv / "bin" / "python")
    return [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install", "--no-input"]


def _install(context: Context, step: Step, uv: str | None, log: Path, lock: str) -> None:
    step.doing(f"installing the packages of {lock}")
    run(
        [*_pip(context, uv), "--require-hashes", "-r", str(context.root / lock)],
        log=log,
        what=f"Installing the packages of {lock}",
        to_do="see the log; the Python package index must be reachable (PIP_INDEX_URL names another, UV_INDEX_URL "
        "uv's).",
        env=_env(context),
        timeout=INSTALL_SECONDS,
    )


def _install_command(context: Context, step: Step, uv: str | None, log: Path) -> None:
    step.doing("installing the slipway command")
    # Without isolation: what builds it is in the lock, and nothing unlocked is fetched.
    run(
        [*_pip(context, uv), "--no-deps", "--no-build-isolation", "-e", str(context.root)],
        log=log,
        what="Installing the slipway command",
        to_do="see the log.",
        env=_env(context),
        timeout=INSTALL_SECONDS,
    )
