"""`slipway graph`: models, images and targets of a stack as a picture."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import CliError, Exit
from cli.graph.graph import graph_of
from cli.graph.svg import draw
from cli.options import DEFAULT_STACK, JsonOption, StackOption
from cli.placements.overview import overview
from cli.placements.planned import with_planned
from cli.stack.pulumi import Pulumi
from cli.stack.wanted import checked_manifest
from cli.table import print_json, say
from manifest.atomic import write_atomically


def command(
    stack: StackOption = DEFAULT_STACK,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the picture there; - is the output.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Draw the stack's models, images and targets, and how they are, as SVG: slipway graph -o stack.svg."""
    pulumi = Pulumi.here(stack)
    seen = overview(pulumi)
    if seen.note:
        say(seen.note)
    graph = graph_of(stack, with_planned(seen.placements, checked_manifest(pulumi.project), pulumi.config.live_targets))
    if json:
        print_json(graph.as_json())
    elif output is None or str(output) == "-":
        # SVG is UTF-8, whatever the terminal takes.
        sys.stdout.buffer.write(draw(graph).encode())
    else:
        try:
            write_atomically(output, draw(graph))
        except OSError as error:
            raise CliError(f"{output} cannot be written: {error.strerror or error}.", code=Exit.USAGE) from None
