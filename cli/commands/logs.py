"""`slipway logs`: what the models' containers printed."""

import json as json_text
import queue
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.text import Text

from cli.choose import sentence
from cli.containers import Engine, Running
from cli.deployed import LOCAL_DOCKER, recorded
from cli.errors import CliError, Exit
from cli.log_events import event_of, readable
from cli.options import DEFAULT_STACK, JsonOption, OptionalModel, StackOption
from cli.project import find_project
from cli.pulumi import Pulumi
from cli.table import console, say
from manifest import AciTarget, AksTarget, IotEdgeTarget
from manifest.problems import unknown

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")


@dataclass(frozen=True)
class _Line:
    container: Running
    time: str
    text: str


@dataclass(frozen=True)
class _End:
    """That a container's log has ended, and why if it broke off."""

    container: Running
    problem: CliError | None


@dataclass(frozen=True)
class _Source:
    """A container, and what reads its log: takes how many of the last lines, and whether to wait for more."""

    container: Running
    read: Callable[[int, bool], Iterator[tuple[str, str]]]


def command(
    name: OptionalModel = None,
    stack: StackOption = DEFAULT_STACK,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more, until Ctrl-C.")] = False,
    tail: Annotated[int, typer.Option("--tail", "-n", min=0, help="How many of the last lines of each model.")] = 200,
    device: Annotated[str | None, typer.Option(help="Of a model on devices: the one to ask.")] = None,
    json: JsonOption = False,
) -> None:
    """Print what a model's container printed, or what all of them did, by time."""
    project = find_project()
    pulumi = Pulumi(project, stack, project.environment())
    live = set(pulumi.config.live_targets)
    if (device or IotEdgeTarget.kind in live) and (told := _of_device(pulumi, name, device, tail, follow=follow)):
        _print_json(told) if json else _print(told, [])
        return
    # Targets elsewhere alone need no Docker engine here, which takes a second to tell.
    sources = _on_engine(pulumi) if LOCAL_DOCKER in live or not live & {AciTarget.kind, AksTarget.kind} else []
    sources += _on_cluster(pulumi) if AksTarget.kind in live else []
    sources += _in_groups(pulumi) if AciTarget.kind in live else []
    _check_name(name, {one.container.model for one in sources}, stack)
    sources = [one for one in sources if name in (None, "", one.container.model)]
    # The times of engines, clusters and Azure sort as text.
    lines = _following(sources, tail) if follow else sorted(_so_far(sources, tail), key=lambda line: line.time)
    if json:
        _print_json(lines)
    else:
        # Of one container alone, nobody has to be told whose a line is.
        _print(lines, [] if name and len(sources) == 1 else [one.container for one in sources])


def _on_engine(pulumi: Pulumi) -> list[_Source]:
    engine = Engine(pulumi.env)
    containers = engine.containers(pulumi.project.name, pulumi.stack)

    def reader(container: Running) -> Callable[[int, bool], Iterator[tuple[str, str]]]:
        return lambda tail, follow: engine.log(container.id, tail=tail, follow=follow)

    return [_Source(one, reader(one)) for one in containers]


def _on_cluster(pulumi: Pulumi) -> list[_Source]:
    """The pods of models on Kubernetes; each shows under its model's name."""
    from cli.cluster import MODEL, VERSION, Cluster  # noqa: PLC0415 - only stacks on Kubernetes need it

    cluster = Cluster.of(pulumi, recorded(pulumi.outputs()))
    found = []
    for pod in cluster.pods():
        labels, name = pod.metadata.labels, pod.metadata.name
        container = Running(
            pod.metadata.uid,
            name,
            pulumi.stack,
            labels[MODEL],
            labels.get(VERSION, ""),
            pod.status.phase,
            endpoint=None,
        )

        def read(tail: int, follow: bool, pod: Any = pod) -> Iterator[tuple[str, str]]:
            return cluster.log(pod, tail=tail, follow=follow)

        found.append(_Source(container, read))
    return found


def _in_groups(pulumi: Pulumi) -> list[_Source]:
    """The models on Container Instances."""
    from cli.groups import Group, Groups, groups  # noqa: PLC0415 - only stacks with container groups need it

    asked = Groups(pulumi)

    def source(group: Group) -> _Source:
        container = Running(group.id, group.name, pulumi.stack, group.model, "", "running", endpoint=None)
        return _Source(container, lambda tail, follow: asked.log(group, tail, follow=follow))

    return [source(one) for one in groups(pulumi.outputs())]


