"""The `slipway` command's entry: finds the command, and turns every error into a message and an exit code.

The exit codes are those of `cli.errors.Exit`. Nobody is shown a traceback, unless SLIPWAY_DEBUG=1 asks for it.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

import typer

import cli.commands
from cli.errors import CliError, Exit
from cli.output import outlast_readers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_COMPLETE = "_SLIPWAY_COMPLETE"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_MAKE_ROOM = "Make room, and run it again."
_NOT_ALLOWED = (errno.EROFS, errno.EACCES, errno.EPERM)
# The help's order; a command that is not named here comes after these.
_ORDER = (
    "up",
    "preview",
    "status",
    "logs",
    "score",
    "keys",
    "reload",
    "debug",
    "diagnose",
    "graph",
    "models",
    "batch",
    "power-query",
    "releases",
    "promote",
    "sbom",
    "down",
    "schema",
)
# Every file in cli/commands/ is a command: its function `command`, or its `group` of them. A hyphen of the name is an
# underscore of the file's.
COMMANDS = tuple(
    sorted(
        (module.name.replace("_", "-") for module in iter_modules(cli.commands.__path__)),
        key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name),
    )
)
_HELP = """Machine-learning models, built once and placed where models.yaml says.

Works from any folder of the project.
"""
_EPILOG = f"Exit codes: {'; '.join(f'{one.value} {one.meaning}' for one in Exit)}. SLIPWAY_DEBUG=1 shows tracebacks."


def main() -> None:
    """Run the command line, and exit."""
    # A stream that the caller has closed is None: what is read is empty.
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123 - open as long as the process
    outlast_readers()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a command line.

    Args:
        arguments: What stands after `slipway`.

    Returns:
        The exit code.
    """
    try:
        try:
            _application(arguments)(args=list(arguments), prog_name="slipway")
        finally:
            # A disk that is full shows no later than here.
            sys.stdout.flush()
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except KeyboardInterrupt:
        _tell("Interrupted.", None)
        return Exit.INTERRUPTED
    except CliError as error:
        _debug()
        # As the engine says it.
        is_full = os.strerror(errno.ENOSPC).lower() in str(error).lower()
        _tell(str(error), error.hint or (_MAKE_ROOM if is_full else None))
        return error.code
    except Exception as error:  # noqa: BLE001 - a traceback is nothing to show to a user
        _debug()
        if isinstance(error, OSError) and error.errno in _FULL:
            what = f"{error.filename} cannot be written" if error.filename else "The output cannot be written"
            _tell(f"{what}: {error.strerror}.", _MAKE_ROOM)
        elif isinstance(error, OSError) and error.errno in _NOT_ALLOWED and error.filename:
            hint = "See how it is mounted and whose it is: this user has to write there."
            _tell(f"{error.filename} cannot be used: {error.strerror}.", hint)
        else:
            _tell(f"Slipway itself failed: {type(error).__name__}: {error}", "SLIPWAY_DEBUG=1 shows where.")
        return Exit.FAILED
    return Exit.OK


def _application(arguments: Sequence[str]) -> typer.Typer:
    # Importing every command takes half a second: only the one that is meant, unless the help needs all.
    named = _completed(os.environ) if _COMPLETE in os.environ else next(iter(arguments), None)
    application = typer.Typer(
        help=_HELP,
        epilog=_EPILOG,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    # With a callback, one command alone is still a command with a name.
    application.callback()(_nothing)
    for name in (named,) if named in COMMANDS else COMMANDS:
        module = import_module(f"cli.commands.{name.replace('-', '_')}")
        if hasattr(module, "group"):
            application.add_typer(module.group, name=name, epilog=_EPILOG)
        else:
            application.command(name, epilog=_EPILOG)(module.command)
    return application


def _completed(environ: Mapping[str, str]) -> str | None:
    """The command whose options or arguments a shell wants completed; None while the command itself is typed."""
    words = (environ.get("COMP_WORDS") or environ.get("_TYPER_COMPLETE_ARGS") or "").split()
    return words[1] if len(words) > 1 and environ.get("COMP_CWORD") != "1" else None


def _nothing() -> None:
    """Do nothing: options before the command there are none."""


def _tell(message: str, hint: str | None) -> None:
    lines = [message, *([hint] if hint else [])]
    sys.stderr.write("\n".join(lines) + "\n")


def _debug() -> None:
    if os.environ.get("SLIPWAY_DEBUG") == "1":
        traceback.print_exc()


if __name__ == "__main__":
    main()
