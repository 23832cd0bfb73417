"""What every step of the set-up is given: the checkout, the cache, the environment, and the user's choices."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolchain.cache import Cache, cache_home
from toolchain.process import open_log
from toolchain.report import Report, ToolchainError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DEFAULT_REGISTRY_PORT = 5050
HIGHEST_PORT = 65535
ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Taken:
    """The result of one step: what was found and which way was taken."""

    name: str
    line: str
    path: tuple[Path, ...] = ()
    env: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Context:
    """One run of the toolchain on one checkout."""

    root: Path
    cache: Cache
    report: Report
    environ: Mapping[str, str]
    system: str
    architecture: str
    registry_port: int

    @property
    def go_files(self) -> Path:
        """The folder of the Go modules, each with its locked dependencies."""
        return self.root / "toolchain" / "go"

    @property
    def venv(self) -> Path:
        """The checkout's Python environment."""
        return self.root / ".venv"

    @property
    def platform(self) -> str:
        """System and architecture as Go names them: linux-amd64."""
        return f"{self.system}-{self.architecture}"

    @property
    def registry(self) -> str:
        """The local registry, as image names start."""
        return f"localhost:{self.registry_port}"

    @property
    def isolated(self) -> bool:
        """Whether the user asked for a cache of its own: nothing outside it is touched then."""
        return bool(self.environ.get("SLIPWAY_CACHE"))

    @property
    def official(self) -> bool | None:
        """True: try the official ways again; False: never try them; None: as remembered."""
        return {"1": True, "0": False}.get(self.environ.get("SLIPWAY_OFFICIAL", ""))

    @property
    def root_user(self) -> bool:
        """Whether packages and services of the system may be installed and started."""
        return os.geteuid() == 0

    @property
    def system_environ(self) -> dict[str, str]:
        """The environment for programs of the system, which PATH does not show to everyone."""
        return {**self.environ, "PATH": f"{self.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"}

    def which(self, program: str) -> str | None:
        """Return where a program of the system is, or None."""
        return shutil.which(program, path=self.system_environ["PATH"])

    def log(self, name: str) -> Path:
        """Return the log of a step, emptied: it tells of this run."""
        path = self.cache.logs / f"{name}.log"
        open_log(path).close()
        return path


def context_of(root: Path, environ: Mapping[str, str], report: Report) -> Context:
    """Return the context of this machine and the user's environment.

    Raises:
        ToolchainError: If the system is not supported or a variable has a value that is not allowed.
    """
    system = {"linux": "linux", "darwin": "darwin"}.get(sys.platform)
    architecture = ARCHITECTURES.get(platform.machine().lower())
    if system is None or architecture is None:
        raise ToolchainError(
            f"Slipway does not run on {sys.platform} {platform.machine()}.",
            to_do="use Linux or macOS on amd64 or arm64; on Windows, open a WSL 2 terminal and run it there.",
        )
    return Context(
        root=root,
        cache=Cache(cache_home(environ)),
        report=report,
        environ=environ,
        system=system,
        architecture=architecture,
        registry_port=_port(environ.get("SLIPWAY_REGISTRY_PORT")),
    )


def _port(value: str | None) -> int:
    if not value:
        return DEFAULT_REGISTRY_PORT
    if value.isascii() and value.isdigit() and 1 <= int(value) <= HIGHEST_PORT:
        return int(value)
    raise ToolchainError(
        f"SLIPWAY_REGISTRY_PORT is {value!r}; a port is a number from 1 to {HIGHEST_PORT}.",
        to_do=f"unset it for the default {DEFAULT_REGISTRY_PORT}, or name a free port.",
    )
