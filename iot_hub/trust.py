"""What a client trusts: the public authorities, and for a hub on this machine, a stand-in, the stand-in's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_HERE = ("localhost", "127.0.0.1")


def authority(host: str, environ: Mapping[str, str] | None = None, start: Path | None = None) -> Path | None:
    """Return the file with the authority of a hub; None where the usual ones are meant.

    Args:
        host: The hub's name, perhaps with a port.
        environ: SLIPWAY_AZURE_STORE says where the stand-in keeps things.
        start: Else that is in the project of this folder.
    """
    environ = os.environ if environ is None else environ
    if host.rpartition(":")[0] not in _HERE:
        return None
    start = Path.cwd() if start is None else start
    if own := environ.get("SLIPWAY_AZURE_STORE"):
        store = Path(own).expanduser()
    else:
        projects = (folder for folder in (start, *start.parents) if (folder / "Pulumi.yaml").is_file())
        store = next(projects, start) / ".slipway" / "azure"
    own_authority = store / "iot-hub" / "tls" / "ca.pem"
    # Else REQUESTS_CA_BUNDLE, which is for all hosts, may name it.
    return own_authority if own_authority.is_file() else None
