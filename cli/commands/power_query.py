"""`slipway power-query`: queries for Power BI and Excel of what a model's jobs wrote, and of its service."""

import sys
from typing import Annotated

import typer

from cli.errors import CliError, Exit
from cli.options import DEFAULT_STACK, ModelArgument, StackOption
from cli.placements.choose import no_such, of_model
from cli.placements.placement import BATCH, Placement, recorded
from cli.placements.samples import sample_file
from cli.power_query.queries import NoConnectorError, results_query, service_query
from cli.stack.project import Project
from cli.stack.pulumi import Pulumi
from cli.stack.wanted import checked_manifest


def command(
    name: ModelArgument,
    stack: StackOption = DEFAULT_STACK,
    target: Annotated[str | None, typer.Option(help="The kind of target. Default: all that the model has.")] = None,
    job: Annotated[
        str | None,
        typer.Option(
            "--job", metavar="ID", help="The batch job. Default: the one that wrote last.", show_default=False
        ),
    ] = None,
) -> None:
    """Print a query for Power BI or Excel: paste it into the advanced editor of an empty query."""
    pulumi = Pulumi.here(stack)
    outputs = pulumi.outputs()
    placements = of_model(pulumi, recorded(outputs), name)
    chosen = [one for one in placements if target in (None, one.target) and (one.endpoint or one.target == BATCH)]
    if not chosen:
        if target is None:
            raise CliError(f"{name} has nothing in the stack {stack} that Power BI could read.")
        raise no_such(f"target of {name}", target, [one.target for one in placements])
    if job is not None and BATCH not in {one.target for one in chosen}:
        raise CliError(
            f"--job {job}: only jobs of the target {BATCH} have one, and this would be a query of {name}'s service.",
            hint=f"Leave --job out, or name a model with the target {BATCH}.",
            code=Exit.USAGE,
        )
    queries = [
        _of_results(pulumi.project, (outputs or {})["models"][name]["targets"][BATCH], name, job)
        if one.target == BATCH
        else _of_service(pulumi.project, one)
        for one in chosen
    ]
    sys.stdout.write("\n".join(queries))


def _of_results(project: Project, target: dict[str, object], name: str, job: str | None) -> str:
    output = str(target.get("output") or project.private / "batch" / name)
    if "://" not in output:
        output = str(project.root / output)
    settings = target.get("settings")
    form = str(settings.get("SLIPWAY_JOB_FORMAT", "parquet")) if isinstance(settings, dict) else "parquet"
    account = target.get("storageAccount")
    try:
        return results_query(name, output, form, account=str(account) if account else None, job=job)
    except NoConnectorError as error:
        raise CliError(
            str(error), hint="It reads Azure's blob storage and folders; `output` of the target says where jobs write."
        ) from None


def _of_service(project: Project, placement: Placement) -> str:
    models = {model.name: model for model in checked_manifest(project).models}
    model = models.get(placement.model)
    file = sample_file(model, project.root) if model else None
    url = f"{(placement.endpoint or '').rstrip('/')}/score"
    return service_query(placement.model, url, file.read_bytes() if file else None)
