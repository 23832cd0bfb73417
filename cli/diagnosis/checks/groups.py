"""Whether Azure sees each model's container group run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.diagnosis.finding import Finding
from cli.errors import CliError
from cli.placements.groups import Groups, groups
from cli.placements.states import MISSING, restoring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.diagnosis.context import Context
    from cli.placements.groups import Group


def check(context: Context) -> Iterator[Finding]:
    """Ask for each group's instance view."""
    found = groups(context.outputs)
    asked = Groups(context.pulumi)
    for one in found:
        yield _judged(context, asked, one)
    if not found:
        yield Finding("ok", f"The stack {context.stack} has no container groups.")


def _judged(context: Context, asked: Groups, group: Group) -> Finding:
    try:
        view = asked.view(group)
    except CliError as error:
        return Finding("problem", str(error), error.hint, group.model)
    logs = f"`slipway logs {group.model}` tells why; mend that, then `slipway up`."
    if view.state == MISSING:
        gone = f"The container group {group.name} is gone: somebody removed it."
        return Finding("problem", gone, f"Restore it: {restoring(context.stack)}", group.model)
    if view.trouble or view.is_over:
        wrong = view.trouble or "nothing in it runs any more"
        return Finding("problem", f"{group.name} is {view.state.lower()}: {wrong}.", logs, group.model)
    return Finding("ok", f"{group.name} is {view.state.lower()}.", model=group.model)
