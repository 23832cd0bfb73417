"""Has closed hours compacted, in a process of its own: neither its memory nor its computing is the server's.

Any worker may be replaced, so each is ready to do it; one at a time does, the one that holds a lock on a file.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

_FIRST_SECONDS, _EVERY_SECONDS, _AT_MOST_SECONDS = 60.0, 3600.0, 1800.0
_LAST_BYTES = 4096  # Of what it says: the line that tells why it failed is the last.
_log = logging.getLogger(__name__)


def missing_for_compaction() -> str:
    """Return what to tell where parts cannot be compacted, empty where they can."""
    if importlib.util.find_spec("pyarrow") is not None:
        return ""
    return (
        "collected parts stay JSON Lines: compaction to Parquet needs pyarrow, which an image has when the model has "
        "`collect` in models.yaml"
    )


class Compactor:
    """Starts the compaction now and then, and reports what it says."""

    def __init__(self, to: str, model: str, first: float = _FIRST_SECONDS, every: float = _EVERY_SECONDS) -> None:
        """Compact what a model's workers write.

        Args:
            to: The folder or URL.
            model: The model's name.
            first: Seconds to the first time, which mends what a killed process left.
            every: Seconds between two times; replicas that started together drift apart.
        """
        # PYTHONPATH: the program runs where it is, also when the package is not installed.
        path = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
        self._environment.pop("SLIPWAY_COLLECT_HASH_KEY", None)
        self._command = [sys.executable, "-m", "scoring.collect", to, model]
        self._first, self._every = first, every
        self._next = time.monotonic() + first
        self._since = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        self._turn = _Turn(f"{to}\n{model}")

    @property
    def is_at_work(self) -> bool:
        """Whether the compaction runs."""
        return self._process is not None

    def look(self) -> None:
        """Start it when it is time and this process' turn, and see whether it ended."""
        now = time.monotonic()
        if self._process is not None:
            if self._process.poll() is None and now - self._since < _AT_MOST_SECONDS:
                return
            self._end()
        elif now >= self._next:
            if not self._turn.take():
                self._next = now + self._first
                return
            self._next = now + self._every * random.uniform(0.9, 1.1)  # noqa: S311 - no secret
            self._since = now
            # Not a pipe, which nobody would empty: what says much would wait for ever.
            self._said = tempfile.TemporaryFile()  # noqa: SIM115 - open for as long as the process runs
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=self._said, stderr=self._said
            )

    def stop(self) -> None:
        """End it, which is safe at any point, and leave it to another process."""
        self._end()
        self._turn.give_up()

    def _end(self) -> None:
        """End it, and tell why it failed where it did."""
        if self._process is None or self._said is None:
            return
        process, self._process = self._process, None
        is_ended = process.poll() is not None
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        with self._said as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _LAST_BYTES))
            said = stream.read().decode("utf-8", "replace").strip().splitlines()
        if is_ended and process.returncode:
            _log.warning("collected parts were not compacted: %s", said[-1] if said else process.returncode)


class _Turn:
    """A lock that one process of this machine holds until it gives it up or ends, however it ends."""

    def __init__(self, what: str) -> None:
        digest = hashlib.sha256(f"{os.getuid()}\n{what}".encode()).hexdigest()[:16]
        self._name = f"slipway-compaction-{digest}.lock"
        self._file: int | None = None

    def take(self) -> bool:
        """Take it, and tell whether this process has it; where there can be no lock, each process has it."""
        try:
            if self._file is None:
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                self._file = os.open(Path(tempfile.gettempdir(), self._name), flags, 0o600)
            # Of this process alone, also where the script forks others.
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return self._file is None
        except OSError:  # A machine without a writable folder: leases in the storage keep the work apart.
            return True
        return True

    def give_up(self) -> None:
        """Let another process have it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
