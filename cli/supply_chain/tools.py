"""The tools as commands have them: fetched at the first use, run with the stack's environment, told in a line."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import toolchain
from cli.errors import CliError, Exit
from toolchain.context import context_of
from toolchain.network import Network
from toolchain.process import redacted
from toolchain.report import Report, ToolchainError
from toolchain.supply_chain import ensure, find

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toolchain.supply_chain import Program, Tool

# Reading an image of some gigabytes from a distant registry.
_SECONDS = 1800.0
_LINES = 6


class ToolError(CliError):
    """A tool ran and failed; the message ends with its own last words."""


class MissingToolError(CliError):
    """A tool can neither be found nor fetched."""


class Tools:
    """Fetches each tool once, when it is first asked for."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        """Fetch nothing yet.

        Args:
            env: What the tools run with: registry logins, proxies, the password of a key.
            folder: Where they run, and look for files of theirs such as .trivyignore.
        """
        self._folder = folder
        # syft would also list each file of a package: 50 times as much, and nothing that the package does not say.
        self.env = {
            **env,
            "SYFT_CHECK_FOR_APP_UPDATE": "false",
            "SYFT_FILE_METADATA_SELECTION": "none",
            "TRIVY_SKIP_VERSION_CHECK": "true",
            "TRIVY_DISABLE_TELEMETRY": "true",
        }
        self._found: dict[str, Program] = {}
        self._lock = threading.Lock()

    def get(self, tool: Tool) -> Program:
        """Return a tool.

        Raises:
            MissingToolError: It cannot be had.
        """
        with self._lock:
            if tool.name not in self._found:
                self._found[tool.name] = self._fetched(tool)
            return self._found[tool.name]

    def _fetched(self, tool: Tool) -> Program:
        # What belongs to one checkout is not asked for: the tools are the same for all.
        root = Path(toolchain.__file__).parents[1]
        report = Report(sys.stderr)
        try:
            context = context_of(root, self.env, report)
            context.cache.prepare()
            # Another set-up may take minutes: what is there does not wait for it.
            if (there := find(context, tool)) is not None:
                return there
            with context.cache.lock(), report.step(tool.name) as step:
                found = ensure(context, step, Network(context), tool)
        except ToolchainError as error:
            raise MissingToolError(error.what, hint=error.to_do or None, code=Exit.SETUP) from None
        report.line(tool.name, f"{found.version}: {found.taken}")
        return found

    def run(self, tool: Tool, *arguments: str, what: str, seconds: float = _SECONDS) -> bytes:
        """Run a tool and return what it prints.

        Args:
            tool: The tool.
            arguments: Never a secret: they can be read by everybody on the machine.
            what: What fails when it fails, as the beginning of a sentence.
            seconds: How long it may take.

        Raises:
            MissingToolError: It cannot be had.
            ToolError: It failed.
        """
        program = self.get(tool)
        try:
            done = subprocess.run(
                [str(program.path), *arguments],
                env=self.env,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
                check=False,
            )
        except OSError as error:
            raise MissingToolError(f"{program.path} cannot be run: {error.strerror or error}.") from None
        except subprocess.TimeoutExpired:
            raise ToolError(f"{what}: {tool.name} took longer than {seconds:.0f} seconds.") from None
        if done.returncode:
            raise ToolError(f"{what}: {last_words(done.stderr) or f'{tool.name} exited with {done.returncode}'}")
        return done.stdout


def last_words(stderr: bytes) -> str:
    """Return the end of what a program said, in a line, without credentials in addresses."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    text = "".join(one if one.isprintable() else " " for one in " ".join(lines[-_LINES:]))
    return redacted(text)[-1000:]
