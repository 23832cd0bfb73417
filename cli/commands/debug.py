"""`slipway debug`: a deployed model once more, in a container that a debugger can attach to."""

import signal
from types import FrameType
from typing import Annotated

import typer

from cli.editing.debugging import LISTENING, REMOTE_ROOT, Wish, start
from cli.errors import CliError
from cli.options import DEFAULT_STACK, ModelArgument, StackOption
from cli.placements.choose import no_such, of_model
from cli.placements.containers import Engine
from cli.placements.placement import recorded
from cli.stack.project import Project
from cli.stack.pulumi import Pulumi
from cli.stack.wanted import checked_manifest
from cli.table import console
from manifest import Model


def command(
    name: ModelArgument,
    stack: StackOption = DEFAULT_STACK,
    debug_port: Annotated[int, typer.Option(min=1, max=65535, help="The port for the debugger.")] = 5678,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The port for requests. Default: one that is free.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the debugger before init().")] = False,
) -> None:
    """Run a deployed model once more, for a debugger, until Ctrl-C: edits are live, the deployed container stays.

    In VS Code: Run and Debug, "Slipway: debug a model". Others attach debugpy's protocol (DAP) to 127.0.0.1.
    """
    pulumi = Pulumi.here(stack)
    model = _model(pulumi.project, name)
    placement = next((one for one in of_model(pulumi, recorded(pulumi.outputs()), name) if one.container), None)
    engine = Engine(pulumi.env)
    deployed = engine.inspect(placement.container or "") if placement else None
    if deployed is None:
        raise CliError(
            f"{name} has no container on this machine in the stack {stack}.", hint="`slipway up` deploys models.yaml."
        )
    wish = Wish(model, pulumi.project.root, f"{pulumi.project.name}/{stack}", debug_port, port, wait)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # An editor ends its tasks so; the container must not stay.
        signal.signal(number, _interrupt)
    container = start(engine, deployed, wish)
    try:
        _follow(engine, container, wish)
        code = engine.wait(container)
    finally:
        engine.remove_by_name(container)
    if code:
        raise CliError(f"The debug container of {name} ended with code {code}.")


def _follow(engine: Engine, container: str, wish: Wish) -> None:
    """Print the log until the container ends; in between, once, how to reach it."""
    out = console()
    told = False
    for _, line in engine.log(container, follow=True):
        if not line.startswith(LISTENING):
            out.print(line, soft_wrap=True)
        elif not told:
            told = True
            endpoint = next((one for port, one in engine.endpoints(container).items() if port != wish.debug_port), "")
            out.print(f"{wish.model.name} answers at {endpoint}/score; Ctrl-C ends it.", soft_wrap=True)
            out.print(
                f"A debugger can attach to 127.0.0.1:{wish.debug_port}; {wish.root} is {REMOTE_ROOT} there.",
                soft_wrap=True,
            )


def _model(project: Project, name: str) -> Model:
    models = {model.name: model for model in checked_manifest(project).models}
    if name not in models:
        raise no_such("model", name, models)
    return models[name]


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
