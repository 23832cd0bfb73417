"""The passphrase's file, without which nothing can be done with a stack that was encrypted by it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.errors import CliError, Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def check_passphrase(stack: str, env: Mapping[str, str], state: Callable[[], dict[str, Any] | None]) -> None:
    """Check that the passphrase that a stack was encrypted by is there.

    Args:
        stack: The stack's name.
        env: The environment that Pulumi runs in.
        state: Returns the stack's state, not decrypted; None where there is no such stack. It takes its time, and is
            asked only where the file is gone.

    Raises:
        CliError: It is gone, or the state cannot be read.
    """
    file = env.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    if not file or "PULUMI_CONFIG_PASSPHRASE" in env or Path(file).exists():
        return
    deployment = (state() or {}).get("deployment") or {}
    if (deployment.get("secrets_providers") or {}).get("type") != "passphrase":
        return
    raise CliError(
        f"{file} is gone, and the stack {stack} is encrypted by the passphrase in it: without it the engine can "
        "neither update nor remove what the stack has.",
        hint="Put a copy of that file back, from a backup or from whom you share this state with. If there is none, "
        f"begin anew: `pulumi stack rm {stack} --force --preserve-config` forgets the stack, `make setup` makes "
        f"another passphrase, `slipway down --stack {stack}` then removes its containers and images on this machine, "
        "and `slipway up` deploys it again. What it has elsewhere is to be removed there, and secrets of its "
        "configuration are to be set again.",
        code=Exit.SETUP,
    )
