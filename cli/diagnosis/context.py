"""What the checks of `slipway diagnose` look at, each found out once for all of them."""

from __future__ import annotations

import os
import subprocess
import threading
from typing import TYPE_CHECKING, Any, TypeVar, cast

from cli.errors import CliError, Exit
from cli.placements.containers import Engine
from cli.placements.devices import needed_hub, with_devices
from cli.placements.keys import Keys
from cli.placements.placement import recorded
from cli.stack.config import load_stack_config
from cli.stack.project import short_name
from cli.stack.pulumi import Pulumi
from cli.stack.wanted import checked_environment, checked_manifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.placements.containers import Running
    from cli.placements.placement import Placement
    from cli.stack.config import StackConfig
    from cli.stack.project import Project
    from manifest import Environment, Manifest

T = TypeVar("T")

# Of one program or service that is asked; below the limit of a check.
_ASKED_SECONDS = 10


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
        if not placements:
            return []
        return self._once("on_devices", "health", lambda: with_devices(placements, needed_hub(pulumi)))

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
