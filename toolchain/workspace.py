"""The checkout's own folder .slipway: where its state is, its passphrase, and what the set-up found."""

from __future__ import annotations

import secrets
import shlex
from typing import TYPE_CHECKING

from toolchain.cache import read_json, write_atomically, write_json
from toolchain.report import ToolchainError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from toolchain.context import Context, Taken

LOCAL = frozenset({"PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE"})


def folder(context: Context) -> Path:
    """Return the checkout's folder for what is made there."""
    return context.root / ".slipway"


def _state(context: Context) -> Path:
    return folder(context) / "state"


def _passphrase(context: Context) -> Path:
    return folder(context) / "passphrase"


def _stack_files(context: Context) -> list[Path]:
    stacks = _state(context) / ".pulumi" / "stacks"
    return sorted(path for kind in ("*.json", "*.json.gz") for path in stacks.rglob(kind))


def passphrase_file(context: Context) -> Path:
    """Return the file of the passphrase that encrypts the stacks' secrets, made where it is missing.

    It is never replaced: the state could not be read any more.

    Raises:
        ToolchainError: If it is gone and there are stacks that were encrypted with it.
    """
    path = _passphrase(context)
    if path.exists():
        return path
    if _stack_files(context):
        raise ToolchainError(
            f"{path} is gone, and {_state(context)} holds stacks whose secrets only that passphrase opens.",
            to_do=f"restore {path}; or remove {_state(context)} to start anew, which forgets what is deployed: "
            "remove those containers by hand.",
        )
    write_atomically(path, secrets.token_urlsafe(32), 0o600)
    return path


def _local(context: Context) -> dict[str, str]:
    """Return the variables of the local backend and passphrase, without those for which the caller has his own."""
    environ = context.environ
    ours = {
        # As an address: % and # in a folder's name would be read as parts of it.
        "PULUMI_BACKEND_URL": _state(context).as_uri(),
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(_passphrase(context)),
    }
    # Set but empty is a passphrase too: the empty one.
    if "PULUMI_CONFIG_PASSPHRASE" in environ:
        del ours["PULUMI_CONFIG_PASSPHRASE_FILE"]
    return {name: value for name, value in ours.items() if environ.get(name) in {None, "", value}}


def variables(context: Context, taken: Iterable[Taken]) -> dict[str, str]:
    """Return the environment that Pulumi needs here, as far as the user did not set it."""
    _state(context).mkdir(parents=True, exist_ok=True)
    local = _local(context)
    if "PULUMI_CONFIG_PASSPHRASE_FILE" in local:
        passphrase_file(context)
    found = {
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # The passphrase's salt is in the state, and not in the stack's committed configuration.
        "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
        **local,
    }
    for step in taken:
        found.update(step.env)
    return found


def stacks_in_use(context: Context) -> list[str]:
    """Return the stacks of this checkout's own state that still have resources."""
    found = []
    for path in sorted((_state(context) / ".pulumi" / "stacks").glob("*/*.json")):
        latest = read_json(path).get("checkpoint", {}).get("latest") or {}
        if latest.get("resources"):
            found.append(path.stem)
    return found


def write(context: Context, taken: Iterable[Taken]) -> None:
    """Write down what the set-up found: the command line and `make env` take it from there."""
    steps = list(taken)
    path: list[str] = []
    for step in steps:
        path += [str(entry) for entry in step.path if str(entry) not in path]
    found = {
        "path": path,
        "env": variables(context, steps),
        "taken": {step.name.lower().replace(" ", "-"): step.line for step in steps},
    }
    target = folder(context) / "toolchain.json"
    if read_json(target) != found:
        write_json(target, found)


def exports(context: Context) -> str:
    """Return the lines of a shell that give it the environment of this checkout.

    Raises:
        ToolchainError: If the checkout was not set up.
    """
    found = read_json(folder(context) / "toolchain.json")
    if not found:
        raise ToolchainError("This checkout is not set up.", to_do="run `make setup` first.")
    local = _local(context)
    # What was written down in another shell must not replace what this one has set.
    env = {name: value for name, value in found["env"].items() if name not in LOCAL or name in local}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(env.items())]
    path = ":".join(found["path"])
    lines.append(f'export PATH={shlex.quote(path)}:"$PATH"')
    return "\n".join(lines)
