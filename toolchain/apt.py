"""Packages of Debian and Ubuntu, where we are root and may install them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolchain.process import run
from toolchain.report import ToolchainError

if TYPE_CHECKING:
    from toolchain.context import Context
    from toolchain.report import Step


def available(context: Context) -> bool:
    """Tell whether packages can be installed here."""
    return context.root_user and context.which("apt-get") is not None


def install(context: Context, step: Step, packages: tuple[str, ...], why: str) -> None:
    """Install packages.

    Args:
        context: This run.
        step: Where the progress is shown.
        packages: Their names.
        why: What needs them, for the message where they cannot be installed.

    Raises:
        ToolchainError: If we may not install them, or the installation fails.
    """
    names = " ".join(packages)
    if not available(context):
        raise ToolchainError(
            f"{why} needs {names}, which only root can install.",
            to_do=f"run `sudo apt-get install {names}`, or the like on your system, and start again.",
        )
    log = context.log("apt")
    # needrestart would restart services of the machine that are none of our business.
    env = {**context.system_environ, "DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}
    to_do = f"see the log; `apt-get update && apt-get install {names}` must work on this machine."
    wait = ("-o", "DPkg::Lock::Timeout=120", "-o", "APT::Acquire::Retries=2")
    step.doing("asking the package servers what there is")
    run(["apt-get", *wait, "update"], log=log, what="apt-get update", to_do=to_do, env=env, timeout=300)
    step.doing(f"installing {names} from the system's packages")
    run(
        ["apt-get", *wait, "install", "--yes", "--no-install-recommends", *packages],
        log=log,
        what=f"Installing {names}",
        to_do=to_do,
        env=env,
        timeout=900,
    )
