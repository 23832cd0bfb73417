"""The set-up, step by step."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain import base_image, builder, docker_engine, plugins, pulumi, python_env, registry, workspace
from toolchain.kubernetes import cluster
from toolchain.network import Network
from toolchain.users import Users

if TYPE_CHECKING:
    from collections.abc import Callable

    from toolchain.context import Context, Taken

PROJECT_LABEL = "io.slipway.project"  # On every container that a deployment made.
NAMES_SHOWN = 5


def set_up(context: Context) -> None:
    """Find or provide everything, one line for each step.

    Raises:
        ToolchainError: If a step cannot be done.
    """
    began = time.monotonic()
    report = context.report
    context.cache.prepare()
    with context.cache.lock():
        _forget_interrupted(context.cache.tools)
        network = Network(context)
        taken: list[Taken] = []

        def done(found: Taken) -> None:
            taken.append(found)
            report.line(found.name, found.line)

        with report.step(python_env.NAME) as step:
            found = python_env.ensure(context, step)
        done(found)
        # The stand-in for Azure needs more than a deployment does: Node for its storage.
        if context.environ.get("SLIPWAY_AZURE") == "stand-in":
            with report.step(python_env.NAME) as step:
                found = python_env.develop(context, step)
            report.line(found.name, found.line)
        with report.step(pulumi.NAME) as step:
            program, found = pulumi.ensure(context, step, network)
        done(found)
        home = Path(dict(found.env).get("PULUMI_HOME") or context.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
        with report.step(plugins.NAME) as step:
            found = plugins.ensure(context, step, program, home, network)
        done(found)
        # Before the first service: a `make down` in another checkout must not stop what is started here.
        Users(context.cache).add(context.root)
        with report.step(docker_engine.NAME) as step:
            engine, found = docker_engine.ensure(context, step)
        done(found)
        with report.step(registry.NAME) as step:
            found = registry.ensure(context, step, engine, network)
        done(found)
        with report.step(builder.NAME) as step:
            found = builder.ensure(context, step, engine, network)
        done(found)
        with report.step(base_image.NAME) as step:
            found = base_image.ensure(context, step, network)
        done(found)
        workspace.write(context, taken)
    report.line("Ready", f"in {time.monotonic() - began:.1f} s")


def start_cluster(context: Context) -> None:
    """Find or start a Kubernetes cluster.

    Raises:
        ToolchainError: If there can be none.
    """
    context.cache.prepare()
    with context.cache.lock():
        Users(context.cache).add(context.root)
        with context.report.step(cluster.NAME) as step:
            found = cluster.ensure(context, step)
        context.report.line(found.name, found.line)


def stop_cluster(context: Context) -> None:
    """Stop the cluster, whoever uses it, and remove what is in it."""
    context.cache.prepare()
    with context.cache.lock():
        with context.report.step(cluster.NAME) as step:
            step.doing("stopping")
            line = cluster.stop(context)
        context.report.line(cluster.NAME, line)


def _forget_interrupted(tools: Path) -> None:
    """Remove what an interrupted set-up left half made; Go keeps its own cache of what was compiled."""
    for partial in tools.glob(".partial-*"):
        shutil.rmtree(partial, ignore_errors=True)


def stop(context: Context) -> None:
    """Release this checkout's use of the services; the last one stops those that a set-up started."""
    report = context.report
    if not context.cache.run.is_dir():
        report.line("Services", "none were started")
        return
    with context.cache.lock():
        stacks = workspace.stacks_in_use(context)
        if stacks:
            ways = ", ".join(f"make down STACK={stack}" for stack in stacks)
            report.line("Services", f"left running: this checkout still has something deployed ({ways})")
            return
        found = docker_engine.find(context.environ)
        engine = found[0] if found else None
        # The local state does not know of stacks in a backend of the user's own.
        deployed = engine.labelled(PROJECT_LABEL) if engine else []
        if deployed:
            names = ", ".join(deployed[:NAMES_SHOWN]) + (" and others" if len(deployed) > NAMES_SHOWN else "")
            report.line("Services", f"left running: the engine still has containers of models ({names})")
            return
        users = Users(context.cache)
        users.remove(context.root)
        others = users.all()
        if others:
            report.line("Services", f"left running for {', '.join(str(other) for other in others)}")
            return
        stops: tuple[tuple[str, Callable[[], str]], ...] = (
            (cluster.NAME, lambda: cluster.stop(context)),
            (builder.NAME, lambda: builder.stop(context, engine)),
            (registry.NAME, lambda: registry.stop(context, engine)),
            (docker_engine.NAME, lambda: docker_engine.stop(context)),
        )
        for name, end in stops:
            with report.step(name) as step:
                step.doing("stopping")
                line = end()
            report.line(name, line)


def show_status(context: Context) -> None:
    """Print the state of the services and who uses them."""
    report = context.report
    report.line("Cache", str(context.cache.home))
    report.line(docker_engine.NAME, docker_engine.describe(context))
    report.line(registry.NAME, registry.describe(context))
    report.line(builder.NAME, builder.describe(context))
    report.line(cluster.NAME, cluster.describe(context))
    users = Users(context.cache).all()
    report.line("Used by", ", ".join(str(user) for user in users) or "no checkout")
