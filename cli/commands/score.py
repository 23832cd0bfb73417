"""`slipway score`: have deployed models score a request."""

import json as json_text
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.errors import CliError, Exit
from cli.options import DEFAULT_STACK, JsonOption, OptionalModel, StackOption
from cli.placements.choose import no_such, of_model, reachable
from cli.placements.devices import ask, device_of, needed_hub
from cli.placements.keys import Keys
from cli.placements.local import noting_containers
from cli.placements.placement import Placement, recorded
from cli.placements.port_forward import reached
from cli.placements.samples import gone, sample_file, score_samples
from cli.placements.service import Answer, score
from cli.placements.states import ASLEEP, restoring
from cli.placements.workloads import noting_sleep
from cli.stack.project import Project
from cli.stack.pulumi import Pulumi
from cli.stack.wanted import checked_manifest
from cli.table import print_json, print_text
from manifest import Manifest

_STDIN = "-"
_AT_ONCE = 8
_NO_ANSWER = {"status": None, "milliseconds": None, "answer": None}


def command(
    name: OptionalModel = None,
    stack: StackOption = DEFAULT_STACK,
    data: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The request; - reads it from the input. Default: the model's sample."),
    ] = None,
    target: Annotated[str | None, typer.Option(help="The kind of target to ask, where the model has several.")] = None,
    device: Annotated[str | None, typer.Option(help="The device to ask, where the model is on several.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the answer.")] = 60.0,
    json: JsonOption = False,
) -> None:
    """Have a deployed model score a request, and print its answer; without NAME, have every model score its sample."""
    pulumi = Pulumi.here(stack)
    deployed = recorded(pulumi.outputs())
    on_devices = [one for one in deployed if one.deployment and name == one.model and target in (None, one.target)]
    if on_devices and (device or target or not any(one.endpoint and one.model == name for one in deployed)):
        answer = _on_device(pulumi, on_devices[0], device, data, timeout)
        _print_one(on_devices[0], answer, json=json)
        return
    if device:
        raise CliError(f"{name or 'No model'} runs on no device in the stack {stack}.", code=Exit.USAGE)
    keys = Keys(pulumi)
    known = noting_containers(pulumi, noting_sleep(pulumi, reachable(deployed, stack)))
    with reached(pulumi, known) as placements:
        if not name:
            _score_all(pulumi.project, stack, placements, keys, data, target, timeout, json=json)
            return
        placement = _choose(pulumi, placements, name, target)
        if placement.state == ASLEEP:
            raise CliError(
                f"{name} is asleep: it has no pods until one of its triggers asks for one, and a request does not.",
                hint="Its `replicas.triggers` in models.yaml say what wakes it up.",
            )
        if why := gone(placement):
            raise CliError(f"{name} was not asked: {why}.", hint=f"Restore it: {restoring(stack)}")
        body = _body(data) if data is not None else _sample(pulumi.project, placement.model)
        answer = score(placement.endpoint or "", body, timeout, keys.of(placement))
    _print_one(placement, answer, json=json)


def _print_one(placement: Placement, answer: Answer, *, json: bool) -> None:
    if json:
        print_json(_report(placement, answer))
    elif answer.is_success:
        print_text(answer.value)
    if not answer.is_success:
        raise CliError(f"{placement.model} answered {answer.status}: {answer.message}")


def _on_device(pulumi: Pulumi, placement: Placement, device: str | None, data: str | None, timeout: float) -> Answer:
    """Have the model's module on one device score, by a direct method through the hub."""
    body = _body(data) if data is not None else _sample(pulumi.project, placement.model)
    try:
        payload = json_text.loads(body)
    except ValueError:
        raise CliError("A device takes requests that are JSON.", code=Exit.USAGE) from None
    hub = needed_hub(pulumi)
    return ask(hub, placement, device_of(placement, hub, device), "score", payload, timeout)


def _score_all(
    project: Project,
    stack: str,
    placements: list[Placement],
    keys: Keys,
    data: str | None,
    target: str | None,
    timeout: float,
    *,
    json: bool,
) -> None:
    names = ", ".join(dict.fromkeys(one.model for one in placements))
    if data is not None:
        raise CliError(
            f"Which model is to score {data}?",
            hint=f"slipway score NAME --data {data}, NAME being one of: {names}.",
            code=Exit.USAGE,
        )
    chosen = [one for one in placements if target in (None, one.target)]
    if not chosen:
        raise no_such("target", target or "", {one.target for one in placements})
    manifest = checked_manifest(project)
    if json:
        answered = _print_all(project, stack, manifest, chosen, keys, timeout)
    else:
        answered = score_samples(chosen, manifest, project.root, keys, timeout)
    if not answered:
        raise typer.Exit(Exit.FAILED)


def _print_all(
    project: Project, stack: str, manifest: Manifest, placements: list[Placement], keys: Keys, timeout: float
) -> bool:
    """Print every model's answer as JSON; tell whether all of them answered."""
    files = {model.name: sample_file(model, project.root) for model in manifest.models}

    def ask(placement: Placement) -> dict[str, Any]:
        if why := gone(placement):
            return {**_place(placement), **_NO_ANSWER, "error": f"{why}."}
        file = files.get(placement.model)
        if file is None or placement.state == ASLEEP:
            return {**_place(placement), **_NO_ANSWER, "error": None}
        try:
            answer = score(placement.endpoint or "", _body(str(file)), timeout, keys.of(placement))
        except CliError as error:
            return {**_place(placement), **_NO_ANSWER, "error": str(error)}
        return {**_report(placement, answer), "error": None if answer.is_success else answer.message}

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(ask, placements))
    print_json({"stack": stack, "answers": answers})
    return not any(one["error"] for one in answers)


def _choose(pulumi: Pulumi, placements: list[Placement], name: str, target: str | None) -> Placement:
    by_target = {one.target: one for one in of_model(pulumi, placements, name)}
    if target is None:
        return next(iter(by_target.values()))
    if target not in by_target:
        raise no_such(f"target of {name}", target, by_target)
    return by_target[target]


def _body(data: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if data == _STDIN else Path(data).read_bytes()
    except OSError as error:
        raise CliError(f"{data} cannot be read: {error.strerror or error}.", code=Exit.USAGE) from None


def _sample(project: Project, name: str) -> bytes:
    for model in checked_manifest(project).models:
        if model.name == name and (file := sample_file(model, project.root)):
            return file.read_bytes()
    raise CliError(f"{name} has no sample in models.yaml.", hint="Give a request: --data FILE", code=Exit.USAGE)


def _place(placement: Placement) -> dict[str, Any]:
    return {"model": placement.model, "version": placement.version, "target": placement.target}


def _report(placement: Placement, answer: Answer) -> dict[str, Any]:
    return {
        **_place(placement),
        "status": answer.status,
        "milliseconds": round(answer.milliseconds, 1),
        "answer": answer.value,
    }
