"""Runs other programs: their output goes to a log, and an interrupted set-up leaves none of them behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING, TextIO

from toolchain.report import ToolchainError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TAIL_LINES = 12
GRACE_SECONDS = 10
CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")
DISK_FULL = "No space left on device"


def redacted(text: str) -> str:
    """Return a text with the credentials in its addresses hidden."""
    return CREDENTIALS.sub("***", text)


def open_log(path: Path, *, again: bool = False) -> TextIO:
    """Open a log for writing: for its owner only, since programs print addresses with credentials.

    Args:
        path: The log; its folder is made where it is missing.
        again: Continue it instead of emptying it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if again else os.O_TRUNC)
    descriptor = os.open(path, flags, 0o600)
    os.fchmod(descriptor, 0o600)  # An earlier version may have made it for everyone.
    return os.fdopen(descriptor, "a" if again else "w", encoding="utf-8")


def tail(log: Path, lines: int = TAIL_LINES) -> list[str]:
    """Return the last lines of a log that say something."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [redacted(line.rstrip()) for line in text.splitlines() if line.strip()][-lines:]


def run(
    command: Sequence[str],
    *,
    log: Path,
    what: str,
    to_do: str,
    env: Mapping[str, str],
    cwd: Path | None = None,
    timeout: float | None = None,
) -> None:
    """Run a program to its end.

    Args:
        command: The program and its arguments.
        log: Receives its output; continued, not replaced, so that one log tells a whole step.
        what: What is being done, for the error: "building pulumi".
        to_do: What the user can do when it fails.
        env: The program's whole environment.
        cwd: Where it runs.
        timeout: Seconds after which it is given up.

    Raises:
        ToolchainError: If it cannot be started, fails or takes too long.
    """
    with open_log(log, again=True) as stream:
        stream.write(f"$ {redacted(' '.join(command))}\n")
        stream.flush()
        try:
            # A session of its own: ctrl-C reaches us alone, and we end the whole tree in order.
            child = subprocess.Popen(
                list(command),
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise ToolchainError(
                f"{what} failed: {command[0]} cannot be run ({error.strerror or error}).", to_do=to_do
            ) from error
        try:
            status = child.wait(timeout)
        except subprocess.TimeoutExpired:
            _end(child)
            raise ToolchainError(
                f"{what} took longer than {timeout:.0f} seconds and was given up.",
                to_do=to_do,
                log=log,
                tail=tail(log),
            ) from None
        except BaseException:
            _end(child)
            raise
    if status:
        last = tail(log)
        if any(DISK_FULL in line for line in last):
            raise ToolchainError(f"{what} failed: the disk is full.", to_do="free some space.", log=log, tail=last)
        raise ToolchainError(f"{what} failed (exit status {status}).", to_do=to_do, log=log, tail=last)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a program and all it started, politely first."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def capture(command: Sequence[str], *, env: Mapping[str, str], timeout: float = 20) -> str | None:
    """Return what a short program prints, or None when it fails, is missing or takes too long."""
    try:
        done = subprocess.run(
            list(command),
            env=dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
