"""Models on this machine, as its Docker engine has them: containers, and batch jobs that run."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from cli.errors import CliError
from cli.logs.source import LogSource
from cli.placements.containers import Engine
from cli.placements.placement import BATCH, LOCAL, LOCAL_DOCKER, Placement
from cli.placements.states import IDLE, MISSING, READY, RUNNING, STOPPED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from cli.placements.containers import Running
    from cli.stack.pulumi import Pulumi

# States of Docker in which nothing runs.
_STOPPED = ("created", "exited", "dead")


def with_containers(placements: Iterable[Placement], running: Iterable[Running]) -> list[Placement]:
    """Add what Docker knows: what a deployment that failed half-way started is in no output.

    Args:
        placements: All of a stack.
        running: Its containers, running or not.
    """
    containers = {container.name: container for container in running}
    joined = [_beside(one, containers.pop(one.container, None)) if one.container else one for one in placements]
    joined += [
        _beside(Placement(one.model, one.version, LOCAL_DOCKER, endpoint=one.endpoint, container=one.name), one)
        for one in containers.values()
    ]
    return sorted(joined, key=lambda one: (one.model, one.target))


def noting_containers(pulumi: Pulumi, placements: list[Placement]) -> list[Placement]:
    """Return placements, with their state where they are on this machine and not there: another stack may answer.

    Args:
        pulumi: The stack.
        placements: Any, as they are recorded.
    """
    if not any(one.container for one in placements):
        return placements
    try:
        found = {one.name: one for one in Engine(pulumi.env).containers(pulumi.project.name, pulumi.stack)}
    except CliError:
        # Who reaches a model need not reach its engine.
        return placements
    return [_beside(one, found.get(one.container)) if one.container else one for one in placements]


def log_sources(pulumi: Pulumi) -> list[LogSource]:
    """Return the logs of a stack's containers.

    Raises:
        CliError: The Docker engine does not answer.
    """
    engine = Engine(pulumi.env)
    containers = engine.containers(pulumi.project.name, pulumi.stack)
    return [LogSource(one.model, one.name, partial(engine.log, one.id)) for one in containers]


def with_jobs(placements: Iterable[Placement], busy: Collection[str]) -> list[Placement]:
    """Add to batch targets whether jobs run; only this machine tells that at once.

    Args:
        placements: All of a stack.
        busy: The models of which jobs run here.
    """

    def state(placement: Placement) -> str:
        if placement.target != BATCH:
            return placement.state
        if placement.engine != LOCAL:
            return READY
        return RUNNING if placement.model in busy else IDLE

    return [replace(one, state=state(one)) for one in placements]


def _beside(placement: Placement, container: Running | None) -> Placement:
    if container is None:
        return replace(placement, state=MISSING)
    if container.state == "running":
        return replace(placement, version=container.version or placement.version)
    return replace(placement, state=STOPPED if container.state in _STOPPED else container.state)
