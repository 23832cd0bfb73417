"""Runs the Pulumi CLI on one stack."""

from __future__ import annotations

import json
import subprocess
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

from cli.errors import CliError, Exit
from cli.stack.config import load_stack_config
from cli.stack.passphrase import check_passphrase
from cli.stack.policies import MARK, policy_options
from cli.stack.process import run_in_foreground
from cli.stack.project import find_project
from cli.stack.quiet import Shortener

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cli.stack.config import StackConfig
    from cli.stack.project import Project

_OWN_OPTIONS = ("--stack", "-s", "--config-file", "--cwd", "-C", "--event-log")
# What Pulumi answers when there is no such stack; older versions have no exit code of its own for that.
_NO_STACK_CODE = 6
_NO_STACK = "no stack named"
_NO_STATE = "Pulumi cannot read the stack's state"


class Pulumi:
    """The Pulumi CLI in the environment of a project, on one of its stacks.

    Attributes:
        project: The project.
        stack: The stack's name.
        env: The environment that Pulumi and its plugins run in.
        config: The stack's configuration.
        started: Told the engine's process number whenever it is started; None where nobody notes it.
    """

    project: Project
    stack: str
    env: dict[str, str]
    config: StackConfig
    started: Callable[[int], None] | None = None

    def __init__(self, project: Project, stack: str, env: Mapping[str, str], *, seconds: float | None = None) -> None:
        """Take the stack.

        Args:
            project: The project.
            stack: The stack's name.
            env: As `project.environment()` returns it.
            seconds: How long Pulumi may take for a question; by default as long as it takes.

        Raises:
            CliError: The stack has no usable configuration file.
        """
        self.project = project
        self.stack = stack
        self.env = dict(env)
        self.config = load_stack_config(project, stack)
        self._seconds = seconds
        # As Pulumi printed them, until this changes the stack: each start of Pulumi takes a quarter of a second.
        self._outputs: str | None = None
        self._secret_state: str | None = None
        self._reading = Lock()

    @classmethod
    def here(cls, stack: str) -> Self:
        """Take a stack of the project that the current folder belongs to, in the environment of its set-up.

        Args:
            stack: The stack's name.

        Raises:
            CliError: There is no project, no set-up, or no usable configuration of the stack.
        """
        project = find_project()
        return cls(project, stack, project.environment())

    @property
    def backend(self) -> str | None:
        """Where the state is kept, as an address."""
        return self.env.get("PULUMI_BACKEND_URL")

    @property
    def advice(self) -> str | None:
        """What to say about the stack's configuration file, if anything."""
        own = str(self.project.private / "passphrase")
        if (
            not self.config.has_salt
            or self.config.is_shared(self.backend)
            or self.env.get("PULUMI_CONFIG_PASSPHRASE_FILE") != own
        ):
            return None
        name = self.config.file.name
        return (
            f"{name} has an encryptionsalt, which Pulumi wrote for this checkout only: do not commit it "
            f"(`git checkout {name}` undoes it)."
        )

    def run(
        self,
        operation: str,
        *options: str,
        event_log: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> int:
        """Run an operation on the stack; its output is shown as it comes.

        Args:
            operation: One that takes `--config-file`.
            options: Its options.
            event_log: A file to write the engine's events to.
            variables: Further variables of its environment.

        Returns:
            Pulumi's exit code.

        Raises:
            CliError: Pulumi or the stack's policies cannot be started, an option is not the user's to give, or what
                encrypts the stack is gone.
            KeyboardInterrupt: The operation was interrupted, and has ended.
        """
        for option in options:
            if option.partition("=")[0] in _OWN_OPTIONS or option[:2] in _OWN_OPTIONS:
                # The last one counts for Pulumi: this stack's configuration would meet another stack's state.
                raise CliError(
                    f"{option} cannot be passed on to Pulumi: it is for slipway to set.",
                    hint="The stack is chosen before the dashes: slipway up --stack NAME -- ...",
                    code=Exit.USAGE,
                )
        check_passphrase(self.stack, self.env, self.state)
        self._forget()
        policies = policy_options(operation, self.project, self.config, self.env)
        command = ["pulumi", operation, "--stack", self.stack, *policies]
        env = {**self.env, **(variables or {}), **({MARK: "1"} if policies else {})}
        if not self.config.is_shared(self.backend):
            command += ["--config-file", str(self._copy())]
        if event_log:
            command += ["--event-log", str(event_log)]
            # The option is there only with this.
            env = {**env, "PULUMI_DEBUG_COMMANDS": "true"}
        try:
            shorten = Shortener(self.project.tool_folders).shortened
            return run_in_foreground(
                [*command, *options], cwd=self.project.root, env=env, shorten=shorten, started=self.started
            )
        except OSError as error:
            raise _not_started(error) from None

    def state(self, *, show_secrets: bool = False) -> dict[str, Any] | None:
        """Return the stack's state as Pulumi exports it; None when there is no such stack.

        With secrets, what another process changes after the first call is not seen.

        Args:
            show_secrets: Have secrets decrypted. What holds them must not be written anywhere.

        Raises:
            CliError: It cannot be read.
        """
        if not show_secrets:
            text = self._exported()
        else:
            # Threads want it at the same time, as the checks of a diagnosis do.
            with self._reading:
                self._secret_state = text = self._secret_state or self._exported("--show-secrets")
        if text is None:
            return None
        exported: dict[str, Any] = _parsed(text, _NO_STATE)
        return exported

    def _exported(self, *options: str) -> str | None:
        done = self._capture("stack", "export", "--stack", self.stack, *options)
        if _is_missing(done):
            return None
        _check(done, _NO_STATE)
        return done.stdout

    def exists(self) -> bool:
        """Tell whether the stack has a state.

        Raises:
            CliError: It cannot be read.
        """
        return self.outputs() is not None

    def replace_state(self, exported: dict[str, Any]) -> None:
        """Replace the stack's state with what `state` returned, changed.

        Raises:
            CliError: Pulumi refuses.
        """
        self._forget()
        done = self._capture("stack", "import", "--stack", self.stack, text=json.dumps(exported))
        _check(done, "Pulumi refuses the mended state")

    def outputs(self) -> dict[str, Any] | None:
        """Return what the stack exports; None when there is no such stack.

        What another process changes after the first call is not seen.

        Raises:
            CliError: They cannot be read.
        """
        problem = "Pulumi cannot read the stack's outputs"
        if self._outputs is None:
            done = self._capture("stack", "output", "--stack", self.stack, "--json")
            if _is_missing(done):
                return None
            _check(done, problem)
            self._outputs = done.stdout
        outputs: dict[str, Any] = _parsed(self._outputs, problem)
        return outputs

    def stacks(self) -> list[str]:
        """Return the names of the project's stacks that have a state.

        Raises:
            CliError: They cannot be listed.
        """
        done = self._capture("stack", "ls", "--json")
        return [str(stack["name"]) for stack in _answer(done, "Pulumi cannot list the stacks")]

    def create(self) -> None:
        """Create the stack.

        Raises:
            CliError: Pulumi cannot create it.
        """
        options = []
        if self.config.is_shared(self.backend):
            folder = self.project.root
            if self.config.secrets_provider:
                # Left to itself, Pulumi would replace what the file says by a passphrase.
                options = ["--secrets-provider", self.config.secrets_provider]
        else:
            # Where the copy of the configuration is: Pulumi writes to the one that it finds.
            folder = self._copy().parent
        done = self._capture("stack", "init", self.stack, "--no-select", *options, cwd=folder)
        _check(done, f'Pulumi cannot create the stack "{self.stack}"')
        if self._capture("stack", "--show-name").returncode:
            # So that plain `pulumi up` knows which one is meant.
            self._capture("stack", "select", self.stack)

    def remove(self) -> None:
        """Remove the stack, which has to be empty, and its history; its configuration file stays.

        Raises:
            CliError: Pulumi refuses.
        """
        self._forget()
        done = self._capture("stack", "rm", "--stack", self.stack, "--yes", "--preserve-config", "--remove-backups")
        _check(done, f'Pulumi cannot remove the stack "{self.stack}"')

    def _forget(self) -> None:
        """Have what is kept of the stack read again: it is about to be changed."""
        self._outputs = self._secret_state = None

    def _copy(self) -> Path:
        return self.config.copy_to(self.project.private / "pulumi", self.project)

    def _capture(
        self, *arguments: str, text: str | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                ["pulumi", *arguments, "--non-interactive", "--color", "never"],
                cwd=cwd or self.project.root,
                env=self.env,
                input=text or "",
                capture_output=True,
                text=True,
                check=False,
                timeout=self._seconds,
            )
        except OSError as error:
            raise _not_started(error) from None
        except subprocess.TimeoutExpired:
            raise CliError(f"Pulumi did not answer within {self._seconds:g} s: pulumi {' '.join(arguments)}") from None


def _is_missing(done: subprocess.CompletedProcess[str]) -> bool:
    return done.returncode == _NO_STACK_CODE or (done.returncode != 0 and _NO_STACK in done.stderr)


def _check(done: subprocess.CompletedProcess[str], problem: str) -> None:
    if done.returncode:
        said = done.stderr.strip().removeprefix("error: ") or f"it ended with code {done.returncode}"
        raise CliError(f"{problem}: {said}")


def _answer(done: subprocess.CompletedProcess[str], problem: str) -> Any:
    _check(done, problem)
    return _parsed(done.stdout, problem)


def _parsed(answer: str, problem: str) -> Any:
    try:
        return json.loads(answer)
    except ValueError:
        raise CliError(f"{problem}: its answer is not JSON.") from None


def _not_started(error: OSError) -> CliError:
    return CliError(f"Pulumi cannot be started: {error}.", hint="Run `make setup`.", code=Exit.SETUP)
