"""Where a version that is registered now came from: the commit, who, and when."""

from __future__ import annotations

import getpass
import os
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from registry.record import Lineage

if TYPE_CHECKING:
    from pathlib import Path

# Set by GitHub Actions and by Azure Pipelines; there, the account that runs says nothing.
_ACTORS = ("GITHUB_ACTOR", "BUILD_REQUESTEDFOR")
_GIT_SECONDS = 30


def lineage_here(root: Path, source: str) -> Lineage:
    """Return the lineage of what is registered from a checkout now.

    Args:
        root: The project's folder.
        source: The path or the URL of the model's bytes.
    """
    commit = _git(root, "rev-parse", "HEAD")
    dirty = bool(commit and _git(root, "status", "--porcelain", "--untracked-files=no"))
    return Lineage(who=_who(), when=datetime.now(UTC), source=source, commit=commit or None, dirty=dirty)


def _who() -> str:
    for name in _ACTORS:
        if actor := os.environ.get(name):
            return actor
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A user without a name, as in some containers.
        return str(os.getuid())


def _git(root: Path, *arguments: str) -> str:
    """What git answers; nothing where there is no git, no repository or no commit."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False, timeout=_GIT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
