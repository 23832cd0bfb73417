"""What a stack's configuration says about the supply chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from cli.errors import CliError, Exit
from manifest.supply_chain import SupplyChainSettings
from storage.records import first_fault

if TYPE_CHECKING:
    from cli.stack.config import StackConfig

_KEY = "slipway:supplyChain"


def settings_of(config: StackConfig) -> SupplyChainSettings | None:
    """Return the settings; None where the stack has none, and nothing is to be done.

    The program checks them with all others; here they may come from a file that only Pulumi can read as a whole.

    Raises:
        CliError: They are wrong.
    """
    given = config.values.get(_KEY)
    if given is None:
        return None
    try:
        return SupplyChainSettings.model_validate(given)
    except ValidationError as error:
        raise CliError(f"{config.file.name}: {_KEY}: {first_fault(error)}", code=Exit.USAGE) from None
