"""One run at a time on a stack: a lock of our own, the engine's locks, and those that a killed engine left.

The engine takes its lock only when it begins to change something. Ours covers the whole run, so that of two runs
neither mends what the other is just making; the system releases it when its process ends, however that happens.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from cli.errors import CliError
from cli.stack.project import short_name
from manifest.atomic import naming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cli.stack.project import Project

_PROC = Path("/proc")
# An engine whose output nobody reads any more ends when it next prints.
_ENDING_SECONDS = 60


@dataclass(frozen=True)
class Lock:
    """A lock file: who works on the stack.

    Attributes:
        file: The lock's file.
        pid: The engine's process.
        user: Whose process it is.
        host: The machine that it runs on.
        since: When it was taken, as the engine wrote it.
    """

    file: Path
    pid: int
    user: str
    host: str
    since: str

    @property
    def is_stale(self) -> bool:
        """Whether its engine is gone; of another machine's that cannot be told."""
        return self.host == socket.gethostname() and not _is_engine(self.pid)


@contextmanager
def only_run(project: Project, stack: str, say: Callable[[str], None]) -> Iterator[Callable[[int], None]]:
    """Hold a stack of this checkout for as long as the context lasts.

    The engine of a run that was killed may outlive it, and is waited for.

    Args:
        project: The project.
        stack: The stack's name.
        say: Told that an engine is waited for.

    Yields:
        What notes the process number of this run's engine.

    Raises:
        CliError: Another run holds it, or the engine of one that was killed goes on for long.
        OSError: The lock's file cannot be written.
    """
    folder = project.private / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / short_name(stack)).open("a+", encoding="utf-8") as file:
        held = True
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = False
        file.seek(0)
        pid, _, engine = file.read().strip().partition(" ")
        if held:
            message = f'Another run works on the stack "{stack}": process {pid}.'
            raise CliError(message, hint=f"Wait until it has ended, or end it: kill {pid}")
        if engine.isdigit():
            _await_end(int(engine), pid, stack, say)

        def write(text: str) -> None:
            file.truncate(0)
            # Not by a buffer, which would fail once more when it is closed.
            os.write(file.fileno(), text.encode())

        def note(engine: int) -> None:
            # A full disk must not part this run from the engine that it has started.
            with suppress(OSError):
                write(f"{os.getpid()} {engine}")

        with naming(file.name):
            write(str(os.getpid()))
        try:
            yield note
        finally:
            # The number may go to another engine.
            file.truncate(0)


def _await_end(engine: int, killed: str, stack: str, say: Callable[[str], None]) -> None:
    deadline = time.monotonic() + _ENDING_SECONDS
    if _is_engine(engine):
        say(f"An earlier run was killed (process {killed}), and its engine (process {engine}) goes on: waiting for it.")
    while _is_engine(engine):
        if time.monotonic() > deadline:
            raise CliError(
                f'An earlier run on the stack "{stack}" was killed, and its engine goes on: process {engine}.',
                hint=f"Wait until it has ended, or end it: kill {engine}",
            )
        time.sleep(0.1)


def state_folder(backend: str | None) -> Path | None:
    """Return the folder of a state backend, if it is one on this machine.

    Args:
        backend: The backend's address.
    """
    parts = urlsplit(backend or "")
    if parts.scheme != "file":
        return None
    path = Path(unquote(parts.netloc + parts.path)).expanduser()
    return path / ".pulumi" if path.is_absolute() else None


def release_stale_locks(backend: str | None, project: str, stack: str, say: Callable[[str], None]) -> bool:
    """Remove the locks of engines that were killed.

    Args:
        backend: Where the state is kept.
        project: The project's name.
        stack: The stack's name.
        say: Told what was removed.

    Returns:
        Whether there were any.

    Raises:
        CliError: An engine is at work on the stack.
    """
    found = _locks(state_folder(backend), project, stack)
    if held := [lock for lock in found if not lock.is_stale]:
        raise _busy(held[0], stack)
    for lock in found:
        lock.file.unlink(missing_ok=True)
        lock.file.with_name(f"{lock.file.name}.attrs").unlink(missing_ok=True)
        say(f"An earlier run was killed (process {lock.pid}, {_time(lock)}): its lock is removed.")
    return bool(found)


def _locks(folder: Path | None, project: str, stack: str) -> list[Lock]:
    if folder is None:
        return []
    locks = []
    for file in sorted((folder / "locks" / "organization" / project / short_name(stack)).glob("*.json")):
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            lock = Lock(file, int(content["pid"]), content["username"], content["hostname"], content["timestamp"])
        except FileNotFoundError:
            # Released just now.
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CliError(
                f"The lock {file} cannot be read: {error}.", hint="If nothing works on the stack, remove that file."
            ) from None
        locks.append(lock)
    return locks


def _busy(lock: Lock, stack: str) -> CliError:
    if lock.host == socket.gethostname():
        message = f'Another run works on the stack "{stack}": process {lock.pid} of {lock.user}, {_time(lock)}.'
        return CliError(message, hint=f"Wait until it has ended, or end it: kill {lock.pid}")
    message = f'The stack "{stack}" is locked by {lock.user} on {lock.host} (process {lock.pid}, {_time(lock)}).'
    return CliError(message, hint=f"If nothing runs there any more: pulumi cancel --stack {stack}")


def _time(lock: Lock) -> str:
    return f"since {lock.since[:19].replace('T', ' ')}"


def _is_engine(pid: int) -> bool:
    """Tell whether a process is a living engine: its number may have gone to another program since."""
    if _PROC.joinpath("self", "stat").exists():
        try:
            line = _PROC.joinpath(str(pid), "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        # `pid (name) state ...`; the name may hold anything.
        name, _, rest = line.partition("(")[2].rpartition(")")
        state = rest.split()[0]
    else:
        listed = subprocess.run(
            ["ps", "-o", "state=,comm=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        state, _, name = listed.stdout.strip().partition(" ")
        name = os.path.basename(name)  # noqa: PTH119 - a name as ps prints it, not a path of ours
    return state[:1] not in {"", "Z", "X"} and "pulumi" in name
