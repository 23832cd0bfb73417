"""What the manifest wants beside what is deployed: models still to come, and targets that are not live here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.placements.placement import Placement
from cli.placements.states import NOT_DEPLOYED, NOT_LIVE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from manifest import Manifest


def with_planned(placements: Sequence[Placement], manifest: Manifest, live: Collection[str]) -> list[Placement]:
    """Return what is deployed together with what the manifest wants beside.

    Args:
        placements: What is deployed.
        manifest: The models.
        live: The kinds of targets that are live in the stack.
    """
    deployed = {(one.model, one.target) for one in placements}
    planned = [
        Placement(model.name, model.version, target.kind, state=NOT_DEPLOYED if target.kind in live else NOT_LIVE)
        for model in manifest.models
        for target in model.targets
        if (model.name, target.kind) not in deployed
    ]
    return sorted([*placements, *planned], key=lambda one: (one.model, one.target))
