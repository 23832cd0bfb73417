"""What only the tests need: browser, storage, broker, linter, parser, Kubernetes and what checks its objects."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain import azurite, browser, gobuild, mosquitto, npm, object_checks, supply_chain
from toolchain.context import Taken
from toolchain.kubernetes import cluster
from toolchain.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable

    from toolchain.context import Context
    from toolchain.report import Step
    from toolchain.supply_chain import Tool

LINTER = "actionlint"
# Tests of these folders need some of it only; those of the others, all.
UNIT, PROGRAM = "unit", "program"
LEVELS = (UNIT, PROGRAM, "engine", "system")


def provide(context: Context, level: str | None = None) -> None:
    """Find or provide it, one line for each.

    Args:
        context: This run.
        level: The folder of the tests that are to be run; None for all of them.

    Raises:
        ToolchainError: If something cannot be had.
    """
    report = context.report
    context.cache.prepare()
    with context.cache.lock():
        for name, ensure, needed_by in (
            (browser.NAME, browser.ensure, UNIT),
            ("Azurite", _azurite, None),
            ("Power Query", _power_query, UNIT),
            ("Linter", _linter, UNIT),
            (object_checks.NAME, object_checks.ensure, PROGRAM),
            (cluster.NAME, _cluster, None),
            (mosquitto.NAME, mosquitto.ensure, None),
            (supply_chain.SYFT.name, _supply_chain(supply_chain.SYFT), None),
            (supply_chain.COSIGN.name, _supply_chain(supply_chain.COSIGN), None),
        ):
            if level in {UNIT, PROGRAM} and level != needed_by:
                continue
            with report.step(name) as step:
                found = ensure(context, step)
            report.line(found.name, found.line)


def linter(context: Context) -> Path | None:
    """Return the program that checks workflows: the one on PATH, else the one that was built; None without either."""
    tools = gobuild.built(context, (gobuild.ACTIONLINT,))
    path = shutil.which(LINTER, path=context.environ.get("PATH"))
    return Path(path) if path is not None else tools / LINTER if tools is not None else None


def _linter(context: Context, step: Step) -> Taken:
    path = shutil.which(LINTER, path=context.environ.get("PATH"))
    if path is not None:
        return Taken("Linter", f"{path}: the system's")
    gobuild.build(context, step, (gobuild.ACTIONLINT,))
    return Taken("Linter", f"{LINTER} {gobuild.ACTIONLINT.version(context)}: built from Go modules")


def _azurite(context: Context, step: Step) -> Taken:
    return Taken("Azurite", f"{azurite.install(context, step).name}: from npm's packages")


def _power_query(context: Context, step: Step) -> Taken:
    return Taken("Power Query", f"{npm.install(context, step, 'powerquery', 'the parser').name}: from npm's packages")


def _supply_chain(tool: Tool) -> Callable[[Context, Step], Taken]:
    def ensure(context: Context, step: Step) -> Taken:
        found = supply_chain.ensure(context, step, Network(context), tool)
        return Taken(tool.name, f"{found.version}: {found.taken}")

    return ensure


def _cluster(context: Context, step: Step) -> Taken:
    if not cluster.possible(context):
        return Taken(cluster.NAME, "none: it takes root on Linux; the tests that need it are skipped")
    # Never one of the user's, which KUBECONFIG may name: tests make and break what they like.
    return cluster.ensure_ours(context, step)
