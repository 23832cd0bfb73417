"""`slipway models`: the registered versions, one of them in full, or the checksum of a model that is elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError
from rich.table import Table

from cli.errors import CliError, Exit
from cli.options import DEFAULT_STACK, JsonOption, StackOption
from cli.placements.choose import no_such
from cli.stack.config import load_stack_config
from cli.stack.project import Project, find_project
from cli.stack.pulumi import Pulumi
from cli.table import console, plain_table, print_json
from cli.units import size
from manifest.environment import WORKSPACE_REGISTRY
from manifest.fields import SourceUrl
from registry import ModelVersion, Registry, RegistryError, digest_of, open_registry
from registry.azureml_address import with_workspace
from registry.progress import on_terminal

_DIGEST = 12
_COMMIT = 10

group = typer.Typer()


@group.callback(invoke_without_command=True)
def models(context: typer.Context, stack: StackOption = DEFAULT_STACK, json: JsonOption = False) -> None:
    """List the registered models, show one (`show NAME[:VERSION]`), or fetch and hash one (`digest URL`)."""
    if context.invoked_subcommand is None:
        list_(stack=stack, json=json)


@group.command("list")
def list_(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A model.", show_default=False)] = None,
    stack: StackOption = DEFAULT_STACK,
    json: JsonOption = False,
) -> None:
    """List the registered models, or the versions of one; this is the default."""
    with _told():
        registry = _registry(find_project(), stack)
        names = registry.models()
        if name is not None and name not in names:
            raise _no_such(name, names)
        found = [one for model in ([name] if name else names) for one in registry.versions(model)]
    if json:
        print_json({"models": [one.model_dump(mode="json", by_alias=True) for one in found]})
    elif found:
        console().print(_table(found))
    else:
        console().print("No model is registered yet. `slipway up` registers those of models.yaml.")


@group.command()
def show(
    what: Annotated[str, typer.Argument(metavar="NAME[:VERSION]", help="The model; its latest version without one.")],
    stack: StackOption = DEFAULT_STACK,
    json: JsonOption = False,
) -> None:
    """Show a registered version in full."""
    name, _, version = what.partition(":")
    with _told():
        registry = _registry(find_project(), stack)
        versions = registry.versions(name)
        if not versions:
            raise _no_such(name, registry.models())
    found = next((one for one in versions if one.version == version or not version), None)
    if found is None:
        raise no_such(f"version of {name}", version, [one.version for one in versions])
    if json:
        print_json(found.model_dump(mode="json", by_alias=True))
        return
    table = plain_table("", "", header=False)
    for key, value in _rows(found):
        table.add_row(key, value)
    console().print(table)


@group.command()
def digest(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where the model is, as `source.url` has it.")],
    stack: StackOption = DEFAULT_STACK,
    json: JsonOption = False,
) -> None:
    """Fetch a model that is elsewhere, and print its checksum as the manifest takes it."""
    project = find_project()
    try:
        TypeAdapter(SourceUrl).validate_python(url)
    except ValidationError as error:
        raise CliError(f"The URL {error.errors()[0]['msg']}.", code=Exit.USAGE) from None
    with _told():
        listing = digest_of(_placed(project, stack, url), project.root, on_terminal())
    sha256 = listing.digest.removeprefix("sha256:")
    if json:
        print_json({"url": url, "sha256": sha256, "size": listing.size, "files": [one.name for one in listing.files]})
        return
    console().print(f"source:\n  url: {url}\n  sha256: {sha256}", soft_wrap=True)


@contextmanager
def _told() -> Iterator[None]:
    """Tell what the registry raises as the command's errors."""
    try:
        yield
    except RegistryError as error:
        raise CliError(str(error)) from None


def _registry(project: Project, stack: str) -> Registry:
    location = load_stack_config(project, stack).values.get("slipway:modelRegistry")
    if location == WORKSPACE_REGISTRY:
        outputs = Pulumi(project, stack, project.environment()).outputs() or {}
        location = outputs.get("azure", {}).get("modelRegistry")
        if not location:
            raise CliError(f"The stack {stack} has no model registry yet; `slipway up --stack {stack}` makes it.")
    return open_registry(location if isinstance(location, str) else None, project.root)


def _no_such(name: str, names: list[str]) -> CliError:
    return no_such("model", name, names) if names else CliError("No model is registered yet.", code=Exit.USAGE)


def _table(found: list[ModelVersion]) -> Table:
    table = plain_table("NAME", "VERSION", "DIGEST", "SIZE", "WHEN", "WHO", "COMMIT", "TAGS")
    for one in found:
        table.add_row(
            one.name,
            one.version,
            one.digest.removeprefix("sha256:")[:_DIGEST],
            size(one.size),
            f"{one.lineage.when:%Y-%m-%d %H:%M}Z",
            one.lineage.who,
            _commit(one)[:_COMMIT],
            ", ".join(f"{name}={value}" for name, value in one.notes.tags.items()),
        )
    return table


def _commit(one: ModelVersion) -> str:
    return one.lineage.commit or "-"


def _rows(one: ModelVersion) -> list[tuple[str, str]]:
    dirty = " and changes that were not committed" if one.lineage.dirty else ""
    rows: list[tuple[str, Any]] = [
        ("name", one.name),
        ("version", one.version),
        ("digest", one.digest),
        ("size", f"{size(one.size)} ({one.size:,} bytes)"),
        ("source", one.lineage.source),
        ("registered", f"{one.lineage.when:%Y-%m-%d %H:%M:%S}Z by {one.lineage.who}"),
        ("commit", f"{_commit(one)}{dirty}"),
        ("framework", one.notes.framework),
        ("description", one.notes.description),
        ("training data", one.notes.data),
        *(("metric", f"{name} = {value:g}") for name, value in one.notes.metrics.items()),
        *(("tag", f"{name} = {value}") for name, value in one.notes.tags.items()),
        *(("file", f"{file.name}  {size(file.size)}  {file.sha256 or file.link}") for file in one.files),
    ]
    return [(key, str(value)) for key, value in rows if value]


def _placed(project: Project, stack: str, url: str) -> str:
    """A source's address; `azureml:NAME:VERSION` is in the stack's workspace."""
    if not url.startswith("azureml:"):
        return url
    azure = load_stack_config(project, stack).values.get("slipway:azure")
    settings = azure.get("machineLearning") if isinstance(azure, dict) else None
    workspace = settings.get("id") if isinstance(settings, dict) else None
    return with_workspace(url, workspace if isinstance(workspace, str) else None)
