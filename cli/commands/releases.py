"""`slipway releases`: what was deployed when, from which commit, with which versions and digests."""

from typing import Annotated

import typer
from rich.table import Table

from cli.errors import CliError
from cli.options import DEFAULT_STACK, JsonOption, StackOption
from cli.releases.log import promotes_from, store_of
from cli.stack.pulumi import Pulumi
from cli.supply_chain.facts import facts
from cli.table import console, plain_table, print_json
from releases import Release, ReleaseError, ReleaseStore

_DIGEST = 12
_COMMIT = 10


def command(
    release_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One release in full; a beginning of its id is enough.")
    ] = None,
    stack: StackOption = DEFAULT_STACK,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most, the latest first.")] = 20,
    json: JsonOption = False,
) -> None:
    """List what was deployed when, from which commit, by whom, with which versions and digests.

    With an ID: what is on record of that release and its images.
    """
    pulumi = Pulumi.here(stack)
    store = store_of(pulumi)
    if release_id:
        _show(store, stack, release_id, json=json)
        return
    found, damaged = [], []
    try:
        for id_ in store.ids(stack)[:limit]:
            try:
                found.append(store.read(stack, id_))
            except ReleaseError as error:
                damaged.append(str(error))
        promoted = store.promoted(stack) if promotes_from(pulumi) else None
    except ReleaseError as error:
        raise CliError(str(error)) from None
    if json:
        dumped = [one.model_dump(mode="json", by_alias=True) for one in found]
        print_json({"stack": stack, "promoted": promoted.id if promoted else None, "releases": dumped})
    elif found:
        console().print(_table(found))
    elif not damaged:
        console().print(f"The stack {stack} has no releases yet. `slipway up --stack {stack}` makes one.")
    if promoted and not json and not (found and found[0].promoted_from == f"{promoted.stack}/{promoted.id}"):
        console().print(
            f"Promoted, but not deployed yet: {promoted.id} of {promoted.stack}. `slipway up --stack {stack}` does it."
        )
    if damaged:
        raise CliError("\n".join(damaged), hint="Restore it, or remove it: nothing else has what it says.")


def _show(store: ReleaseStore, stack: str, release_id: str, *, json: bool) -> None:
    try:
        release = store.get(stack, release_id)
    except ReleaseError as error:
        raise CliError(str(error)) from None
    if json:
        print_json(release.model_dump(mode="json", by_alias=True, exclude_none=True))
        return
    out = console()
    out.print(_table([release]))
    for model in release.models:
        out.print(f"\n{model.name} {model.version}", style="bold")
        table = Table.grid(padding=(0, 2))
        for what, value in (("image", model.image), *facts(model.supply_chain)):
            table.add_row(f"  {what}", value)
        out.print(table)


def _table(found: list[Release]) -> Table:
    table = plain_table("RELEASE", "TIME", "COMMIT", "WHO", "MODELS")
    for one in found:
        commit = f"{one.commit[:_COMMIT]}{' + changes' if one.modified else ''}" if one.commit else "-"
        models = [
            f"{model.name} {model.version} {model.digest.removeprefix('sha256:')[:_DIGEST]}" for model in one.models
        ]
        if one.promoted_from:
            models.insert(0, f"promoted: {one.promoted_from}")
        table.add_row(one.id, f"{one.time:%Y-%m-%d %H:%M:%S}Z", commit, one.who, "\n".join(models))
    return table
