"""Runs a program in the foreground: its output is the user's, and an interruption reaches it exactly once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING

from cli.errors import CliError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import FrameType


def run_in_foreground(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    shorten: Callable[[str], str] | None = None,
    started: Callable[[int], None] | None = None,
) -> int:
    """Run a program to its end, with this process's input and output.

    An interruption is for the program to handle: the engine stops in order at the first one and at once at the
    second. A terminal sends Ctrl-C to every process of the foreground group, so there nothing is passed on;
    without a terminal the program gets a group of its own, and what arrives here is passed on.

    Args:
        command: The program and its arguments.
        cwd: Where it runs.
        env: Its whole environment.
        shorten: Where the output is no terminal: tells what to print for each of its lines.
        started: Told its process number, as soon as it has one.

    Returns:
        Its exit code.

    Raises:
        KeyboardInterrupt: It ended after an interruption.
        OSError: It cannot be started.
    """
    at_terminal = _owns_terminal()
    interrupted = False

    def passed_on(number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        if number == signal.SIGTERM or not at_terminal:
            program.send_signal(number)

    sys.stdout.flush()
    previous = {}
    filtered = shorten is not None and not sys.stdout.isatty()
    program = subprocess.Popen(
        command,
        cwd=cwd,
        env=dict(env),
        process_group=None if at_terminal else 0,
        stdout=subprocess.PIPE if filtered else None,
    )
    if started:
        started(program.pid)
    unwritten = None
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, passed_on)
        if program.stdout and shorten:
            unwritten = _print_lines(program.stdout, shorten)
        code = program.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if interrupted:
        raise KeyboardInterrupt
    if unwritten is not None:
        raise CliError(
            f"The output cannot be written: {unwritten.strerror}. {command[0]} went on to its end, with code {code}.",
            hint="Make room, and run it again.",
        )
    return code


def _print_lines(stream: IO[bytes], shorten: Callable[[str], str]) -> OSError | None:
    """Print a program's lines to its end, whatever becomes of the output; return why that could not be written."""
    unwritten = None
    for raw in stream:
        if text := shorten(raw.decode(errors="replace")):
            try:
                sys.stdout.write(text)
                sys.stdout.flush()
            except OSError as error:
                # A disk is full; the program is still to be let finish.
                unwritten = error
    return unwritten


def _owns_terminal() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False
