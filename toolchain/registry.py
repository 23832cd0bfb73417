"""The local image registry, on the loopback interface only: the official image, else the same program built from Go."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any, NoReturn

from toolchain import gobuild
from toolchain.cache import write_atomically
from toolchain.context import DEFAULT_REGISTRY_PORT, Taken
from toolchain.daemon import Daemon
from toolchain.network import DOCKER_HUB
from toolchain.oci import Registry
from toolchain.report import ToolchainError
from toolchain.versions import numbers

if TYPE_CHECKING:
    from pathlib import Path

    from toolchain.context import Context
    from toolchain.engine_api import Engine
    from toolchain.network import Network
    from toolchain.report import Step

NAME = "Registry"
REPOSITORY = "registry"
CONTAINER = "slipway-registry"
LABEL = "io.slipway.cache"
START_SECONDS = 30.0


def configuration(folder: Path, port: int) -> str:
    """Return the registry's settings: images may be deleted, nobody outside this machine can reach it."""
    return f"""version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: "{folder}"}}
  delete: {{enabled: true}}
  cache: {{blobdescriptor: inmemory}}
http: {{addr: "127.0.0.1:{port}"}}
"""


def _data(context: Context) -> Path:
    return context.cache.home / "registry"


def process(context: Context) -> Daemon:
    """Return the registry as a service of ours."""
    return Daemon(context.cache, "registry", context.environ)


def _ours_in_engine(engine: Engine, context: Context) -> dict[str, Any] | None:
    """Return our registry's container on the engine, if it serves this cache."""
    found = engine.container(CONTAINER)
    labels = (found or {}).get("Config", {}).get("Labels") or {}
    return found if labels.get(LABEL) == context.cache.mark else None


def image(context: Context) -> tuple[str, str]:
    """Return the official image and its tag: the major version of the registry that is built from Go modules."""
    return REPOSITORY, str(numbers(gobuild.REGISTRY.version(context))[0])


def refuse_foreign(container: str) -> NoReturn:
    """Refuse to take or remove a container that is not marked as this cache's.

    Raises:
        ToolchainError: Always.
    """
    raise ToolchainError(
        f"The Docker engine has a container {container} that does not belong to this cache.",
        to_do="run `make down` in the checkout that made it, with the SLIPWAY_CACHE it was made with; "
        f"or, where nobody needs it, `docker rm --force {container}`.",
    )


def _serves(container: dict[str, Any], port: int) -> bool:
    """Tell whether a container was made for a port: SLIPWAY_REGISTRY_PORT may have changed since."""
    bindings = container.get("HostConfig", {}).get("PortBindings") or {}
    return any(bound.get("HostPort") == str(port) for bound in bindings.get("5000/tcp") or [])


def ensure(context: Context, step: Step, engine: Engine, network: Network) -> Taken:
    """Find or start the registry.

    Raises:
        ToolchainError: If the port is taken or the registry does not come up.
    """
    registry = Registry(context.registry)
    answers = registry.answers()
    if answers is False and process(context).pid is not None:
        _await(registry)  # Ours, and only slow: the machine is busy.
        answers = True
    if answers:
        owner = "running" if process(context).pid or _ours_in_engine(engine, context) else "found running, not ours"
        return _taken(context, owner)
    if answers is not None:
        raise ToolchainError(
            f"Port {context.registry_port} on 127.0.0.1 is taken by a program that is not an image registry.",
            to_do="stop that program, or choose another port: SLIPWAY_REGISTRY_PORT=5051 make up",
        )
    stopped = _ours_in_engine(engine, context)
    if stopped is not None and _serves(stopped, context.registry_port) and not stopped["State"].get("Running"):
        engine.start(CONTAINER)
        _await(registry)
        return _taken(context, "started again (official image)")
    reason = ""
    if gobuild.built(context, (gobuild.REGISTRY,)) is None or context.official:
        problem = _official(context, step, engine, network)
        if problem is None:
            return _taken(context, "started (official image)")
        reason = f" ({problem})"
    tools = gobuild.build(context, step, (gobuild.REGISTRY,))
    _start(context, step, tools / "registry")
    return _taken(context, f"distribution {gobuild.REGISTRY.version(context)} built from Go modules, started{reason}")


