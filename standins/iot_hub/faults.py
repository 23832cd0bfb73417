"""Failures on request: `faults.json` beside the state says what is to go wrong."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_lock = threading.Lock()


def throttled(folder: Path) -> bool:
    """Tell whether a request is one too many: `{"throttle": N}` refuses the next N with 429."""
    file = folder / "faults.json"
    with _lock:
        try:
            left = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        if left.get("throttle", 0) <= 0:
            return False
        beside = file.with_suffix(".new")
        beside.write_text(json.dumps({**left, "throttle": left["throttle"] - 1}), encoding="utf-8")
        beside.replace(file)
        return True
