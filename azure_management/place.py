"""Where the management API of a resource is: Azure's own, or the stand-in's, which says what it has."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

AZURE = "https://management.azure.com"
_SERVED = Path("management") / "served.json"


@dataclass(frozen=True)
class Place:
    """A management API.

    Attributes:
        address: Where it is.
        token: What it takes; None where who is logged in to Azure asks.
    """

    address: str = AZURE
    token: str | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return "Azure's management API" if self.is_azure else "the stand-in for Azure"

    @property
    def is_azure(self) -> bool:
        """Whether it is Azure's own."""
        return self.token is None


def place_of(resource: str, environ: Mapping[str, str], start: Path) -> Place:
    """Find where a resource is.

    Args:
        resource: Its id.
        environ: SLIPWAY_AZURE_STORE says where the stand-in keeps things.
        start: Else they are in `.slipway/azure` of the project that this folder is in.
    """
    if own := environ.get("SLIPWAY_AZURE_STORE"):
        store = Path(own).expanduser()
    else:
        projects = (folder for folder in (start, *start.parents) if (folder / "Pulumi.yaml").is_file())
        store = next(projects, start) / ".slipway" / "azure"
    try:
        served = json.loads((store / _SERVED).read_text(encoding="utf-8"))
        address, token, groups = str(served["address"]), str(served["token"]), served["resourceGroups"]
    except (OSError, ValueError, KeyError, TypeError):
        return Place()
    group = resource.lower().partition("/providers/")[0]
    # The rest is Azure's, even with the stand-in at hand: a project's stacks may be here and there.
    return Place(address, token) if group in groups and _is_here(address) else Place()


def _is_here(address: str) -> bool:
    try:
        return ipaddress.ip_address(urlsplit(address).hostname or "").is_loopback
    except ValueError:
        return False
