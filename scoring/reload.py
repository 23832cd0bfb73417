"""Reload in development: watches the script's folder and has the service take over what was edited."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scoring.scorer import Scorer
    from scoring.service import Service

# Polled, because events of the host's file system do not reach a container on every platform.
_INTERVAL_SECONDS = 0.2
_WATCHED = (".py", ".json", ".yaml", ".yml", ".toml", ".txt", ".ini", ".cfg")
_SKIPPED = {"__pycache__", "node_modules", "azureml-models"}
# Compiled code that was told to break off does so when it returns to Python, or never.
_PATIENCE_SECONDS = 3.0
_MAX_DEPTH = 8
_MAX_FILES = 5000

_log = logging.getLogger("slipway")

Snapshot = frozenset[tuple[str, int, int, int]]


def snapshot(folder: Path) -> Snapshot:
    """Return what tells one state of a folder's code and small text files from the next.

    Args:
        folder: The folder; caches, hidden folders and what lies very deep are left out.
    """
    found: list[tuple[str, int, int, int]] = []
    waiting = [(str(folder), 0)]
    while waiting and len(found) < _MAX_FILES:
        path, depth = waiting.pop()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or entry.name in _SKIPPED:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting += [(entry.path, depth + 1)] if depth < _MAX_DEPTH else []
                    elif entry.name.endswith(_WATCHED):
                        stat = entry.stat()
                        found.append((entry.path, stat.st_size, stat.st_mtime_ns, stat.st_ino))
        except OSError:
            # A file or folder that is being replaced: the next look sees what has become of it.
            continue
    return frozenset(found)


async def load_and_watch(service: Service, load: Callable[[], Scorer], folder: Path) -> None:
    """Load the script, and again after each edit, for as long as the task lives.

    An edit is taken over when two looks in a row see the same, so that a half-written file is not.

    Args:
        service: What takes it over.
        load: Imports the script and calls its init().
        folder: What to watch.
    """
    loaded = seen = await asyncio.to_thread(snapshot, folder)
    _log.info("reload: watching %d files in %s", len(loaded), folder)
    loading = asyncio.create_task(service.load(load))
    waited = 0
    while True:
        await asyncio.sleep(_INTERVAL_SECONDS)
        now = await asyncio.to_thread(snapshot, folder)
        settled, seen = now == seen, now
        if now == loaded or not settled:
            continue
        if not loading.done():
            # What it loads is out of date, and may never end: an endless loop in init() is an edit too.
            if waited == 0:
                service.interrupt_load()
            waited += 1
            if waited * _INTERVAL_SECONDS < _PATIENCE_SECONDS:
                continue
            _log.warning("reload: init() is stuck in compiled code and is left to itself")
            loading.cancel()
        waited = 0
        loaded = now
        loading = asyncio.create_task(service.load(load))
