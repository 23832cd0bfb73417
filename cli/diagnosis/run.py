"""Runs the checks of `slipway diagnose`: all at once, each with a time limit, whatever the others find."""

from __future__ import annotations

import threading
import time
from importlib import import_module
from typing import TYPE_CHECKING

from cli.diagnosis.checks import CHECKS
from cli.diagnosis.context import UnavailableError
from cli.diagnosis.finding import Finding
from cli.errors import CliError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.diagnosis.context import Context


def diagnose(context: Context, seconds: float) -> Iterator[Finding]:
    """Run all checks.

    Args:
        context: What they look at.
        seconds: How long each may take.

    Yields:
        What they found, in the checks' order.
    """
    running = [_Running(name, context) for name in CHECKS]
    deadline = time.monotonic() + seconds
    for one in running:
        yield from one.findings(deadline, seconds)


class _Running:
    """A check in a thread of its own, which keeps nothing from ending."""

    def __init__(self, name: str, context: Context) -> None:
        self._name = name.replace("_", "-")
        self._module = name
        self._context = context
        self._found: list[Finding] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def findings(self, deadline: float, seconds: float) -> list[Finding]:
        self._thread.join(max(0.0, deadline - time.monotonic()))
        found = list(self._found)
        if self._thread.is_alive():
            found.append(self._late(seconds))
        return [Finding(one.status, one.message, one.mend, one.model, self._name) for one in found]

    def _late(self, seconds: float) -> Finding:
        owner = self._context.waits_for(self._thread.ident or 0)
        if owner and owner != self._name:
            return Finding("skipped", f"{owner} did not answer in time.")
        return Finding("problem", f"Not done within {seconds:g} s.", "Give it longer with --timeout; see what hangs.")

    def _run(self) -> None:
        try:
            self._found.extend(import_module(f"cli.diagnosis.checks.{self._module}").check(self._context))
        except UnavailableError as error:
            if error.owner == self._name:
                self._found.append(Finding("problem", str(error.reason), error.reason.hint))
            else:
                self._found.append(Finding("skipped", f"It needs what {error.owner} found wrong."))
        except CliError as error:
            self._found.append(Finding("problem", str(error), error.hint))
        except Exception as error:  # noqa: BLE001 - the other checks are shown all the same
            self._found.append(Finding("problem", f"The check itself failed: {type(error).__name__}: {error}"))
