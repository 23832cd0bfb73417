"""Mends what a killed engine left: its lock, a state cut off, containers that it does not know, unfinished operations.

The engine notes each operation in the state before it begins, and strikes it out in the same write that records
the result. So a container that was being made when the engine was killed may exist without being in the state;
made again, it would meet its own name. The note itself the engine keeps, with a warning, until somebody looks.

Where a full disk has cut the state off, an older one takes its place, which may lack such notes too.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cli.errors import CliError
from cli.stack.kept_states import deployment_in, newest_whole, state_file
from cli.stack.locks import release_stale_locks
from cli.stack.state import resources
from manifest.atomic import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.stack.kept_states import KeptState
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
        CliError: Another run is at work, the Docker engine is needed and does not answer, or no whole state is kept.
        OSError: A state cannot be put back.
    """
    release_stale_locks(pulumi.backend, pulumi.project.name, pulumi.stack, say)
    known = _recorded(pulumi)
    put_back = known is None and _put_back(pulumi, say)
    exists = _strike_out(pulumi, _recorded(pulumi) if put_back else known, say)
    if put_back and pulumi.run("refresh", "--yes", "--skip-preview"):
        say(
            "That state could not be compared with what is there. When that is mended: "
            f"slipway up --stack {pulumi.stack} -- --refresh"
        )
    return exists


def _strike_out(pulumi: Pulumi, known: dict[str, Any] | None, say: Callable[[str], None]) -> bool:
    """Have operations that were under way done again; tell whether the stack exists."""
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


def own_containers(pulumi: Pulumi) -> list[str]:
    """Return the ids of the containers that the stack's state knows.

    Raises:
        CliError: The state cannot be read.
    """
    known = _recorded(pulumi)
    exported = pulumi.state() if known is None else {"deployment": known}
    return [str(one["id"]) for one in resources(exported, _CONTAINER, with_replaced=True) if one.get("id")]


def _ids(exported: dict[str, Any]) -> set[str]:
    return {str(one.get("id")) for one in resources(exported, with_replaced=True)}


def _recorded(pulumi: Pulumi) -> dict[str, Any] | None:
    """The stack's deployment, read where the engine keeps it on this machine; None when only Pulumi can tell.

    Asking Pulumi takes a third of a second, and nearly always there is nothing to mend.
    """
    file = state_file(pulumi.backend, pulumi.project.name, pulumi.stack)
    return deployment_in(file) if file else None


def _put_back(pulumi: Pulumi, say: Callable[[str], None]) -> bool:
    """Replace a state that is there and not whole by the newest whole one; tell whether there was one to replace."""
    file = state_file(pulumi.backend, pulumi.project.name, pulumi.stack)
    if file is None or not file.exists():
        return False
    kept = newest_whole(file)
    if kept is None:
        raise CliError(
            f"The stack's state {file} is cut off, as by a full disk, and none before it is kept whole.",
            hint="Put a copy of your own there. If there is none, remove that file: `slipway down --stack "
            f"{pulumi.stack}` then removes what the stack has on this machine, and `slipway up` makes it anew; what "
            "it has elsewhere is to be removed there.",
        )
    # First, so that a run that fails here, for want of Docker, is repeated by the next.
    _remove_newer(pulumi, kept, say)
    write_atomically(file, kept.text)
    say(f"The stack's state was cut off, as by a full disk: the one of {kept.written:%Y-%m-%d %H:%M:%S} is taken.")
    return True


def _remove_newer(pulumi: Pulumi, kept: KeptState, say: Callable[[str], None]) -> None:
    """Remove the stack's containers that were made after a state. Older ones that it does not know are another's."""
    from cli.placements.placement import LOCAL_DOCKER  # noqa: PLC0415 - only this rare run needs it

    exported = {"deployment": kept.deployment}
    if LOCAL_DOCKER not in pulumi.config.live_targets and not resources(exported, _CONTAINER, with_replaced=True):
        return
    from cli.placements.containers import Engine  # noqa: PLC0415 - as above

    engine = Engine(pulumi.env)
    in_state = _ids(exported)
    for container in engine.containers(pulumi.project.name, pulumi.stack):
        # Docker tells whole seconds.
        if container.id not in in_state and container.created >= int(kept.written.timestamp()):
            engine.remove(container)
            say(f"The container {container.name} was made by a run whose state was cut off: it is removed.")


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
