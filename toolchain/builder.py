"""The image builder `slipway`: BuildKit in a container of the engine, else built from Go and run on this host."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolchain import apt, gobuild
from toolchain.cache import read_json, write_atomically
from toolchain.context import Taken
from toolchain.daemon import Daemon, answers
from toolchain.docker_engine import docker_folder
from toolchain.process import capture, run
from toolchain.registry import pulled, refuse_foreign
from toolchain.report import ToolchainError

if TYPE_CHECKING:
    from toolchain.context import Context
    from toolchain.engine_api import Engine
    from toolchain.network import Network
    from toolchain.report import Step

NAME = "Builder"
BUILDER = "slipway"
NODE = "slipway0"
REPOSITORY = "moby/buildkit"
PROBE = "slipway-probe"
CONTAINER = f"buildx_buildkit_{NODE}"
MARK = "SLIPWAY_CACHE_MARK"  # In the container's environment: buildx makes it, and lets us set no label.
START_SECONDS = 60.0
SOCKET_PATH_LIMIT = 100  # Of 108 bytes on Linux, 104 on macOS.
CACHE_BYTES = 20_000_000_000
KEEP_BYTES = 4_000_000_000


def configuration(registry: str, *, host: tuple[Path, Path] | None = None) -> str:
    """Return BuildKit's settings.

    Docker Hub's images are looked for in our registry first, which holds the base image where it was made here.

    Args:
        registry: The local registry.
        host: BuildKit's data and run folders, when it runs on this host; it has its own in a container.
    """
    lines = []
    if host is not None:
        data, run_folder = host
        lines += [
            f"root = {json.dumps(str(data))}",
            "[grpc]",
            f"address = [{json.dumps(f'unix://{run_folder}/buildkitd.sock')}]",
            "[otel]",
            f"socketPath = {json.dumps(f'{run_folder}/buildkitd-otel.sock')}",
            "[worker.containerd]",
            "enabled = false",
        ]
    lines += [
        "[worker.oci]",
        "enabled = true",
        'networkMode = "host"',
        "gc = true",
        f"reservedSpace = {KEEP_BYTES}",
        f"maxUsedSpace = {CACHE_BYTES}",
        '[registry."docker.io"]',
        f"mirrors = [{json.dumps(registry)}]",
        f"[registry.{json.dumps(registry)}]",
        "http = true",
        "insecure = true",
    ]
    return "\n".join(lines) + "\n"


def store(context: Context) -> Path:
    """Return where buildx, and with it the docker-build provider, keeps its builders."""
    if context.environ.get("BUILDX_CONFIG"):
        return Path(context.environ["BUILDX_CONFIG"])
    if context.isolated:
        return context.cache.home / "buildx"
    return docker_folder(context.environ) / "buildx"


def instance(driver: str, endpoint: str, options: dict[str, str], settings: str | None = None) -> dict[str, Any]:
    """Return a builder as `docker buildx create` records it."""
    files = {} if settings is None else {"buildkitd.toml": base64.b64encode(settings.encode()).decode()}
    node = {
        "Name": NODE,
        "Endpoint": endpoint,
        "Platforms": None,
        "DriverOpts": options,
        "Flags": None,
        "Files": files,
    }
    return {"Name": BUILDER, "Driver": driver, "Nodes": [node], "Dynamic": False}


def record(context: Context, builder: dict[str, Any]) -> None:
    """Record the builder, as `docker buildx create` would; that program is often not installed."""
    path = store(context) / "instances" / BUILDER
    if read_json(path) != builder:
        write_atomically(path, json.dumps(builder), 0o600)


def process(context: Context) -> Daemon:
    """Return BuildKit on this host as a service of ours."""
    return Daemon(context.cache, "buildkitd", context.environ)


def socket_path(context: Context) -> Path:
    """Return BuildKit's socket on this host."""
    return context.cache.run / "buildkitd.sock"


def ensure(context: Context, step: Step, engine: Engine, network: Network) -> Taken:
    """Find or start the builder.

    Raises:
        ToolchainError: If there can be none.
    """
    env = (("BUILDX_CONFIG", str(store(context))),) if context.isolated else ()
    version = gobuild.BUILDKIT.version(context)
    runs = process(context).pid is not None and answers(socket_path(context)) and _is_current(context)
    if runs and not context.official:
        _record_host(context)
        return Taken(NAME, f"{BUILDER}: BuildKit {version} on this host, running", env=env)
    problem = None
    if gobuild.built(context, (gobuild.BUILDKIT,)) is None or context.official:
        problem = _official(context, step, engine, network)
        if problem is None:
            process(context).stop()
            return Taken(NAME, f"{BUILDER}: official BuildKit image in the Docker engine", env=env)
    if not runs:
        _on_host(context, step, problem or "The builder stopped")
    reason = f" ({problem})" if problem else ""
    return Taken(NAME, f"{BUILDER}: BuildKit {version} built from Go modules, on this host{reason}", env=env)


def image(context: Context) -> tuple[str, str]:
    """Return the official image and its tag: the version that is built from Go modules, which our Dockerfiles need."""
    return REPOSITORY, gobuild.BUILDKIT.version(context)


