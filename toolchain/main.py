"""The commands of `python3 -m toolchain`."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain import mosquitto, policies, python_env, setup, test_tools, workspace
from toolchain.cache import cache_home
from toolchain.context import context_of
from toolchain.kubernetes import cluster
from toolchain.report import Report, ToolchainError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from toolchain.context import Context, Taken
    from toolchain.report import Step

INTERRUPTED = 130
CLUSTER = "kubernetes"
TESTS = "tests"
DESCRIPTION = "Puts Pulumi, its plugins, a Docker engine, a registry and an image builder on this machine."
VARIABLES = """environment:
  SLIPWAY_CACHE          folder of the cache, and of all else that this puts outside the checkout
  SLIPWAY_REGISTRY_PORT  port of the local registry (5050)
  SLIPWAY_OFFICIAL       1: try the official downloads again; 0: never try them
  SLIPWAY_DEBUG          1: show where in the program an error came from
"""


def main(arguments: Sequence[str]) -> int:
    """Run one command.

    Args:
        arguments: The command line without the program.

    Returns:
        The exit status.
    """
    taken = parser()
    given = taken.parse_args(arguments)
    actions = {CLUSTER: _clusters(), TESTS: _levels()}
    if given.action and given.action not in actions.get(given.command, ()):
        owners = [command for command, allowed in actions.items() if given.action in allowed]
        taken.error(f"{given.command} takes no {given.action}: that is for {owners[0]}")
    commands = {**_commands(), CLUSTER: _clusters()["start"]}
    if given.action:
        commands[given.command] = actions[given.command][given.action]
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        commands[given.command]()
    except BrokenPipeError:
        # Whoever read the lines has seen enough, as in `make setup | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; the next run takes it up where it was left.", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever it is, the user is told what to do.
        if os.environ.get("SLIPWAY_DEBUG") == "1":
            traceback.print_exc()
        print(f"\n{_told(error)}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(
        prog="python3 -m toolchain",
        description=DESCRIPTION,
        epilog=VARIABLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("command", nargs="?", default="setup", choices=sorted([*_commands(), CLUSTER]))
    made.add_argument(
        "action",
        nargs="?",
        choices=sorted([*_clusters(), *_levels()]),
        help=f"of {CLUSTER}: start by default; of {TESTS}: all levels",
    )
    return made


def _commands() -> dict[str, Callable[[], None]]:
    return {
        "setup": _set_up,
        TESTS: _provide_tests,
        "develop": _develop,
        "edge": _provide_broker,
        "policies": _provide_policies,
        "env": _env,
        "stop": _stop,
        "status": _status,
    }


def _clusters() -> dict[str, Callable[[], None]]:
    return {"start": _start_cluster, "stop": _stop_cluster, "status": _show_cluster}


def _levels() -> dict[str, Callable[[], None]]:
    return {level: partial(_provide_tests, level) for level in test_tools.LEVELS}


def _told(error: Exception) -> ToolchainError:
    """Return an error as the user reads it: what happened and what to do."""
    if isinstance(error, ToolchainError):
        return error
    if not isinstance(error, OSError):
        return ToolchainError(
            f"The set-up met an error that it does not know: {type(error).__name__}: {error}",
            to_do="run it again with SLIPWAY_DEBUG=1 and report what it prints; that is a fault of Slipway.",
        )
    place = f" ({error.filename})" if error.filename else ""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return ToolchainError(
            f"The disk is full{place}.",
            to_do=f"free some space there or in the cache {cache_home(os.environ)}, or name a cache on another disk "
            "with SLIPWAY_CACHE; then run it again.",
        )
    return ToolchainError(
        f"The system refused something: {error.strerror or error}{place}.",
        to_do="mend that and run it again; SLIPWAY_DEBUG=1 shows where in the program it happened.",
    )


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Take a polite end like ctrl-C, so that programs we run are ended too."""
    raise KeyboardInterrupt


def _report() -> Report:
    return Report(sys.stdout)


def _set_up() -> None:
    setup.set_up(context_of(_root(), os.environ, _report()))


def _provide_tests(level: str | None = None) -> None:
    test_tools.provide(context_of(_root(), os.environ, _report()), level)


def _develop() -> None:
    _provide(python_env.NAME, python_env.develop)


def _provide_broker() -> None:
    _provide(mosquitto.NAME, mosquitto.ensure)


def _provide_policies() -> None:
    _provide(policies.NAME, policies.ensure)


def _provide(name: str, ensure: Callable[[Context, Step], Taken]) -> None:
    """Do one step by itself."""
    context = context_of(_root(), os.environ, _report())
    context.cache.prepare()
    with context.cache.lock(), context.report.step(name) as step:
        found = ensure(context, step)
    context.report.line(found.name, found.line)


def _stop() -> None:
    setup.stop(context_of(_root(), os.environ, _report()))


def _status() -> None:
    setup.show_status(context_of(_root(), os.environ, _report()))


def _start_cluster() -> None:
    setup.start_cluster(context_of(_root(), os.environ, _report()))


def _stop_cluster() -> None:
    setup.stop_cluster(context_of(_root(), os.environ, _report()))


def _show_cluster() -> None:
    context = context_of(_root(), os.environ, _report())
    context.report.line(cluster.NAME, cluster.describe(context))


def _env() -> None:
    print(workspace.exports(context_of(_root(), os.environ, _report())))


def _root() -> Path:
    return Path(__file__).resolve().parent.parent
