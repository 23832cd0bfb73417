"""`slipway reload`: have a model load its script again, and say what became of it."""

from typing import Annotated

import typer

from cli.editing.reloading import reload_script
from cli.errors import CliError, Exit
from cli.options import DEFAULT_STACK, JsonOption, ModelArgument, StackOption
from cli.placements.choose import of_model, reachable
from cli.placements.containers import Engine
from cli.placements.placement import LOCAL_DOCKER, recorded
from cli.stack.pulumi import Pulumi
from cli.table import console, print_json


def command(
    name: ModelArgument,
    stack: StackOption = DEFAULT_STACK,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the script's init().")] = 60.0,
    json: JsonOption = False,
) -> None:
    """Have a model with `reload: true` load its script now, and say whether it did."""
    pulumi = Pulumi.here(stack)
    placements = of_model(pulumi, reachable(recorded(pulumi.outputs()), stack), name)
    local = next((one for one in placements if one.target == LOCAL_DOCKER), None)
    if local is None:
        raise CliError(f"{name} has no {LOCAL_DOCKER} target in the stack {stack}: only those reload.", code=Exit.USAGE)
    done = reload_script(Engine(pulumi.env), local, timeout)
    if json:
        print_json(
            {
                "model": name,
                "script": str(done.script),
                "reloaded": done.error is None,
                "generation": done.generation,
                "seconds": round(done.seconds, 1),
                "error": done.error,
            }
        )
    if done.error is not None:
        raise CliError(
            f"{name}: the script was not taken over; the one before it goes on serving (generation {done.generation}):"
            f"\n{done.error.rstrip()}",
            hint=f"Mend {done.script}: saving it loads it again.",
        )
    if not json:
        console().print(f"{name}: loaded in {done.seconds:.1f} s, generation {done.generation}.")