def _of_device(pulumi: Pulumi, name: str | None, device: str | None, tail: int, *, follow: bool) -> list[_Line]:
    """What a model wrote on a device; nothing where it is somewhere else too, and no device is named."""
    from cli.edge import device_of, module_log, needed_hub  # noqa: PLC0415 - only models on devices need it

    deployed = recorded(pulumi.outputs())
    placement = next((one for one in deployed if one.deployment and name in (one.model, None, "")), None)
    elsewhere = [one for one in deployed if not one.deployment and name in (one.model, None, "")]
    if placement is None or (elsewhere and not device):
        if device:
            raise CliError(f"{name or 'No model'} runs on no device in the stack {pulumi.stack}.", code=Exit.USAGE)
        return []
    if not name:
        raise CliError("Which model's log?", hint="slipway logs NAME --device ID", code=Exit.USAGE)
    hub = needed_hub(pulumi)
    asked = device_of(placement, hub, device)
    if follow:
        say(f"{name}: a device's log cannot be followed through the hub; what there is so far:")
    source = Running(asked, asked, pulumi.stack, name, version="", state="running", endpoint=None)
    found, time = [], ""
    for line in module_log(hub, placement, asked, tail):
        # A line without a time belongs to the one before it.
        time = (event_of(line) or {}).get("time", time)
        found.append(_Line(source, time, line))
    if not found:
        say(f"{name} has written nothing on {asked} yet.")
        raise typer.Exit
    return found


def _check_name(name: str | None, models: set[str], stack: str) -> None:
    if not models:
        raise CliError(f"The stack {stack} runs no model.", hint="`slipway up` deploys models.yaml.")
    if name and name not in models:
        raise CliError(sentence(unknown("model", name, models)), code=Exit.USAGE)


def _so_far(sources: list[_Source], tail: int) -> list[_Line]:
    found = []
    for one in sources:
        try:
            found += [_Line(one.container, *dated) for dated in one.read(tail, False)]
        except CliError as error:
            if len(sources) == 1:
                raise
            say(f"{one.container.name}: {error}")
    return found


def _following(sources: list[_Source], tail: int) -> Iterator[_Line]:
    """What the containers print, as it comes, until all of them have ended; a log that breaks off ends no other."""
    printed: queue.SimpleQueue[_Line | _End] = queue.SimpleQueue()

    def read(source: _Source) -> None:
        problem = None
        try:
            for dated in source.read(tail, True):
                printed.put(_Line(source.container, *dated))
        except CliError as error:
            problem = error
        except Exception as error:  # noqa: BLE001 - a thread's own end would be a traceback, and nothing else
            problem = CliError(
                f"Slipway itself failed: {type(error).__name__}: {error}", hint="SLIPWAY_DEBUG=1 shows where."
            )
            problem.__cause__ = error
        printed.put(_End(source.container, problem))

    for one in sources:
        threading.Thread(target=read, args=(one,), daemon=True).start()
    left = len(sources)
    while left:
        line = printed.get()
        if isinstance(line, _Line):
            yield line
            continue
        left -= 1
        if line.problem and not left:
            raise line.problem
        if line.problem:
            say(f"{line.container.name}: {line.problem}")


def _print(lines: Iterable[_Line], containers: list[Running]) -> None:
    """Print lines as they are; where they are of several containers, each behind its model's name, or its own one."""
    several = {model for model, count in Counter(one.model for one in containers).items() if count > 1}
    labels = {one.id: one.name if one.model in several else one.model for one in containers}
    width = max(map(len, labels.values()), default=0)
    colours = {one.id: _COLOURS[number % len(_COLOURS)] for number, one in enumerate(containers)}
    out = console()
    for line in lines:
        text = Text()
        if containers:
            text.append(f"{labels[line.container.id]:<{width}} | ", style=colours[line.container.id])
        # Other lines as the container printed them, colours among it.
        text.append_text(Text.from_ansi(readable(line.text)))
        out.print(text, soft_wrap=True)


def _print_json(lines: Iterable[_Line]) -> None:
    for line in lines:
        record = {
            "model": line.container.model,
            "container": line.container.name,
            "time": line.time,
            "line": line.text,
            "event": event_of(line.text),
        }
        sys.stdout.write(json_text.dumps(record, ensure_ascii=False) + "\n")
        sys.stdout.flush()
