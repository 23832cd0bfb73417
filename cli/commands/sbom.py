"""`slipway sbom`: what is in a model's image, as it was recorded with its release."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cli.errors import CliError, Exit
from cli.options import DEFAULT_STACK, JsonOption, ModelArgument, StackOption
from cli.releases.log import releases_location, store_of
from cli.stack.pulumi import Pulumi
from cli.supply_chain.sbom import components
from cli.table import console, plain_table
from manifest.atomic import write_atomically
from releases import ImageStore, ReleasedModel, ReleaseError


def command(
    name: ModelArgument,
    stack: StackOption = DEFAULT_STACK,
    release_id: Annotated[
        str | None,
        typer.Option("--release", metavar="ID", help="An earlier release (`slipway releases`). Default: the latest."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it as CycloneDX to this file.", show_default=False)
    ] = None,
    json: JsonOption = False,
) -> None:
    """List what is in a model's image: packages, versions, licences. With --json or -o, in CycloneDX."""
    pulumi = Pulumi.here(stack)
    try:
        model = _model(pulumi, name, release_id)
        sbom = model.supply_chain.sbom if model.supply_chain else None
        if sbom is None:
            raise CliError(
                f"There is no SBOM of {name} on record in {stack}.",
                hint=f"Pulumi.{stack}.yaml needs slipway:supplyChain; `slipway up --stack {stack}` then makes one.",
            )
        content = ImageStore(releases_location(pulumi)).sbom(model.digest, sbom.digest)
    except ReleaseError as error:
        raise CliError(str(error)) from None
    if output:
        try:
            write_atomically(output, content.decode())
        except OSError as error:
            raise CliError(f"{output} cannot be written: {error.strerror or error}.", code=Exit.USAGE) from None
    elif json:
        sys.stdout.write(content.decode())
    else:
        console().print(_table(content))
        console(error=True).print(f"{model.image}, {sbom.components} components, by {sbom.tool}", soft_wrap=True)


def _model(pulumi: Pulumi, name: str, release_id: str | None) -> ReleasedModel:
    store = store_of(pulumi)
    release = store.get(pulumi.stack, release_id) if release_id else store.latest(pulumi.stack)
    model = release.model(name) if release else None
    if release is None or model is None:
        names = ", ".join(one.name for one in release.models) if release else ""
        raise CliError(
            f"No release of {pulumi.stack} has {name}.",
            hint=f"Release {release.id} has: {names or 'no models'}." if release else "`slipway up` makes one.",
            code=Exit.USAGE,
        )
    return model


def _table(content: bytes) -> Table:
    table = plain_table("KIND", "NAME", "VERSION", "LICENCES")
    for one in components(content):
        table.add_row(one.kind, one.name, one.version, ", ".join(one.licences))
    return table
