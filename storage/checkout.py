"""Who works in a checkout, and on which commit: what records say of where something came from."""

from __future__ import annotations

import getpass
import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Set by GitHub Actions, Azure Pipelines and GitLab; there, the account that runs says nothing.
_ACTORS = ("GITHUB_ACTOR", "BUILD_REQUESTEDFOR", "GITLAB_USER_LOGIN")
_GIT_SECONDS = 30
_LONGEST = 256


def commit_of(root: Path) -> tuple[str | None, bool]:
    """Return a checkout's commit, and whether it has changes beside; (None, False) where it is no git checkout.

    New files count as changes: a model's folder goes into its image whole.
    """
    commit = _git(root, "rev-parse", "HEAD")
    if not commit:
        return None, False
    return commit, bool(_git(root, "status", "--porcelain", "--", "."))


def who() -> str:
    """Return who works here: whom the pipeline works for, else the account, as one line."""
    found = next((os.environ[name] for name in _ACTORS if os.environ.get(name)), None)
    try:
        found = found or getpass.getuser()
    except (KeyError, OSError):
        # A user without a name, as in some containers.
        found = str(os.getuid())
    return "".join(character for character in found if character.isprintable())[:_LONGEST]


def _git(root: Path, *arguments: str) -> str:
    """What git answers; nothing where there is no git, no repository or no commit."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=False, timeout=_GIT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
