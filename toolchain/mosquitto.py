"""mosquitto, the broker of the edge runtime's stand-in: the system's, or from its packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolchain import apt
from toolchain.context import Taken
from toolchain.report import ToolchainError

if TYPE_CHECKING:
    from toolchain.context import Context
    from toolchain.report import Step

NAME = "mosquitto"


def ensure(context: Context, step: Step) -> Taken:
    """Find mosquitto, or install it.

    Args:
        context: This run.
        step: Where the progress is shown.

    Raises:
        ToolchainError: It is not there and cannot be installed.
    """
    how = "the system's"
    if context.which(NAME) is None:
        if context.system == "darwin":
            raise ToolchainError("IoT Edge's stand-in needs mosquitto.", to_do="run `brew install mosquitto`.")
        apt.install(context, step, (NAME,), "IoT Edge's stand-in")
        how = "from the system's packages"
    return Taken(NAME, f"{context.which(NAME)}: {how}")
