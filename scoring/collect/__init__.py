"""Collection of inputs and outputs: sampled, cleaned of private columns, and written away from the requests' path."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from scoring.collect.settings import CollectSettings

if TYPE_CHECKING:
    from scoring.collect.recorder import Sink

__all__ = ["CollectSettings", "sink", "start"]

_current: list[Sink] = []


def start(settings: CollectSettings, worker: int = 0) -> Sink | None:
    """Start to collect in this process: called once in each worker, after the fork.

    Args:
        settings: What to collect, and where it goes.
        worker: The worker's number on this machine; the first one tells what is missing.

    Returns:
        Where requests are recorded; None where nothing is collected.
    """
    if not settings.to:
        return None
    # Only now: who does not collect pays nothing for it.
    from scoring.collect.compactor import Compactor, missing_for_compaction  # noqa: PLC0415
    from scoring.collect.recorder import Sink  # noqa: PLC0415
    from scoring.collect.writer import Writer  # noqa: PLC0415

    missing = missing_for_compaction()
    if missing and worker == 0:
        logging.getLogger(__name__).warning("%s", missing)
    compactor = None if missing else Compactor(settings.to, settings.model)
    made = Sink(settings, Writer(settings, compactor))
    _current[:] = [made]
    return made


def sink() -> Sink | None:
    """Return what `start` made in this process, for the script's own collectors; None where nothing is collected."""
    return _current[0] if _current and not _current[0].is_closed else None
