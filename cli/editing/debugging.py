"""A debug container: a deployed model's image with debugpy beside it, and the checkout's script in reload mode.

debugpy is not in any image: it is mounted from the project's .venv, read-only. Where its compiled parts are for
another Python than the image's, it goes without them, slower.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from cli.errors import CliError, Exit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.placements.containers import Engine
    from manifest import Model

# What the line of slipway_debug.py begins with when a debugger can attach.
LISTENING = "slipway debug: listening on"
# The checkout's root, as the container names it: what a debugger maps to the workspace's folder.
REMOTE_ROOT = "/mnt/project"
# Beside the label's own, none of the stack's: it is no part of what the stack deployed.
LABEL = "io.slipway.debug"

_TOOLS = "/mnt/debug"
_BOOTSTRAP = Path(__file__).with_name("slipway_debug.py")
_PYTHON = "/opt/venv/bin/python"
_SERVICE_PORT = 8080
# For debugpy and its adapter, a process of its own.
_MORE_MEMORY = 512 * 1024 * 1024
# As components/local_docker.py has it.
_TMPFS = "rw,noexec,nosuid,size=64m"


@dataclass(frozen=True)
class Wish:
    """What to debug, and how.

    Attributes:
        model: The model as the manifest has it.
        root: The project's folder.
        label: Project and stack.
        debug_port: The port for the debugger, on 127.0.0.1.
        port: The port for requests, on 127.0.0.1; None for any.
        waits: Whether to wait for the debugger before init().
    """

    model: Model
    root: Path
    label: str
    debug_port: int
    port: int | None
    waits: bool


def debugpy_folder() -> Path:
    """Return where debugpy is installed.

    Raises:
        CliError: It is not.
    """
    found = importlib.util.find_spec("debugpy")
    if found is None or found.origin is None:
        raise CliError(
            "debugpy is not installed in the project's .venv.",
            hint=".venv/bin/python -m pip install debugpy (or: uv pip install debugpy)",
            code=Exit.SETUP,
        )
    return Path(found.origin).parent


def start(engine: Engine, deployed: Mapping[str, Any], wish: Wish) -> str:
    """Start a debug container beside a deployed one, which goes on as it is.

    Args:
        engine: The Docker engine.
        deployed: The deployed container, as the engine describes it.
        wish: What to debug, and how.

    Returns:
        The container's name.

    Raises:
        CliError: It cannot be started.
    """
    name = f"{str(deployed['Name']).lstrip('/')}-debug"
    host, config = deployed["HostConfig"], deployed["Config"]
    source = wish.root / wish.model.folder / wish.model.code_folder
    mounted = str(PurePosixPath(REMOTE_ROOT, wish.model.folder, wish.model.code_folder))
    memory = (host.get("Memory") or 0) and host["Memory"] + _MORE_MEMORY
    engine.start(
        name,
        image=deployed["Image"],
        entrypoint=[_PYTHON, "-X", "frozen_modules=off", f"{_TOOLS}/{_BOOTSTRAP.name}"],
        command=[],
        environment=_variables(config.get("Env") or [], mounted, wish),
        labels={LABEL: wish.label},
        # A debugger that halts the process halts its answers to health checks too.
        healthcheck={"test": ["NONE"]},
        ports=[_SERVICE_PORT, wish.debug_port],
        host={
            "auto_remove": True,
            "binds": {
                str(source.resolve()): {"bind": mounted, "mode": "ro"},
                str(debugpy_folder()): {"bind": f"{_TOOLS}/debugpy", "mode": "ro"},
                str(_BOOTSTRAP): {"bind": f"{_TOOLS}/{_BOOTSTRAP.name}", "mode": "ro"},
            },
            "cap_drop": ["ALL"],
            "mem_limit": memory,
            "memswap_limit": memory,
            "nano_cpus": host.get("NanoCpus"),
            "network_mode": "bridge",
            "port_bindings": {
                _SERVICE_PORT: ("127.0.0.1", wish.port),
                wish.debug_port: ("127.0.0.1", wish.debug_port),
            },
            "read_only": True,
            "security_opt": ["no-new-privileges"],
            "tmpfs": {"/tmp": _TMPFS},  # noqa: S108 - the container's own
        },
    )
    return name


def _variables(given: list[str], mounted: str, wish: Wish) -> dict[str, str]:
    variables = dict(one.partition("=")[::2] for one in given)
    # What is tried out here is no data of the model's.
    variables = {name: value for name, value in variables.items() if not name.startswith("SLIPWAY_COLLECT")}
    return variables | {
        "SLIPWAY_DEVELOPMENT": "1",
        "SLIPWAY_RELOAD": mounted,
        "SLIPWAY_DEBUG_PORT": str(wish.debug_port),
        "SLIPWAY_DEBUG_WAIT": "1" if wish.waits else "0",
        # A worker that stands at a breakpoint is not stuck.
        "WORKER_TIMEOUT": "0",
        # The breakpoints are debugpy's; it says on its own what it is slow at.
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
