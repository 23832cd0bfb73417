"""At a promotion: refuses images that the key of the stack that would get them has not signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.supply_chain.settings import settings_of
from cli.supply_chain.signing import UnsignedError, verify
from cli.supply_chain.tools import Tools

if TYPE_CHECKING:
    from collections.abc import Collection

    from cli.stack.pulumi import Pulumi
    from releases import Release


def unsigned(taking: Pulumi, release: Release, models: Collection[str]) -> list[str]:
    """Return which images of a release have no good signature where they are now, as sentences.

    Args:
        taking: The stack that would get them; where it demands no signature, none is looked for.
        release: What would be promoted.
        models: The models that the stack would get.

    Raises:
        CliError: Signatures cannot be checked.
    """
    settings = settings_of(taking.config)
    if settings is None or settings.verify is None:
        return []
    tools = Tools(taking.env, taking.project.root)
    found = []
    for model in release.models:
        if model.name in models:
            try:
                verify(tools, settings.verify, model.image, taking.project.root)
            except UnsignedError as error:
                found.append(f"{model.name}: {error}")
    return found
