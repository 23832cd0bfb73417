"""`slipway logs`: what the models' containers printed."""

import json as json_text
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.text import Text

from cli.errors import CliError, Exit
from cli.logs.events import event_of, readable
from cli.logs.source import Line, LogSource, following, so_far
from cli.options import DEFAULT_STACK, JsonOption, OptionalModel, StackOption
from cli.placements import devices, groups, local, workloads
from cli.placements.choose import absent
from cli.placements.placement import AKS, LOCAL_DOCKER, recorded
from cli.stack.pulumi import Pulumi
from cli.table import console, say
from manifest import AciTarget, IotEdgeTarget

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")


def command(
    name: OptionalModel = None,
    stack: StackOption = DEFAULT_STACK,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more, until Ctrl-C.")] = False,
    tail: Annotated[int, typer.Option("--tail", "-n", min=0, help="How many of the last lines of each model.")] = 200,
    device: Annotated[str | None, typer.Option(help="Of a model on devices: the one to ask.")] = None,
    json: JsonOption = False,
) -> None:
    """Print what a model's container printed, or what all of them did, by time."""
    pulumi = Pulumi.here(stack)
    live = set(pulumi.config.live_targets)
    if (device or IotEdgeTarget.kind in live) and (told := _of_device(pulumi, name, device, tail, follow=follow)):
        _print_json(told) if json else _print(told, [])
        return
    # Targets elsewhere alone need no Docker engine here, which takes a second to tell.
    sources = local.log_sources(pulumi) if LOCAL_DOCKER in live or not live & {AciTarget.kind, AKS} else []
    sources += workloads.log_sources(pulumi) if AKS in live else []
    sources += groups.log_sources(pulumi) if AciTarget.kind in live else []
    _check_name(pulumi, name, {one.model for one in sources})
    sources = [one for one in sources if name in (None, "", one.model)]
    lines = following(sources, tail) if follow else so_far(sources, tail)
    if json:
        _print_json(lines)
    else:
        # Of one container alone, nobody has to be told whose a line is.
        _print(lines, [] if name and len(sources) == 1 else sources)


def _of_device(pulumi: Pulumi, name: str | None, device: str | None, tail: int, *, follow: bool) -> list[Line]:
    """What a model wrote on a device; nothing where it is somewhere else too, and no device is named."""
    deployed = recorded(pulumi.outputs())
    placement = next((one for one in deployed if one.deployment and name in (one.model, None, "")), None)
    elsewhere = [one for one in deployed if not one.deployment and name in (one.model, None, "")]
    if placement is None or (elsewhere and not device):
        if device:
            raise CliError(f"{name or 'No model'} runs on no device in the stack {pulumi.stack}.", code=Exit.USAGE)
        return []
    if not name:
        raise CliError("Which model's log?", hint="slipway logs NAME --device ID", code=Exit.USAGE)
    source = devices.log_source(devices.needed_hub(pulumi), placement, device)
    if follow:
        say(f"{name}: a device's log cannot be followed through the hub; what there is so far:")
    found = [Line(source, *dated) for dated in source.read(tail=tail)]
    if not found:
        say(f"{name} has written nothing on {source.name} yet.")
        raise typer.Exit
    return found


def _check_name(pulumi: Pulumi, name: str | None, models: set[str]) -> None:
    if not models:
        raise CliError(f"The stack {pulumi.stack} runs no model.", hint="`slipway up` deploys models.yaml.")
    if name and name not in models:
        raise absent(pulumi, name, models)


def _print(lines: Iterable[Line], sources: list[LogSource]) -> None:
    """Print lines as they are; where they are of several logs, each behind its model's name, or its own one."""
    several = {model for model, count in Counter(one.model for one in sources).items() if count > 1}
    labels = {one: one.name if one.model in several else one.model for one in sources}
    width = max(map(len, labels.values()), default=0)
    colours = {one: _COLOURS[number % len(_COLOURS)] for number, one in enumerate(sources)}
    out = console()
    for line in lines:
        text = Text()
        if sources:
            text.append(f"{labels[line.source]:<{width}} | ", style=colours[line.source])
        # Other lines as the container printed them, colours among it.
        text.append_text(Text.from_ansi(readable(line.text)))
        out.print(text, soft_wrap=True)


def _print_json(lines: Iterable[Line]) -> None:
    for line in lines:
        record = {
            "model": line.source.model,
            "container": line.source.name,
            "time": line.time,
            "line": line.text,
            "event": event_of(line.text),
        }
        sys.stdout.write(json_text.dumps(record, ensure_ascii=False) + "\n")
        sys.stdout.flush()
