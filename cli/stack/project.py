"""The project that a folder belongs to, and the environment that its tools run in."""

from __future__ import annotations

import json
import os
import re
import shlex
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cli.errors import CliError, Exit

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST = "models.yaml"
_PASSPHRASE = "PULUMI_CONFIG_PASSPHRASE"  # noqa: S105 - a variable's name
_PASSPHRASE_FILE = "PULUMI_CONFIG_PASSPHRASE_FILE"  # noqa: S105 - a variable's name
_BACKEND = "PULUMI_BACKEND_URL"
_AZURE, _STAND_IN = "SLIPWAY_AZURE", "stand-in"
# What Pulumi takes; neither . nor .. is a name.
_PART = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9_.-]{1,100}"
_STACK = re.compile(rf"(?:{_PART}/){{0,2}}{_PART}")
_LONGEST_SHOWN = 120


def short_name(stack: str) -> str:
    """Return a stack's own name: with Pulumi Cloud it may be written as organisation/stack."""
    return stack.rpartition("/")[2]


@dataclass(frozen=True)
class Project:
    """A folder with Pulumi.yaml and models.yaml.

    Attributes:
        root: The folder.
        name: The project's name in Pulumi.yaml.
    """

    root: Path
    name: str

    @property
    def private(self) -> Path:
        """The folder for what belongs to this checkout alone; git ignores it."""
        return self.root / ".slipway"

    @property
    def manifest(self) -> Path:
        """The manifest's file."""
        return self.root / MANIFEST

    def stacks(self) -> list[str]:
        """Return the stacks that have a configuration file."""
        return sorted(file.name.split(".", 1)[1].removesuffix(".yaml") for file in self.root.glob("Pulumi.?*.yaml"))

    def stack_file(self, stack: str) -> Path:
        """Return where a stack's configuration is.

        Raises:
            CliError: The stack has no configuration; the message names those that have.
        """
        if not _STACK.fullmatch(stack):
            # Files and locks carry the name: it must not lead elsewhere.
            raise CliError(
                f"{stack[:_LONGEST_SHOWN]!r} is no stack's name.",
                hint="A name has 1 to 100 letters, digits, dots, hyphens and underscores; with Pulumi Cloud an "
                "organisation, or organisation/project, may stand before it.",
                code=Exit.USAGE,
            )
        name = short_name(stack)
        path = self.root / f"Pulumi.{name}.yaml"
        if path.is_file():
            return path
        if wrong := _irregular(path):
            raise CliError(wrong, code=Exit.USAGE)
        stacks = self.stacks()
        near = get_close_matches(name, stacks, n=1)
        guess = f'Did you mean "{near[0]}"? ' if near else ""
        raise CliError(
            f'The stack "{stack}" has no configuration: there is no {path.name} in {self.root}.',
            hint=f"{guess}Stacks that have one: {', '.join(stacks) or 'none'}.",
            code=Exit.USAGE,
        )

    def environment(self, given: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment for Pulumi and for Docker, as the set-up found or made it.

        Where state is kept and what encrypts it stay the user's choice.

        Args:
            given: The environment to start from; by default this process's.

        Raises:
            CliError: The set-up has not been run, or SLIPWAY_AZURE says what it cannot.
        """
        env = dict(os.environ if given is None else given)
        if (azure := env.get(_AZURE)) not in (None, "", _STAND_IN):
            raise CliError(
                f"{_AZURE} is {azure[:_LONGEST_SHOWN]!r}; it may be {_STAND_IN}, or unset.",
                hint="docs/azure-standin.md says what each means.",
                code=Exit.USAGE,
            )
        found = self._toolchain()
        added = dict(found["env"])
        # An empty passphrase is one, an empty file name or address is none.
        if _PASSPHRASE in env or env.get(_PASSPHRASE_FILE):
            added.pop(_PASSPHRASE, None)
            added.pop(_PASSPHRASE_FILE, None)
        if env.get(_BACKEND):
            added.pop(_BACKEND, None)
        env.update(added)
        env["PATH"] = os.pathsep.join([*self.tool_folders, env.get("PATH", os.defpath)])
        # A stack's configuration need not say what encrypts it when its state does.
        env.setdefault("PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER", "true")
        env.setdefault("PULUMI_SKIP_UPDATE_CHECK", "true")
        return env

    @property
    def tool_folders(self) -> list[str]:
        """The folders of what the set-up found or made, in the order of PATH.

        Raises:
            CliError: The set-up has not been run.
        """
        return list(self._toolchain()["path"])

    def taken(self, step: str) -> str | None:
        """Return what the set-up found or made at one of its steps, in its own words; None where it did not say.

        Raises:
            CliError: The set-up has not been run.
        """
        taken = self._toolchain().get("taken")
        return taken.get(step) if isinstance(taken, dict) else None

    def _toolchain(self) -> dict[str, Any]:
        path = self.private / "toolchain.json"
        hint = f"Run `make setup` in {self.root}."
        try:
            if path.exists() and not path.is_file():
                raise OSError("it is no regular file")  # noqa: TRY301 - told like every other reason
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CliError("The tools are not set up here yet.", hint=hint, code=Exit.SETUP) from None
        except PermissionError as error:
            # Another set-up would be refused as well.
            own = f"sudo chown -R $(id -u) {shlex.quote(str(self.private))}"
            raise CliError(
                f"{path} cannot be read: {error.strerror}.",
                hint=f"It belongs to another user: run this as that one, or make it yours: {own}",
                code=Exit.SETUP,
            ) from None
        except (OSError, ValueError) as error:
            raise CliError(f"{path} cannot be read: {error}.", hint=hint, code=Exit.SETUP) from None
        if not (
            isinstance(found, dict)
            and isinstance(found.get("path"), list)
            and isinstance(found.get("env"), dict)
            and all(isinstance(one, str) and "\0" not in one for one in (*found["path"], *found["env"].values()))
        ):
            raise CliError(f"{path} is not what the set-up writes.", hint=hint, code=Exit.SETUP)
        return found


def find_project(start: Path | None = None) -> Project:
    """Return the project that a folder belongs to: the nearest folder upwards with Pulumi.yaml and models.yaml.

    Args:
        start: Where to look from; by default the current folder.

    Raises:
        CliError: There is none.
    """
    try:
        start = Path.cwd() if start is None else start.resolve()
    except FileNotFoundError:
        raise CliError("The current folder is gone.", hint="Go to another one.", code=Exit.USAGE) from None
    for folder in (start, *start.parents):
        file, manifest = folder / "Pulumi.yaml", folder / MANIFEST
        if not file.is_file():
            continue
        if manifest.is_file():
            return Project(root=folder, name=_name(file))
        if wrong := _irregular(manifest):
            raise CliError(wrong, code=Exit.USAGE)
    raise CliError(
        f"{start} belongs to no Slipway project.",
        hint=f"Go to a folder with Pulumi.yaml and {MANIFEST}, or one below it.",
        code=Exit.USAGE,
    )


def _irregular(path: Path) -> str | None:
    """Say what is in the place of a regular file; None where nothing is."""
    if path.is_symlink() and not path.exists():
        return f"{path} is a link that leads nowhere: to {path.readlink()}."
    return f"{path} is no regular file." if path.exists() else None


def _name(file: Path) -> str:
    try:
        name = yaml.safe_load(file.read_text(encoding="utf-8"))["name"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        name = None
    if not isinstance(name, str) or not name:
        raise CliError(f"{file} names no project.", hint="It needs a line `name: ...`.", code=Exit.USAGE)
    return name
