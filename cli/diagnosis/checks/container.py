"""Whether each deployed model's container runs, and steadily."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.diagnosis.finding import Finding
from cli.editing.reloading import MOUNT
from cli.placements.states import restoring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.diagnosis.context import Context
    from cli.placements.placement import Placement


def check(context: Context) -> Iterator[Finding]:
    """Compare the containers with what the stack's state says."""
    wanted = [one for one in context.placements if one.container]
    for one in wanted:
        container = context.docker.inspect(one.container or "")
        yield _judged(context, one, container)
    names = {one.container for one in wanted}
    for extra in context.containers:
        if extra.name not in names:
            yield Finding(
                "warning",
                f"The container {extra.name} carries the stack's labels, but its state does not know it.",
                f"If no other checkout needs it: docker rm -f {extra.name}",
                extra.model,
            )
    if not wanted:
        yield Finding("ok", f"The stack {context.stack} has no containers on this machine.")


def _judged(context: Context, placement: Placement, container: dict[str, Any] | None) -> Finding:
    model = placement.model
    if wrong := _wrong(context, placement, container):
        return Finding("problem", *wrong, model)
    if doubtful := _doubtful(context, placement, container or {}):
        return Finding("warning", *doubtful, model)
    return Finding("ok", f"{placement.container} runs.", model=model)


def _wrong(context: Context, placement: Placement, container: dict[str, Any] | None) -> tuple[str, str] | None:
    """What is wrong with a container, and its mend."""
    restore = f"Restore it: {restoring(context.stack)}"
    name = placement.container
    if container is None:
        return f"The container {name} is not there: it was never made, or somebody removed it.", restore
    state = container.get("State") or {}
    if state.get("OOMKilled"):
        return (
            f"{name} was killed because it used more memory than its limit.",
            "Give its target more `memory` in models.yaml, then `slipway up`.",
        )
    status, code = state.get("Status"), state.get("ExitCode")
    if status == "restarting":
        why = f"`slipway logs {placement.model}` tells why it ends; mend that, then `slipway up`."
        return f"{name} ends again and again, with exit code {code}.", why
    if status != "running":
        return f"{name} is {status}.", restore
    return None


def _doubtful(context: Context, placement: Placement, container: dict[str, Any]) -> tuple[str, str] | None:
    """What may become wrong with a container, and its mend."""
    if elsewhere := _foreign_source(context, container):
        return (
            f"{placement.container} takes edits from another checkout: {elsewhere}.",
            f"`slipway up --stack {context.stack}` from here takes it over.",
        )
    if restarts := container.get("RestartCount"):
        return (
            f"{placement.container} runs, but had to be restarted {restarts} times.",
            f"`slipway logs {placement.model}` tells why it ended.",
        )
    return None


def _foreign_source(context: Context, container: dict[str, Any]) -> str | None:
    """The folder that a container in reload mode watches, where it is not of this checkout."""
    root = context.project.root.resolve()
    sources = [str(one.get("Source")) for one in container.get("Mounts") or [] if one.get("Destination") == MOUNT]
    return next((one for one in sources if not one.startswith(f"{root}/")), None)
