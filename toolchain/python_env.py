"""The checkout's Python environment: .venv, exactly as requirements.lock says, by uv where it is there, else by pip."""

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
OLDEST = "3.11"
NEWEST = "3.13"
CANDIDATES = ("python3.13", "python3.12", "python3.11", "python3")
INSTALL_SECONDS = 1800.0
ASK_VERSION = "import platform; print(platform.python_version())"


def stamp(context: Context) -> str:
    """Return what the environment depends on: the lock, the project, and where it lies, as its scripts name it."""
    whole = hashlib.sha256(str(context.venv).encode())
    for name in ("requirements.lock", "pyproject.toml"):
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
    _install(context, step, uv, log)
    # Written last: an interrupted installation is taken up again.
    write_atomically(marker, f"{wanted}\n{version}")
    return _taken(context, f"Python {version} in .venv, as locked, installed by {'uv' if uv else 'pip'}")


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


def _install(context: Context, step: Step, uv: str | None, log: Path) -> None:
    python = str(context.venv / "bin" / "python")
    pip = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install", "--no-input"]
    step.doing("installing the locked packages")
    to_do = "see the log; the Python package index must be reachable (PIP_INDEX_URL names another, UV_INDEX_URL uv's)."
    run(
        [*pip, "--require-hashes", "-r", str(context.root / "requirements.lock")],
        log=log,
        what="Installing the locked packages",
        to_do=to_do,
        env=_env(context),
        timeout=INSTALL_SECONDS,
    )
    step.doing("installing the slipway command")
    # Without isolation: what builds it is in the lock, and nothing unlocked is fetched.
    run(
        [*pip, "--no-deps", "--no-build-isolation", "-e", str(context.root)],
        log=log,
        what="Installing the slipway command",
        to_do="see the log.",
        env=_env(context),
        timeout=INSTALL_SECONDS,
    )