def _taken(context: Context, how: str) -> Taken:
    default = context.registry_port == DEFAULT_REGISTRY_PORT
    env = () if default else (("SLIPWAY_REGISTRY", context.registry),)
    return Taken(NAME, f"{context.registry}: {how}", env=env)


def may_pull(engine: Engine, network: Network) -> bool:
    """Tell whether public images can be pulled from here, by us or by an engine with a mirror of its own."""
    return network.reaches(DOCKER_HUB) or engine.has_mirrors()


def pulled(step: Step, engine: Engine, network: Network, name: str) -> str | None:
    """Have a public image in the engine.

    Args:
        step: Shows the progress.
        engine: Where it is wanted.
        network: Remembers where public images cannot be had.
        name: Its repository and its tag.

    Returns:
        What is in the way, or None when it is there.
    """
    if engine.has_image(name):
        return None
    if not may_pull(engine, network):
        return "Public images cannot be pulled"
    repository, _, tag = name.rpartition(":")
    try:
        step.doing(f"pulling {name}")
        engine.pull(repository, tag, progress=step.progress)
    except ToolchainError as error:
        network.remember(DOCKER_HUB, reaches=False)
        return error.what
    return None


def _official(context: Context, step: Step, engine: Engine, network: Network) -> str | None:
    """Start the official image; return what is in the way, or None when it runs."""
    if engine.container(CONTAINER) and not _ours_in_engine(engine, context):
        refuse_foreign(CONTAINER)
    name = ":".join(image(context))
    if problem := pulled(step, engine, network, name):
        return problem
    process(context).stop()  # One on another port, which SLIPWAY_REGISTRY_PORT named before.
    engine.remove(CONTAINER)  # Ours, and broken or on another port: it does not answer.
    engine.run(
        CONTAINER,
        {
            "Image": name,
            "Env": ["REGISTRY_STORAGE_DELETE_ENABLED=true", "OTEL_TRACES_EXPORTER=none"],
            "ExposedPorts": {"5000/tcp": {}},
            "Labels": {LABEL: context.cache.mark},
            "HostConfig": {
                "PortBindings": {"5000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(context.registry_port)}]},
                "RestartPolicy": {"Name": "unless-stopped"},
            },
        },
    )
    _await(Registry(context.registry))
    return None


def _await(registry: Registry) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not registry.answers():
        if time.monotonic() > deadline:
            raise ToolchainError(
                f"The registry at {registry.address} does not answer.", to_do=f"see `docker logs {CONTAINER}`."
            )
        time.sleep(0.1)


def _start(context: Context, step: Step, program: Path) -> None:
    step.doing("starting the registry")
    settings = context.cache.run / "registry.yml"
    _data(context).mkdir(parents=True, exist_ok=True)
    write_atomically(settings, configuration(_data(context), context.registry_port))
    registry = Registry(context.registry)
    process(context).start(
        [str(program), "serve", str(settings)],
        ready=lambda: bool(registry.answers()),
        within=START_SECONDS,
        to_do="mend what the log says, or choose another port with SLIPWAY_REGISTRY_PORT.",
        # Without this it looks for a collector of traces on this machine.
        env={**context.environ, "OTEL_TRACES_EXPORTER": "none"},
    )


def stop(context: Context, engine: Engine | None) -> str:
    """Stop our registry and remove its images, once no container can need them any more.

    Args:
        context: This run.
        engine: An engine without containers of models; without an engine nobody knows, and the images stay.

    Returns:
        What was done, for the user.
    """
    stopped = process(context).stop()
    if engine is not None and _ours_in_engine(engine, context):
        stopped = engine.remove(CONTAINER) or stopped
    if not stopped:
        return "not started by Slipway, left as it is"
    if engine is None:
        return "stopped, its images kept: no Docker engine tells whether containers need them"
    shutil.rmtree(_data(context), ignore_errors=True)
    return "stopped, its images removed"


def describe(context: Context) -> str:
    """Return the registry's state in one line."""
    owner = ", started by Slipway" if process(context).pid else ""
    return f"{context.registry} {'answers' if Registry(context.registry).answers() else 'does not answer'}{owner}"
