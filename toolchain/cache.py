"""The cache outside the tree: where it is, its lock, atomic writes, and what is remembered between runs."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolchain.report import ToolchainError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LOCK_POLL_SECONDS = 0.2


def cache_home(environ: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Return the cache's folder: SLIPWAY_CACHE, else the platform's place for caches."""
    chosen = environ.get("SLIPWAY_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    if environ.get("XDG_CACHE_HOME"):
        return Path(environ["XDG_CACHE_HOME"]).absolute() / "slipway"
    if platform == "darwin":
        return Path.home() / "Library" / "Caches" / "slipway"
    return Path.home() / ".cache" / "slipway"


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file as a whole or not at all, also when two processes do it at once.

    Args:
        path: The file; its folder is made where it is missing.
        text: Its content.
        mode: Its permissions, whatever the umask.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object; an absent or damaged file is an empty one, since all of them can be made again."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_json(path: Path, value: Mapping[str, Any], mode: int = 0o644) -> None:
    """Write a JSON object atomically."""
    write_atomically(path, json.dumps(value, indent=2, sort_keys=True) + "\n", mode)


class Cache:
    """The folders of the cache."""

    def __init__(self, home: Path) -> None:
        """Use the cache at `home`; nothing is made yet."""
        self.home = home
        self.tools = home / "tools"
        self.run = home / "run"
        self.logs = home / "logs"
        self.downloads = home / "downloads"

    @property
    def mark(self) -> str:
        """What containers of this cache are marked with, so that nobody else's are taken or removed."""
        return hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]

    def prepare(self) -> None:
        """Make the cache's folders.

        Raises:
            ToolchainError: If the cache cannot be written.
        """
        try:
            for folder in (self.tools, self.run, self.logs, self.downloads):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ToolchainError(
                f"The cache {self.home} cannot be written: {error.strerror or error}.",
                to_do="name another folder with SLIPWAY_CACHE, or mend its permissions.",
            ) from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other set-up on this cache waiting while the block runs.

        Whoever has to wait is told for whom, on the error output: the rest of what a set-up says may not be wanted.
        """
        path = self.home / "lock"
        with path.open("a+", encoding="utf-8") as stream:
            told = False
            while True:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    if not told:
                        stream.seek(0)
                        holder = stream.read().strip()
                        print(
                            f"Waiting for another set-up ({holder or 'starting'}), which uses {self.home}.",
                            file=sys.stderr,
                            flush=True,
                        )
                        told = True
                    time.sleep(LOCK_POLL_SECONDS)
            stream.truncate(0)
            stream.write(f"process {os.getpid()}")
            stream.flush()
            yield
