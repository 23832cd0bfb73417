"""What a promotion would move, and what speaks against it."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.placements.host_names import missing_name
from cli.placements.keys import Keys
from cli.placements.overview import overview
from cli.placements.port_forward import reached
from cli.placements.states import ASLEEP, BUSY, IDLE, READY, RUNNING, UNKNOWN
from cli.placements.workloads import noting_sleep
from cli.releases.log import answer_of, answering, deployed_images

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cli.placements.placement import Placement
    from cli.stack.pulumi import Pulumi
    from releases import Release

# Not how good they are: one that is asleep is no fault and cannot be asked, and what tells no state is let through.
_PROMOTABLE = (READY, BUSY, IDLE, RUNNING, UNKNOWN)
# The same image may round differently on another processor.
_RELATIVE, _ABSOLUTE = 1e-5, 1e-9
_AT_ONCE = 8


@dataclass(frozen=True)
class Move:
    """What a promotion does with one model.

    Attributes:
        model: Its name.
        was: Version and digest that run now; None for a new one.
        becomes: Version and digest afterwards; None for one that goes.
    """

    model: str
    was: tuple[str, str] | None
    becomes: tuple[str, str] | None

    @property
    def what(self) -> str:
        """The move in a word."""
        if self.was == self.becomes:
            return "unchanged"
        if self.was is None:
            return "new"
        return "removed" if self.becomes is None else "changed"


def moves(release: Release, target_outputs: Mapping[str, Any] | None, wanted: set[str]) -> list[Move]:
    """Return what a release would change, by model.

    Args:
        release: What would be promoted.
        target_outputs: What the target stack exports now; None when there is no such stack yet.
        wanted: The models that the manifest has targets for in the target stack; others are not deployed there.
    """
    now = {
        name: (version, image.partition("@")[2])
        for name, (version, image) in deployed_images(target_outputs or {}).items()
    }
    then = {one.name: (one.version, one.digest) for one in release.models if one.name in wanted}
    return [Move(name, now.get(name), then.get(name)) for name in sorted({*now, *then})]


def objections(source: Pulumi, release: Release) -> tuple[list[str], str | None]:
    """Return what speaks against promoting a release, of how its stack is now.

    Args:
        source: The stack that was released.
        release: The release.

    Returns:
        The reasons, and what could not be checked.

    Raises:
        CliError: The stack cannot be read.
    """
    outputs = source.outputs() or {}
    now = {name: image.partition("@")[2] for name, (_, image) in deployed_images(outputs).items()}
    if now != {one.name: one.digest for one in release.models}:
        note = (
            f"{source.stack} runs other images by now than release {release.id}; its health and answers then are on "
            "record, now they cannot be checked."
        )
        return [], note
    keys = Keys(source)
    # Each names its model once: what is not healthy need not be asked.
    found = {
        one.model: f"{one.model} is {one.state} on {one.target} in {source.stack}"
        + (f": {one.error}" if one.error else "")
        for one in overview(source, keys).placements
        if one.state not in _PROMOTABLE
    }
    at = {name: one for name, one in answering(outputs).items() if name not in found}
    return [*found.values(), *differing_answers(at, release, keys, source.stack)], None


@contextmanager
def to_be_asked(pulumi: Pulumi) -> Iterator[dict[str, Placement]]:
    """Lead to the models of a stack whose answers can be had: those that `slipway up` asks, too.

    Args:
        pulumi: The stack.

    Yields:
        By model where it answers; without those that are asleep, and those whose name nobody knows yet.

    Raises:
        CliError: The stack's outputs cannot be read, or its cluster does not answer.
    """
    recorded = [*answering(pulumi.outputs() or {}).values()]
    with reached(pulumi, noting_sleep(pulumi, recorded)) as placements:
        yield {one.model: one for one in placements if one.state != ASLEEP and not missing_name(one)}


def differing_answers(at: Mapping[str, Placement], release: Release, keys: Keys, stack: str) -> list[str]:
    """Return which models of a stack answer their recorded sample otherwise than recorded, as sentences.

    Args:
        at: Where each model answers; others are not asked.
        release: What was recorded.
        keys: The models' keys.
        stack: The stack's name.

    Raises:
        CliError: The keys cannot be read.
    """
    asked = [one for one in release.models if one.sample and one.answer and one.name in at]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(lambda one: answer_of(at[one.name], (one.sample or "").encode(), keys), asked))
    return [
        f"{one.name} {'does not answer' if answer is None else 'answers otherwise than'} "
        f"{'its sample' if answer is None else f'when {release.stack} released it'} (in {stack})"
        for one, answer in zip(asked, answers, strict=True)
        if answer is None or not same_answer(one.answer or "", answer)
    ]


def same_answer(recorded: str, now: str) -> bool:
    """Tell whether two answers are the same, numbers up to what processors differ by."""
    try:
        return recorded == now or _same(json.loads(recorded), json.loads(now))
    except (ValueError, OverflowError, RecursionError):
        # No JSON, or numbers and depths that nothing can be said of.
        return False


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return bool(one == other)


def is_older(release: Release, running: Release | None) -> bool:
    """Tell whether a release is older than the one that was promoted to what runs.

    Args:
        release: What would be promoted.
        running: The target stack's latest release, if it has any.
    """
    stack, _, id_ = ((running.promoted_from if running else None) or "").partition("/")
    return stack == release.stack and release.id < id_
