"""The states of a stack that the engine keeps in a folder on this machine: the last one, and those before it.

When a disk is full, the engine puts as much as it could write of a state in the last one's place. Before each write
it copies the last one to `.bak`: if that copy does not fit, an older one stays there, and what it writes after a
failure moves the part of a state there too. At the end of each operation it copies the last one to `backups`, whole or
not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cli.stack.locks import state_folder
from cli.stack.project import short_name

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class KeptState:
    """A whole state from before the last one.

    Attributes:
        text: Its file's content.
        deployment: What it holds: resources, pending operations.
        written: When the engine made it.
    """

    text: str
    deployment: dict[str, Any]
    written: datetime


def state_file(backend: str | None, project: str, stack: str) -> Path | None:
    """Return the file of a stack's last state, be it there or not; None where the backend is no folder.

    Args:
        backend: The backend's address.
        project: The project's name.
        stack: The stack's name.
    """
    folder = state_folder(backend)
    return folder / "stacks" / project / f"{short_name(stack)}.json" if folder else None


def deployment_in(file: Path) -> dict[str, Any] | None:
    """Return the deployment that a state's file holds; None where that is no whole state."""
    try:
        return _deployment(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def newest_whole(file: Path) -> KeptState | None:
    """Return the newest of the whole states that are kept beside the last one.

    Args:
        file: The last one's, as `state_file` returns it.
    """
    before = _kept(file.with_name(f"{file.name}.bak"))
    folder = file.parents[2] / "backups" / file.parent.name / file.stem
    # Named by their times.
    backups = map(_kept, sorted(folder.glob(f"{file.stem}.*.json"), reverse=True))
    found = [one for one in (before, next(filter(None, backups), None)) if one]
    return max(found, key=lambda one: one.written, default=None)


def _kept(file: Path) -> KeptState | None:
    try:
        text = file.read_text(encoding="utf-8")
        deployment = _deployment(text)
        if deployment is None:
            return None
        return KeptState(text, deployment, datetime.fromisoformat(deployment["manifest"]["time"]).astimezone())
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _deployment(text: str) -> dict[str, Any] | None:
    try:
        latest = json.loads(text)["checkpoint"].get("latest") or {}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return latest if isinstance(latest, dict) else None
