"""Services that we start: recorded by process id and start time, so that only our own are ever stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain.cache import read_json, write_json
from toolchain.process import capture, open_log, tail
from toolchain.report import ToolchainError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from toolchain.cache import Cache

POLL_SECONDS = 0.1
STOP_SECONDS = 30.0
START_TIME_FIELD = 19  # Of /proc/PID/stat behind the program's name: field 22 of all.


def start_time(pid: int, env: Mapping[str, str]) -> str | None:
    """Return when a process started, in the system's own terms; None when there is no such process.

    With it a process id that the system gave to another program is not mistaken for ours.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return None
        text = capture(["ps", "-o", "lstart=", "-p", str(pid)], env=env)
        return text.strip() or None if text else None
    except (OSError, ValueError):
        return None
    return None if fields[0] == "Z" else fields[START_TIME_FIELD]


def answers(path: Path) -> bool:
    """Tell whether a service takes connections at a socket's path."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(2)
            connection.connect(str(path))
    except OSError:
        return False
    return True


class Daemon:
    """One service in the background."""

    def __init__(self, cache: Cache, name: str, environ: Mapping[str, str]) -> None:
        """Manage the service `name` of `cache`."""
        self.name = name
        self.log = cache.logs / f"{name}.log"
        self._record = cache.run / f"{name}.json"
        self._environ = environ

    @property
    def pid(self) -> int | None:
        """The process id of our running service, or None."""
        record = read_json(self._record)
        pid = record.get("pid")
        if not isinstance(pid, int) or start_time(pid, self._environ) != record.get("started"):
            return None
        return pid

    def start(
        self,
        command: Sequence[str],
        *,
        ready: Callable[[], bool],
        within: float,
        to_do: str,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start the service and wait until it is ready; one of ours that still runs is stopped first.

        Args:
            command: The program and its arguments.
            ready: Tells whether it answers.
            within: How many seconds it may take.
            to_do: What the user can do when it does not come up.
            env: Its environment, where that is not the user's.

        Raises:
            ToolchainError: If it ends or does not answer in time.
        """
        self.stop()  # With its record replaced nobody would stop it any more.
        with open_log(self.log) as stream:
            child = subprocess.Popen(
                list(command),
                cwd="/",
                env=dict(env if env is not None else self._environ),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # Recorded before it is ready: an interrupted set-up must not leave a service that nobody stops.
        write_json(self._record, {"pid": child.pid, "started": start_time(child.pid, self._environ)})
        deadline = time.monotonic() + within
        while not ready():
            status = child.poll()
            if status is not None or time.monotonic() > deadline:
                what = f"ended with status {status}" if status is not None else f"did not answer in {within:.0f} s"
                self.stop()
                raise ToolchainError(f"{self.name} {what}.", to_do=to_do, log=self.log, tail=tail(self.log))
            time.sleep(POLL_SECONDS)

    def stop(self) -> bool:
        """Stop the service if it runs and is ours.

        Returns:
            Whether there was something to stop.
        """
        pid = self.pid
        if pid is not None:
            self._end(pid)
        self._record.unlink(missing_ok=True)
        return pid is not None

    def _end(self, pid: int) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = time.monotonic() + STOP_SECONDS
            while time.monotonic() < deadline:
                if self.pid is None:
                    return
                time.sleep(POLL_SECONDS)
