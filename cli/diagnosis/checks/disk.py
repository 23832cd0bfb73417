"""Whether there is room for images and state."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from cli.diagnosis.context import UnavailableError
from cli.diagnosis.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.diagnosis.context import Context

_GIGABYTE = 1_000_000_000
_NEEDED = 1 * _GIGABYTE
_ADVISED = 5 * _GIGABYTE


def check(context: Context) -> Iterator[Finding]:
    """Look at the disks of the project and of the Docker engine."""
    places = {"the project": context.project.root}
    with contextlib.suppress(UnavailableError):
        # Of an engine elsewhere there is no such folder here.
        places["Docker"] = Path(context.docker.root_folder())
    disks = {path.stat().st_dev: (what, path) for what, path in reversed(places.items()) if path.exists()}
    for what, path in disks.values():
        free = shutil.disk_usage(path).free
        told = f"{free / _GIGABYTE:.1f} GB free on the disk of {what} ({path})"
        if free < _NEEDED:
            yield Finding("problem", f"Only {told}.", "Free some: `docker system prune` removes what nothing uses.")
        elif free < _ADVISED:
            yield Finding("warning", f"Only {told}.", "An environment's image needs about 1 GB while it is built.")
        else:
            yield Finding("ok", f"{told}.")
