"""The Docker engine: a running one is used; else one is started, or installed where we may."""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from toolchain import apt
from toolchain.cache import read_json, write_json
from toolchain.context import Taken
from toolchain.daemon import Daemon
from toolchain.engine_api import LOOPBACK, Engine
from toolchain.process import run
from toolchain.report import ToolchainError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toolchain.context import Context
    from toolchain.report import Step

DEFAULT = "unix:///var/run/docker.sock"
NAME = "Docker"
START_SECONDS = 90.0
DESKTOP_SECONDS = 180.0


def docker_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of the Docker client's settings."""
    return Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _context_address(environ: Mapping[str, str]) -> str | None:
    """Return the address of the client's chosen context, as `docker context use` wrote it down."""
    folder = docker_folder(environ)
    name = environ.get("DOCKER_CONTEXT") or read_json(folder / "config.json").get("currentContext")
    if not name or name == "default":
        return None
    described = folder / "contexts" / "meta" / hashlib.sha256(str(name).encode()).hexdigest() / "meta.json"
    endpoint = read_json(described).get("Endpoints", {}).get("docker", {})
    host = endpoint.get("Host") if isinstance(endpoint, dict) else None
    return str(host) if host else None


def addresses(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return where to look for an engine, the user's choice first; with a choice, nowhere else."""
    chosen = environ.get("DOCKER_HOST") or _context_address(environ)
    if chosen:
        return (chosen,)
    places = [DEFAULT, f"unix://{docker_folder(environ)}/run/docker.sock"]
    if environ.get("XDG_RUNTIME_DIR"):
        places.append(f"unix://{environ['XDG_RUNTIME_DIR']}/docker.sock")
    return tuple(places)


def check_address(address: str) -> None:
    """Refuse an engine on another machine: containers and registry are bound to this one's loopback.

    Raises:
        ToolchainError: If the address is not of this machine.
    """
    parts = urlsplit(address)
    if parts.scheme == "unix" or (parts.scheme in {"tcp", "http"} and parts.hostname in LOOPBACK):
        return
    raise ToolchainError(
        f"The Docker client is set to {address}, an engine on another machine.",
        to_do="unset DOCKER_HOST, or choose a local context with `docker context use default`.",
    )


def find(environ: Mapping[str, str]) -> tuple[Engine, str] | None:
    """Return the first engine that answers, with its version."""
    for address in addresses(environ):
        engine = Engine(address)
        version = engine.version()
        if version is not None:
            return engine, version
    return None


def process(context: Context) -> Daemon:
    """Return the engine as a service of ours."""
    return Daemon(context.cache, "dockerd", context.environ)


def _system_record(context: Context) -> Path:
    """Return the note that the system's own service of that name was started by us."""
    return context.cache.run / "docker-service.json"


def ensure(context: Context, step: Step) -> tuple[Engine, Taken]:
    """Find or provide a Docker engine.

    Returns:
        The engine, and what was found.

    Raises:
        ToolchainError: If there is none and we may not or cannot provide one.
    """
    for address in addresses(context.environ):
        check_address(address)
    found = find(context.environ)
    how = "running"
    if found is not None and process(context).pid is not None:
        how = "running, started by an earlier set-up"
    if found is None:
        how = _provide(context, step)
        found = find(context.environ)
    if found is None:
        raise ToolchainError(
            "The Docker engine was started but does not answer.",
            to_do="`docker version` must show a server; see the system's log of the service docker.",
        )
    engine, version = found
    # docker-py and the plugins know DOCKER_HOST and the default place, but no contexts.
    env = () if engine.address == DEFAULT else (("DOCKER_HOST", engine.address),)
    return engine, Taken(NAME, f"engine {version} at {engine.address}: {how}", env=env)


def _provide(context: Context, step: Step) -> str:
    chosen = addresses(context.environ)
    for address in chosen:
        refusal = Engine(address).refusal() or ""
        if "permission denied" in refusal.lower():
            raise ToolchainError(
                f"The Docker engine at {address} does not let you in: {refusal}.",
                to_do="run `sudo usermod -aG docker $USER`, log in again, and start again.",
            )
    if DEFAULT not in chosen:
        raise ToolchainError(
            f"No Docker engine answers at {chosen[0]}, which DOCKER_HOST or the docker context names.",
            to_do="start that engine, or unset DOCKER_HOST and run `docker context use default`.",
        )
    if sys.platform == "darwin":
        return _open_desktop(context, step)
    if context.which("dockerd") is None:
        if not apt.available(context):
            raise ToolchainError(
                "There is no Docker engine on this machine.",
                to_do="install it (https://docs.docker.com/engine/install/), start it, and start again. On Debian "
                "and Ubuntu: sudo apt-get install docker.io && sudo usermod -aG docker $USER; then log in again.",
            )
        # docker.io only recommends iptables, without which it starts no network.
        apt.install(context, step, ("docker.io", "iptables"), "The Docker engine")
        _await_engine(context, 3.0)
        if find(context.environ) is not None:
            write_json(_system_record(context), {"by": "package"})
            return "installed from the system's packages, which started it"
        return f"installed from the system's packages, {_start(context, step)}"
    return f"was installed but stopped, {_start(context, step)}"


def _start(context: Context, step: Step) -> str:
    if not context.root_user:
        raise ToolchainError(
            "The Docker engine is installed but not running.",
            to_do="run `sudo systemctl start docker` (or `sudo service docker start`), and start again.",
        )
    step.doing("starting the Docker engine")
    if Path("/run/systemd/system").exists():
        run(
            ["systemctl", "start", "docker"],
            log=context.log("docker-service"),
            what="Starting the service docker",
            to_do="`systemctl status docker` tells more.",
            env=context.system_environ,
            timeout=START_SECONDS,
        )
        write_json(_system_record(context), {"by": "systemctl"})
        _await_engine(context, START_SECONDS)
        return "started by systemctl"
    daemon = process(context)
    engine = Engine(DEFAULT)
    # dockerd refuses to start while its file names any living process, be it another one with a used number.
    pidfile = context.cache.run / "dockerd.pid"
    pidfile.unlink(missing_ok=True)
    daemon.start(
        [context.which("dockerd") or "dockerd", "--host", DEFAULT, "--pidfile", str(pidfile)],
        ready=lambda: engine.version() is not None,
        within=START_SECONDS,
        to_do="mend what the log says; `dockerd` as root must come up by itself.",
        env=context.system_environ,
    )
    return "started in the background"


def _open_desktop(context: Context, step: Step) -> str:
    step.doing("starting Docker Desktop")
    run(
        ["open", "-a", "Docker"],
        log=context.log("docker-desktop"),
        what="Starting Docker Desktop",
        to_do="install Docker Desktop or another engine, start it, and start again.",
        env=context.system_environ,
        timeout=30,
    )
    _await_engine(context, DESKTOP_SECONDS)
    return "Docker Desktop, started now"


def _await_engine(context: Context, within: float) -> None:
    deadline = time.monotonic() + within
    while find(context.environ) is None and time.monotonic() < deadline:
        time.sleep(0.2)


def stop(context: Context) -> str:
    """Stop the engine if a set-up started it and nothing else runs on it.

    Returns:
        What was done, for the user.
    """
    record = _system_record(context)
    daemon = process(context)
    if daemon.pid is None and not record.exists():
        return "not started by Slipway, left as it is"
    found = find(context.environ)
    others = found[0].running() if found else []
    if others:
        return f"left running: it runs {', '.join(others[:5])}{' and others' if len(others) > 5 else ''}"  # noqa: PLR2004 - enough names to recognise.
    if record.exists():
        _stop_service(context)
        record.unlink(missing_ok=True)
        return "service stopped"
    daemon.stop()
    return "stopped"


def _stop_service(context: Context) -> None:
    # The socket unit would start the service again at the next request.
    command = ["service", "docker", "stop"]
    if Path("/run/systemd/system").exists():
        command = ["systemctl", "stop", "docker.socket", "docker.service"]
    run(
        command,
        log=context.log("docker-service"),
        what="Stopping the service docker",
        to_do="stop it by hand.",
        env=context.system_environ,
        timeout=60,
    )


def describe(context: Context) -> str:
    """Return the engine's state in one line."""
    found = find(context.environ)
    if found is None:
        return "no engine answers"
    owner = ", started by Slipway" if process(context).pid or _system_record(context).exists() else ""
    return f"{found[1]} at {found[0].address}{owner}"
