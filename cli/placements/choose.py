"""Which of the deployed models a command is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.errors import CliError, Exit
from manifest.problems import unknown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cli.placements.placement import Placement


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


def of_model(placements: Iterable[Placement], name: str) -> list[Placement]:
    """Return the placements of one model.

    Raises:
        CliError: There is no such model, or none at all; the message names those that there are.
    """
    found = {one.model: one for one in placements}
    if not found:
        raise CliError("The stack has nothing deployed.", hint="`slipway up` deploys models.yaml.")
    if name not in found:
        raise no_such("model", name, found)
    return [one for one in placements if one.model == name]


def no_such(what: str, given: str, known: Iterable[str]) -> CliError:
    """Return the error that a name is not known, with the nearest of those that are.

    Args:
        what: What it should name, as `model`.
        given: The name.
        known: Those that there are.
    """
    message = unknown(what, given, known)
    return CliError(message[:1].upper() + message[1:], code=Exit.USAGE)
