"""What a stack has deployed and how it is: the stack's outputs, joined with what runs."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cli.errors import CliError
from cli.placements.containers import Engine
from cli.placements.devices import hub_of, with_devices
from cli.placements.groups import with_views
from cli.placements.keys import Keys
from cli.placements.local import with_containers, with_jobs
from cli.placements.placement import recorded
from cli.placements.service import statuses
from cli.placements.states import UNKNOWN, UNREACHABLE
from cli.placements.workloads import with_workloads
from cli.stack.project import short_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cli.placements.placement import Placement
    from cli.stack.pulumi import Pulumi


@dataclass(frozen=True)
class Overview:
    """All that a stack has deployed.

    Attributes:
        placements: By model, then target.
        note: What could not be found out.
    """

    placements: tuple[Placement, ...]
    note: str | None = None


def overview(pulumi: Pulumi, keys: Keys | None = None) -> Overview:
    """Find out what the stack has deployed, and how that is.

    Args:
        pulumi: The stack.
        keys: Its models' keys, where the command needs them elsewhere too.

    Raises:
        CliError: The stack's outputs cannot be read.
    """
    notes: list[str] = []
    running, busy = None, set[str]()
    shown: dict[str, str] = {}
    with ThreadPoolExecutor(1) as pool:
        asked_outputs = pool.submit(pulumi.outputs)
        with _noted(notes):
            engine = Engine(pulumi.env)
            running = engine.containers(pulumi.project.name, pulumi.stack)
            busy = engine.busy_with_jobs(f"{pulumi.project.name}/{short_name(pulumi.stack)}")
        outputs = asked_outputs.result()
    placements = with_jobs(recorded(outputs), busy)
    if running is not None:
        placements = with_containers(placements, running)
    if any(one.deployment for one in placements):
        with _noted(notes, "How the devices are could not be found out: {}"):
            placements = with_devices(placements, hub_of(pulumi))
    with _noted(notes):
        placements = with_workloads(pulumi, placements)
    asked = [one for one in placements if one.endpoint and one.state == UNKNOWN]
    # Whether a service answers at all shows without a key, too.
    with _noted(notes, "{}\nServices that want a key are asked without one."):
        shown = (keys or Keys(pulumi)).by_endpoint(asked)
    told = asyncio.run(statuses([one.endpoint or "" for one in asked], shown))
    placements = [_asked(one, told) for one in placements]
    with _noted(notes):
        placements = with_views(pulumi, outputs, placements)
    return Overview(tuple(placements), "\n".join(notes) or None)


@contextmanager
def _noted(notes: list[str], told: str = "{}") -> Iterator[None]:
    """Go on without what cannot be found out, and note why."""
    try:
        yield
    except CliError as error:
        notes.append(told.format(error))


def _asked(placement: Placement, told: Mapping[str, Mapping[str, Any]]) -> Placement:
    if placement.state != UNKNOWN or not placement.endpoint:
        return placement
    status = told.get(placement.endpoint)
    if status is None:
        return replace(placement, state=UNREACHABLE)
    reload = status.get("reload") or {}
    return replace(
        placement,
        state=status["state"],
        error=status.get("error"),
        reload=bool(reload.get("enabled", placement.reload)),
        reload_error=reload.get("error"),
    )
