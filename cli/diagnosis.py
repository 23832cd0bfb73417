"""Runs the checks of `slipway diagnose`: all at once, each with a time limit, whatever the others find."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from cli.checks import CHECKS
from cli.containers import Engine
from cli.deployed import recorded
from cli.errors import CliError, Exit
from cli.keys import Keys
from cli.project import short_name
from cli.pulumi import Pulumi
from cli.stack_config import load_stack_config
from cli.wanted import checked_environment, checked_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cli.containers import Running
    from cli.deployed import Placement
    from cli.project import Project
    from cli.stack_config import StackConfig
    from manifest import Environment, Manifest

Status = Literal["ok", "warning", "problem", "skipped"]
T = TypeVar("T")

# Of one program or service that is asked; below the limit of a check.
_ASKED_SECONDS = 10


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        status: `problem` is wrong; `warning` may become so; `skipped` could not be looked at.
        message: What was found, in words.
        mend: What to do about it.
        model: The model that it is about, if it is about one.
        check: The check's name.
    """

    status: Status
    message: str
    mend: str | None = None
    model: str | None = None
    check: str = ""


class UnavailableError(Exception):
    """The context cannot give what a check asks for.

    Attributes:
        owner: The check that tells about it.
        reason: What is wrong.
    """

    def __init__(self, owner: str, reason: CliError) -> None:
        """Say whose it is, and what is wrong."""
        super().__init__(str(reason))
        self.owner = owner
        self.reason = reason


class Context:
    """What several checks need, each found out once.

    Every property raises UnavailableError where it cannot be had.

    Attributes:
        project: The project.
        stack: The stack's name.
    """

    project: Project
    stack: str

    def __init__(self, project: Project, stack: str) -> None:
        """Take a stack; nothing is found out yet."""
        self.project = project
        self.stack = stack
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._found: dict[str, object] = {}
        self._waiting: dict[int, str] = {}

    @property
    def env(self) -> dict[str, str]:
        """The environment of Pulumi and Docker."""
        return self._once("env", "engine", self.project.environment)

    @property
    def config(self) -> StackConfig:
        """The stack's configuration file."""
        return self._once("config", "files", lambda: load_stack_config(self.project, self.stack))

    @property
    def environment(self) -> Environment:
        """The stack's configuration, checked; where only Pulumi can tell it, its defaults with what is plain."""
        return self._once("environment", "files", self._environment)

    @property
    def manifest(self) -> Manifest:
        """The manifest, checked."""
        return self._once("manifest", "files", lambda: checked_manifest(self.project))

    @property
    def placements(self) -> list[Placement]:
        """What the stack's state says is deployed."""
        return recorded(self.outputs)

    @property
    def outputs(self) -> dict[str, Any]:
        """What the stack exports; nothing when there is no such stack."""
        pulumi = self.pulumi
        return self._once("outputs", "engine", lambda: pulumi.outputs() or {})

    @property
    def keys(self) -> dict[str, str]:
        """The keys to show to the services that want one, by endpoint; nothing is read where none does."""
        pulumi, placements = self.pulumi, self.placements
        return self._once("keys", "health", lambda: Keys(pulumi).by_endpoint(placements))

    @property
    def on_devices(self) -> list[Placement]:
        """Models on devices of IoT Edge, with how these are; the hub is asked only where there are any."""
        pulumi, placements = self.pulumi, [one for one in self.placements if one.deployment]
        return self._once("on_devices", "health", lambda: _with_devices(pulumi, placements) if placements else [])

    @property
    def docker(self) -> Engine:
        """The Docker engine."""
        env = self._env_or_own
        return self._once("docker", "docker", lambda: Engine(env, seconds=_ASKED_SECONDS // 2))

    @property
    def containers(self) -> list[Running]:
        """The stack's containers, running or not."""
        engine = self.docker
        stack = short_name(self.stack)
        return self._once("containers", "docker", lambda: engine.containers(self.project.name, stack))

    def run(self, *command: str) -> str:
        """Run a program of the set-up, and return what it printed.

        Raises:
            CliError: It is missing, fails, or does not end in time.
        """
        env = self.env
        try:
            done = subprocess.run(
                command,
                cwd=self.project.root,
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=_ASKED_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise CliError(f"`{' '.join(command)}` did not end within {_ASKED_SECONDS:g} s.") from None
        except OSError as error:
            raise CliError(f"`{command[0]}` cannot be started: {error.strerror or error}.") from None
        if done.returncode:
            raise CliError(f"`{' '.join(command)}` failed: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def waits_for(self, thread: int) -> str | None:
        """Return the check whose matter a thread waits for, if it does."""
        return self._waiting.get(thread)

    @property
    def _env_or_own(self) -> dict[str, str]:
        """Docker may be there without the set-up."""
        try:
            return self.env
        except UnavailableError:
            return dict(os.environ)

    @property
    def pulumi(self) -> Pulumi:
        """Pulumi on the stack."""
        env, _ = self.env, self.config
        return self._once("pulumi", "files", lambda: Pulumi(self.project, self.stack, env, seconds=_ASKED_SECONDS))

    def _environment(self) -> Environment:
        from pydantic import ValidationError  # noqa: PLC0415 - only where the configuration is encrypted in part

        from manifest import Environment  # noqa: PLC0415 - as above

        config = self.config
        if checked := checked_environment(config):
            return checked
        names = ("targets", "azure", "registry")
        plain = {name: config.values[f"slipway:{name}"] for name in names if f"slipway:{name}" in config.values}
        try:
            return Environment.model_validate(plain)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise CliError(f"{config.file.name}: {where}: {first['msg']}", code=Exit.USAGE) from None

    def _once(self, name: str, owner: str, find: Callable[[], T]) -> T:
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        self._waiting[threading.get_ident()] = owner
        with lock:
            if name not in self._found:
                try:
                    self._found[name] = find()
                except CliError as error:
                    self._found[name] = UnavailableError(owner, error)
        self._waiting.pop(threading.get_ident(), None)
        found = self._found[name]
        if isinstance(found, UnavailableError):
            raise found
        return cast("T", found)


def _with_devices(pulumi: Pulumi, placements: list[Placement]) -> list[Placement]:
    from cli.edge import needed_hub, with_devices  # noqa: PLC0415 - only stacks with devices need it

    return with_devices(placements, needed_hub(pulumi))


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
            self._found.extend(import_module(f"cli.checks.{self._module}").check(self._context))
        except UnavailableError as error:
            if error.owner == self._name:
                self._found.append(Finding("problem", str(error.reason), error.reason.hint))
            else:
                self._found.append(Finding("skipped", f"It needs what {error.owner} found wrong."))
        except CliError as error:
            self._found.append(Finding("problem", str(error), error.hint))
        except Exception as error:  # noqa: BLE001 - the other checks are shown all the same
            self._found.append(Finding("problem", f"The check itself failed: {type(error).__name__}: {error}"))
