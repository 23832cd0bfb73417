"""`slipway models`: the registered versions, one of them in full, or the checksum of a model that is elsewhere."""

from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError
from rich.table import Table

from cli.errors import CliError, Exit
from cli.options import DEFAULT_STACK, JsonOption, StackOption
from cli.stack.config import load_stack_config
from cli.stack.project import Project, find_project
from cli.stack.pulumi import Pulumi
from cli.table import console, plain_table, print_json
from cli.units import size
from manifest.environment import WORKSPACE_REGISTRY
from manifest.fields import SourceUrl
from manifest.problems import unknown
from registry import ModelVersion, Registry, RegistryError, digest_of, open_registry
from registry.azureml_address import with_workspace
from registry.progress import on_terminal

_ACTIONS = ("list", "show", "digest")
_DIGEST = 12
_COMMIT = 10


def command(
    action: Annotated[
        str, typer.Argument(metavar="[list|show|digest]", help="What to do; list is the default.", show_default=False)
    ] = "list",
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME[:VERSION]|URL]", help="With show and list, a model; with digest, a URL.", show_default=False
        ),
    ] = None,
    stack: StackOption = DEFAULT_STACK,
    json: JsonOption = False,
) -> None:
    """List the registered models, show one (`show NAME[:VERSION]`), or fetch and hash one (`digest URL`)."""
    if action not in _ACTIONS:
        raise CliError(unknown("action", action, _ACTIONS), code=Exit.USAGE)
    if action != "list" and not what:
        needed = (
            "a model: slipway models show NAME[:VERSION]" if action == "show" else "a URL: slipway models digest URL"
        )
        raise CliError(f"`{action}` needs {needed}", code=Exit.USAGE)
    project = find_project()
    try:
        if action == "digest":
            _digest(project, stack, str(what), json=json)
        elif action == "show":
            _show(_registry(project, stack), str(what), json=json)
        else:
            _list(_registry(project, stack), what, json=json)
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


def _list(registry: Registry, name: str | None, *, json: bool) -> None:
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


def _no_such(name: str, names: list[str]) -> CliError:
    message = unknown("model", name, names) if names else "No model is registered yet."
    return CliError(message[:1].upper() + message[1:], code=Exit.USAGE)


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


def _show(registry: Registry, what: str, *, json: bool) -> None:
    name, _, version = what.partition(":")
    versions = registry.versions(name)
    if not versions:
        raise _no_such(name, registry.models())
    found = next((one for one in versions if one.version == version or not version), None)
    if found is None:
        message = unknown(f"version of {name}", version, [one.version for one in versions])
        raise CliError(message[:1].upper() + message[1:], code=Exit.USAGE)
    if json:
        print_json(found.model_dump(mode="json", by_alias=True))
        return
    table = plain_table("", "", header=False)
    for key, value in _rows(found):
        table.add_row(key, value)
    console().print(table)


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


def _digest(project: Project, stack: str, url: str, *, json: bool) -> None:
    try:
        TypeAdapter(SourceUrl).validate_python(url)
    except ValidationError as error:
        raise CliError(f"The URL {error.errors()[0]['msg']}.", code=Exit.USAGE) from None
    listing = digest_of(_placed(project, stack, url), project.root, on_terminal())
    sha256 = listing.digest.removeprefix("sha256:")
    if json:
        print_json({"url": url, "sha256": sha256, "size": listing.size, "files": [one.name for one in listing.files]})
        return
    console().print(f"source:\n  url: {url}\n  sha256: {sha256}", soft_wrap=True)


def _placed(project: Project, stack: str, url: str) -> str:
    """A source's address; `azureml:NAME:VERSION` is in the stack's workspace."""
    if not url.startswith("azureml:"):
        return url
    azure = load_stack_config(project, stack).values.get("slipway:azure")
    settings = azure.get("machineLearning") if isinstance(azure, dict) else None
    workspace = settings.get("id") if isinstance(settings, dict) else None
    return with_workspace(url, workspace if isinstance(workspace, str) else None)