def _settings(context: Context) -> Path:
    return context.cache.run / "buildkitd.toml"


def _host_configuration(context: Context) -> str:
    return configuration(context.registry, host=(context.cache.home / "buildkit", context.cache.run))


def _is_current(context: Context) -> bool:
    """Tell whether BuildKit on this host was started with the settings that are wanted now."""
    try:
        return _settings(context).read_text(encoding="utf-8") == _host_configuration(context)
    except OSError:
        return False


def _is_ours(container: dict[str, Any], context: Context) -> bool:
    return f"{MARK}={context.cache.mark}" in (container.get("Config", {}).get("Env") or [])


def _official(context: Context, step: Step, engine: Engine, network: Network) -> str | None:
    """Use the official image; return what is in the way, or None when the builder is ready."""
    there = engine.container(CONTAINER)
    if there and not _is_ours(there, context):
        refuse_foreign(CONTAINER)
    name = ":".join(image(context))
    if problem := pulled(step, engine, network, name):
        return problem
    known = read_json(store(context) / "instances" / BUILDER)
    refusal = None if known.get("Driver") == "docker-container" else _refuses_privileged(engine, name)
    if refusal is not None:
        return refusal
    # The host's network: the registry listens on its loopback interface only.
    options = {"network": "host", "image": name, f"env.{MARK}": context.cache.mark}
    builder = instance("docker-container", engine.address, options, configuration(context.registry))
    if there and known != builder:
        engine.remove(CONTAINER)  # It was made with other settings; its build cache is in a volume, which stays.
        there = None
    record(context, builder)
    # Without the buildx program the provider starts the builder at its first build.
    client = {**context.environ, "BUILDX_CONFIG": str(store(context)), "DOCKER_HOST": engine.address}
    if not there and capture(["docker", "buildx", "version"], env=client) is not None:
        step.doing("starting BuildKit in the Docker engine")
        run(
            ["docker", "buildx", "inspect", "--bootstrap", BUILDER],
            log=context.log("builder"),
            what="Starting the builder",
            to_do=f"see the log; `docker buildx rm {BUILDER}` and another try may help.",
            env=client,
            timeout=120,
        )
    return None


def _refuses_privileged(engine: Engine, image: str) -> str | None:
    """Return why the engine does not run BuildKit, as in some sandboxes and rootless engines; None when it does."""
    engine.remove(PROBE)
    try:
        engine.run(PROBE, {"Image": image, "Cmd": ["--version"], "HostConfig": {"Privileged": True}})
    except ToolchainError:
        return "The engine starts no privileged container"
    finally:
        engine.remove(PROBE)
    return None


def _record_host(context: Context) -> None:
    record(context, instance("remote", f"unix://{socket_path(context)}", {}))


def _on_host(context: Context, step: Step, problem: str) -> None:
    path = socket_path(context)
    if context.system != "linux" or not context.root_user:
        raise ToolchainError(
            f"{problem}; the way round it, BuildKit on the host, takes root on Linux.",
            to_do="give the Docker engine a mirror of Docker Hub (registry-mirrors), then run it again "
            "with SLIPWAY_OFFICIAL=1; or run it as root.",
        )
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        raise ToolchainError(
            f"The path {path} is too long for a socket ({SOCKET_PATH_LIMIT} bytes are allowed).",
            to_do="choose a shorter SLIPWAY_CACHE.",
        )
    if context.which("runc") is None:
        apt.install(context, step, ("runc",), "BuildKit")
    tools = gobuild.build(context, step, (gobuild.BUILDKIT,))
    step.doing("starting BuildKit")
    write_atomically(_settings(context), _host_configuration(context))
    process(context).start(
        [str(tools / "buildkitd"), "--config", str(_settings(context))],
        ready=lambda: answers(path),
        within=START_SECONDS,
        to_do="mend what the log says; BuildKit needs root, runc and overlay file systems.",
        env=context.system_environ,
    )
    _record_host(context)


def stop(context: Context, engine: Engine | None) -> str:
    """Stop our builder and forget it; its build cache stays.

    Returns:
        What was done, for the user.
    """
    stopped = process(context).stop()
    path = store(context) / "instances" / BUILDER
    node = (read_json(path).get("Nodes") or [{}])[0]
    if engine is not None and read_json(path).get("Driver") == "docker-container":
        there = engine.container(CONTAINER)
        if there and not _is_ours(there, context):
            return "not started by Slipway, left as it is"
        stopped = engine.remove(CONTAINER) or stopped
    elif node.get("Endpoint") != f"unix://{socket_path(context)}":
        return "not started by Slipway, left as it is"
    for folder in ("instances", "activity"):
        (store(context) / folder / BUILDER).unlink(missing_ok=True)
    return "stopped, its build cache kept" if stopped else "not running"


def describe(context: Context) -> str:
    """Return the builder's state in one line."""
    known = read_json(store(context) / "instances" / BUILDER)
    if not known:
        return "none"
    if known.get("Driver") == "remote":
        return f"BuildKit on this host {'answers' if answers(socket_path(context)) else 'does not answer'}"
    return "BuildKit in the Docker engine"
