"""Where a version that is registered now came from: the commit, who, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from registry.record import Lineage
from storage.checkout import commit_of, who

if TYPE_CHECKING:
    from pathlib import Path


def lineage_here(root: Path, source: str) -> Lineage:
    """Return the lineage of what is registered from a checkout now.

    Args:
        root: The project's folder.
        source: The path or the URL of the model's bytes.
    """
    commit, dirty = commit_of(root)
    return Lineage(who=who(), when=datetime.now(UTC), source=source, commit=commit, dirty=dirty)
