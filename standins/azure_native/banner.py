"""Saying that the stand-in is one, and refusing to be where Azure is meant: nobody may take it for Azure."""

from __future__ import annotations

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
