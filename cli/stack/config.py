"""A stack's configuration file, and how it is kept free of what belongs to one checkout.

Pulumi writes an `encryptionsalt` into Pulumi.<stack>.yaml as soon as it meets a passphrase. The salt also checks
the passphrase, and here every checkout has one of its own: committed, it would lock everybody else out. As long as
the file holds no secret, nothing in it needs the salt, and the state keeps it as well. So the engine is given a copy
of the file in .slipway/, and the file itself is never written. See
docs/decisions/0004-the-salt-stays-out-of-the-repository.md.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from cli.errors import CliError, Exit

if TYPE_CHECKING:
    from pathlib import Path

    from cli.stack.project import Project

_LOCAL_PROVIDERS = (None, "", "default", "passphrase")
_CLOUD_BACKENDS = ("http://", "https://")
# As text: reading and writing YAML would change how values are spelt, and so what they are.
_SALT = re.compile(r"^encryptionsalt:.*\n?", re.MULTILINE)


@dataclass(frozen=True)
class StackConfig:
    """What a stack's configuration file says.

    Attributes:
        file: The file itself.
        values: Its `config`.
        secrets_provider: What encrypts the stack's secrets, where the file names it.
        is_whole: Whether `values` is all that the program will see: nothing encrypted, and nothing from elsewhere.
    """

    file: Path
    values: dict[str, Any]
    secrets_provider: str | None
    is_whole: bool
    _text: str

    @property
    def plain_values(self) -> dict[str, Any]:
        """Those of the values that have nothing encrypted in them."""
        return {key: value for key, value in self.values.items() if not _has_secure(value)}

    @property
    def live_targets(self) -> tuple[str, ...]:
        """The kinds of targets that the file says are live; whatever else it holds is not checked."""
        given = self.values.get("slipway:targets")
        return tuple(str(one) for one in given) if isinstance(given, list) else ()

    @property
    def has_salt(self) -> bool:
        """Whether Pulumi has written to the file what belongs to one passphrase."""
        return _SALT.search(self._text) is not None

    def is_shared(self, backend: str | None) -> bool:
        """Tell whether the file takes part in encryption, so that the engine has to work on the file itself.

        Args:
            backend: Where the state is kept.
        """
        if self.secrets_provider not in _LOCAL_PROVIDERS or _has_secure(self.values):
            return True
        # Pulumi Cloud encrypts by itself and writes nothing.
        return backend is None or backend.startswith(_CLOUD_BACKENDS)

    def copy_to(self, folder: Path, project: Project) -> Path:
        """Write what the engine may write to: a project of the same name with this configuration, without a salt.

        Returns:
            The copy of the configuration file.
        """
        # It brings all of the manifest along, which commands that only look have no use for.
        from manifest.atomic import write_atomically  # noqa: PLC0415 - see above

        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "Pulumi.yaml", json.dumps({"name": project.name, "runtime": "python"}) + "\n")
        copy = folder / self.file.name
        write_atomically(copy, _SALT.sub("", self._text))
        return copy


def load_stack_config(project: Project, stack: str) -> StackConfig:
    """Read a stack's configuration file.

    Raises:
        CliError: There is none, or it is not YAML.
    """
    file = project.stack_file(stack)
    text = _text(file)
    document = _mapping(file, text)
    values = document.get("config") or {}
    if not isinstance(values, dict):
        raise CliError(f"{file.name}: `config` must be a mapping.", code=Exit.USAGE)
    if strange := [key for key in values if not isinstance(key, str)]:
        raise CliError(
            f"{file.name}: `config` has the key {strange[0]}, which is no name.",
            hint="Names are as in slipway:targets.",
            code=Exit.USAGE,
        )
    pulumi_yaml = project.root / "Pulumi.yaml"
    elsewhere = document.get("environment") or _mapping(pulumi_yaml, _text(pulumi_yaml)).get("config")
    return StackConfig(
        file=file,
        values=values,
        secrets_provider=document.get("secretsprovider"),
        is_whole=not elsewhere and not _has_secure(values),
        _text=text,
    )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise CliError(f"{file} cannot be read: {error}", code=Exit.USAGE) from None


def _mapping(file: Path, text: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        at = f":{error.problem_mark.line + 1}:{error.problem_mark.column + 1}" if error.problem_mark else ""
        raise CliError(f"{file}{at}: is not YAML: {error.problem}", code=Exit.USAGE) from None
    except (ValueError, yaml.YAMLError) as error:
        raise CliError(f"{file} is not YAML: {error}", code=Exit.USAGE) from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise CliError(f"{file} must be a mapping.", code=Exit.USAGE)
    return document


def _has_secure(value: Any) -> bool:
    if isinstance(value, dict):
        return "secure" in value or any(_has_secure(one) for one in value.values())
    return isinstance(value, list) and any(_has_secure(one) for one in value)
