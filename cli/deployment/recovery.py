"""Mends what a killed engine left: its lock, containers that the state knows nothing of, unfinished operations.

The engine notes each operation in the state before it begins, and strikes it out in the same write that records
the result. So a container that was being made when the engine was killed may exist without being in the state;
made again, it would meet its own name. The note itself the engine keeps, with a warning, until somebody looks.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from cli.stack.locks import release_stale_locks, state_folder
from cli.stack.project import short_name
from cli.stack.state import resources
from manifest.atomic import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.stack.pulumi import Pulumi

_CONTAINER = "docker:index/container:Container"
# A plugin may still be finishing what the killed engine asked of it.
_LATE_SECONDS = 2.0


def recover(pulumi: Pulumi, say: Callable[[str], None]) -> bool:
    """Bring the stack into a shape that the engine can go on from.

    Args:
        pulumi: The stack.
        say: Told, in a line each, what was mended.

    Returns:
        Whether the stack exists.

    Raises:
        CliError: Another run is at work, or the Docker engine is needed and does not answer.
    """
    release_stale_locks(pulumi.backend, pulumi.project.name, pulumi.stack, say)
    _put_back(pulumi, say)
    known = _recorded(pulumi)
    if known is not None and not known.get("pending_operations"):
        return True
    exported = pulumi.state()
    if exported is None:
        return False
    deployment = exported.get("deployment") or {}
    pending = deployment.pop("pending_operations", None) or []
    if not pending:
        return True
    _remove_orphans(pulumi, pending, _ids(exported), say)
    pulumi.replace_state(exported)
    say(f"An earlier run was interrupted: {_count(len(pending))} it had begun will be done again.")
    return True


def strangers(pulumi: Pulumi) -> list[str]:
    """Return the names of containers that carry the stack's labels although its state does not know them.

    Another checkout of the project made them, or one whose state is lost. They hold names and ports that this one
    needs, but only their owner can tell whether they may go.

    Raises:
        CliError: Pulumi or the Docker engine does not answer.
    """
    # As below: few runs need it, and importing docker takes long.
    from cli.placements.containers import Engine  # noqa: PLC0415 - see above

    known = _ids(pulumi.state() or {})
    found = Engine(pulumi.env).containers(pulumi.project.name, pulumi.stack)
    return [container.name for container in found if container.id not in known]


def _ids(exported: dict[str, Any]) -> set[str]:
    return {str(one.get("id")) for one in resources(exported, with_replaced=True)}


def _recorded(pulumi: Pulumi) -> dict[str, Any] | None:
    """The stack's deployment, read where the engine keeps it on this machine; None when only Pulumi can tell.

    Asking Pulumi takes a third of a second, and nearly always there is nothing to mend.
    """
    file = _state_file(pulumi)
    return _deployment(file) if file else None


def _put_back(pulumi: Pulumi, say: Callable[[str], None]) -> None:
    """Take the state before the last, which the engine keeps beside it, where a full disk has cut the last one off.

    What was done in between had been noted there as under way.
    """
    file = _state_file(pulumi)
    if file is None or not file.exists() or _deployment(file) is not None:
        return
    before = file.with_name(f"{file.name}.bak")
    if _deployment(before) is not None:
        write_atomically(file, before.read_text(encoding="utf-8"))
        say("The stack's state was cut off, as by a full disk: the one before it is taken.")


def _state_file(pulumi: Pulumi) -> Path | None:
    folder = state_folder(pulumi.backend)
    return folder / "stacks" / pulumi.project.name / f"{short_name(pulumi.stack)}.json" if folder else None


def _deployment(file: Path) -> dict[str, Any] | None:
    """The deployment that a state's file holds; None where that is no whole state."""
    try:
        checkpoint = json.loads(file.read_text(encoding="utf-8"))["checkpoint"]
        latest = checkpoint.get("latest") or {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return latest if isinstance(latest, dict) else None


def _remove_orphans(
    pulumi: Pulumi, pending: list[dict[str, Any]], in_state: set[str], say: Callable[[str], None]
) -> None:
    wanted = {
        str((operation["resource"].get("inputs") or {}).get("name"))
        for operation in pending
        if operation.get("type") == "creating" and operation["resource"].get("type") == _CONTAINER
    }
    if not wanted:
        return
    # Here, because only few runs need it and importing docker takes long.
    from cli.placements.containers import Engine  # noqa: PLC0415 - see above

    engine = Engine(pulumi.env)
    deadline = time.monotonic() + _LATE_SECONDS
    while True:
        for container in engine.containers(pulumi.project.name, pulumi.stack):
            if container.name in wanted and container.id not in in_state:
                engine.remove(container)
                wanted.discard(container.name)
                say(f"The container {container.name} was made by a run that was killed: it is removed.")
        if not wanted or time.monotonic() > deadline:
            return
        time.sleep(0.2)


def _count(number: int) -> str:
    return "1 operation that" if number == 1 else f"{number} operations that"
