"""Which of the deployed models a command is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.errors import CliError, Exit
from cli.stack.wanted import checked_manifest
from manifest.live import live_models
from manifest.problems import unknown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from cli.placements.placement import Placement
    from cli.stack.pulumi import Pulumi


def reachable(placements: Iterable[Placement], stack: str) -> list[Placement]:
    """Return the placements that have an address.

    Raises:
        CliError: There is none.
    """
    found = [one for one in placements if one.endpoint]
    if not found:
        raise CliError(
            f"The stack {stack} has no model that answers.",
            hint="`slipway up` deploys models.yaml.",
        )
    return found


def of_model(pulumi: Pulumi, placements: Iterable[Placement], name: str) -> list[Placement]:
    """Return the placements of one model.

    Raises:
        CliError: There is no such model, or none at all; the message says why one of the manifest is not there.
    """
    found = {one.model: one for one in placements}
    if not found:
        raise CliError("The stack has nothing deployed.", hint="`slipway up` deploys models.yaml.")
    if name not in found:
        raise absent(pulumi, name, found)
    return [one for one in placements if one.model == name]


def absent(pulumi: Pulumi, name: str, there: Collection[str]) -> CliError:
    """Return the error for a model that is none of those that a command can be about: why it is not, and what to do.

    Args:
        pulumi: The stack.
        name: The model.
        there: The models that it could be.
    """
    stack = pulumi.stack
    try:
        manifest = checked_manifest(pulumi.project)
    except CliError:
        manifest = None
    model = next((one for one in manifest.models if one.name == name), None) if manifest else None
    if manifest is None or model is None:
        return no_such("model", name, there)
    if name in ((pulumi.outputs() or {}).get("models") or {}):
        return CliError(
            f"{name} is deployed in the stack {stack}, and has nothing there that could be asked.",
            hint=f"`slipway status --stack {stack}` shows what it has: batch jobs, a part in another model's pipeline.",
            code=Exit.USAGE,
        )
    live = pulumi.config.live_targets
    if model not in live_models(manifest, live):
        kinds = ", ".join(dict.fromkeys(one.kind for one in model.targets))
        targets = f"its targets are {kinds}" if kinds else "it has no target of its own"
        return CliError(
            f"{name} is in models.yaml and not live in the stack {stack}: {targets}, and "
            f"{pulumi.config.file.name} has {', '.join(live) or 'none'} as slipway:targets.",
            hint="Another stack may have it: --stack NAME.",
            code=Exit.USAGE,
        )
    return CliError(
        f"{name} is in models.yaml and not deployed in the stack {stack}.",
        hint=f"`slipway up --stack {stack}` deploys it, or says why it cannot, as where its image is not built.",
        code=Exit.USAGE,
    )


def no_such(what: str, given: str, known: Iterable[str]) -> CliError:
    """Return the error that a name is not known, with the nearest of those that are.

    Args:
        what: What it should name, as `model`.
        given: The name.
        known: Those that there are.
    """
    message = unknown(what, given, known)
    return CliError(message[:1].upper() + message[1:], code=Exit.USAGE)
