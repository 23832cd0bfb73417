"""Whether the stand-in is in use, and saying so: nobody may take it for Azure."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from standins.azure_native import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

BANNER = (
    "azure-native is this repository's stand-in: nothing goes to Azure. Containers, images and blobs are on this "
    "machine, the rest is state in a file (docs/azure-standin.md)"
)
_CREDENTIALS = ("ARM_CLIENT_SECRET", "ARM_CLIENT_CERTIFICATE_PATH", "ARM_OIDC_TOKEN", "ARM_USE_MSI", "ARM_USE_OIDC")
CHOICE = "SLIPWAY_AZURE"
STANDIN = "stand-in"


def credentials_in(environ: Mapping[str, str]) -> str | None:
    """Refuse to stand in for Azure where credentials for it are set, unless that is asked for.

    Args:
        environ: The environment.

    Returns:
        Why not, or None.
    """
    if environ.get(CHOICE) == STANDIN:
        return None
    found = [name for name in _CREDENTIALS if environ.get(name)]
    if not found:
        return None
    return (
        f"{', '.join(found)} is set, as for a deployment to Azure, but the official plugin is not installed: "
        f"`pulumi plugin install resource azure-native v{VERSION}`, or set {CHOICE}={STANDIN} if the stand-in is meant"
    )


def in_use(environ: Mapping[str, str] | None = None) -> str | None:
    """Tell whether `pulumi` would take the stand-in.

    Args:
        environ: The environment that Pulumi gets; this process's own by default.

    Returns:
        One line that says so, or None when the official plugin is taken or there is none at all.
    """
    environ = os.environ if environ is None else environ
    found = shutil.which("pulumi-resource-azure-native", path=environ.get("PATH"))
    if found is None or "standins" not in Path(found).resolve().parts:
        return None
    home = Path(environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    official = home / "plugins" / f"resource-azure-native-v{VERSION}" / "pulumi-resource-azure-native"
    # The script in standins/bin hands over to it.
    if official.is_file() and environ.get(CHOICE) != STANDIN:
        return None
    return BANNER
