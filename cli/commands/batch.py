"""`slipway batch`: jobs of models with a batch target: start, list, follow, end, and see what they wrote."""

import json as json_text
import sys
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cli.batch.logs import lines
from cli.batch.progress import follow, reasons, report, summary
from cli.batch.target import BatchTarget, open_targets, told
from cli.errors import CliError, Exit
from cli.logs.events import event_of, readable
from cli.options import DEFAULT_STACK, JsonOption, ModelArgument, OptionalModel, StackOption
from cli.output import is_read
from cli.stack.pulumi import Pulumi
from cli.table import console, plain_table, print_json, say
from cli.units import size
from jobs.engine import JobState, State
from jobs.output import ERRORS, PREDICTIONS, WRITTEN, Output, Progress

group = typer.Typer(
    help="Score files and rows of any number: jobs of models with a `batch` target.", no_args_is_help=True
)

_COLOURS = {State.COMPLETE: "green", State.RUNNING: "yellow", State.WAITING: "yellow"}
JobOption = Annotated[str | None, typer.Option("--job", metavar="ID", help="The job. Default: the latest one.")]
LocalOption = Annotated[bool, typer.Option("--local", help="On this machine's Docker engine, wherever the target is.")]


@group.command()
def run(  # noqa: PLR0913, PLR0917 - each is an option
    name: ModelArgument,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARGUMENTS]", help="For the script.", show_default=False)
    ] = None,
    stack: StackOption = DEFAULT_STACK,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            "-i",
            metavar="PLACE",
            help="A file, folder, glob or URL of one, or @FILE with a list; again for more. Default: the target's.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PLACE",
            help="A folder or URL; each job writes to one of its own below. Default: the target's.",
            show_default=False,
        ),
    ] = None,
    tasks: Annotated[
        int | None,
        typer.Option(min=1, help="How many share the work. Default: by the input's size; 1 here.", show_default=False),
    ] = None,
    job: Annotated[
        str | None,
        typer.Option("--job", metavar="ID", help="A name; where there is such a job, it goes on.", show_default=False),
    ] = None,
    local: LocalOption = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Whether to follow it to its end.")] = True,
    json: JsonOption = False,
) -> None:
    """Start a job, and follow it. A job that ended before it was complete goes on with `--job ID`."""
    with told():
        target = _target(stack, name, local=local)
        seen = target.engine.job(job) if job else None
        if seen is None:
            wanted = target.new_job(job, inputs or [], output, tasks, arguments or [])
        else:
            _same(seen, name, inputs, output, tasks, arguments)
            wanted = seen.job
        if seen is None or seen.state is not State.COMPLETE:
            target.engine.submit(wanted)
        say(f"{wanted.id}: {wanted.tasks} task{'s' * (wanted.tasks > 1)}, results below {wanted.output}")
        if not wait:
            _show_started(target, wanted.id, json=json)
            return
        try:
            seen, progress = follow(target.engine, wanted.id, is_local=target.is_local)
        except KeyboardInterrupt:
            say(
                f"The job goes on. `slipway batch run {name} --job {wanted.id}` follows it, "
                f"`slipway batch cancel {name} --job {wanted.id}` ends it."
            )
            raise
        if json:
            print_json(report(seen, progress))
        else:
            console().print("\n".join(summary(seen, progress)), soft_wrap=True)
        if seen.state is not State.COMPLETE:
            raise _failure(target, seen)


@group.command("list")
def list_(
    name: OptionalModel = None, stack: StackOption = DEFAULT_STACK, local: LocalOption = False, json: JsonOption = False
) -> None:
    """List the jobs of a model, or of all, the newest first."""
    with told():
        found = [one for target in _targets(stack, name, local=local) for one in target.engine.jobs(target.model)]
    found.sort(key=lambda one: one.created, reverse=True)
    if json:
        print_json({"stack": stack, "jobs": [report(one) for one in found]})
    elif found:
        console().print(_table(found))
    else:
        console().print("There are no jobs. `slipway batch run NAME` starts one.")


@group.command()
def logs(
    name: ModelArgument,
    stack: StackOption = DEFAULT_STACK,
    job: JobOption = None,
    task: Annotated[int | None, typer.Option(min=0, help="One task. Default: all of them.")] = None,
    follow_: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more, until the task ends.")] = False,
    local: LocalOption = False,
    json: JsonOption = False,
) -> None:
    """Print what a job's tasks printed."""
    with told():
        target = _target(stack, name, local=local)
        seen = target.chosen(job)
        if task is not None and task >= seen.job.tasks:
            raise CliError(f"{seen.job.id} has the tasks 0 to {seen.job.tasks - 1}.", code=Exit.USAGE)
        out = console()
        for number, line in lines(target.engine, seen, task, follow=follow_):
            if json:
                record = {"job": seen.job.id, "task": number, "line": line, "event": event_of(line)}
                sys.stdout.write(json_text.dumps(record, ensure_ascii=False) + "\n")
                sys.stdout.flush()
            else:
                prefix = f"{number} | " if task is None and seen.job.tasks > 1 else ""
                out.print(f"{prefix}{readable(line)}", soft_wrap=True)
            if not is_read():
                return


@group.command()
def cancel(
    name: ModelArgument, stack: StackOption = DEFAULT_STACK, job: JobOption = None, local: LocalOption = False
) -> None:
    """End a job: what it has finished stays, and `run --job ID` goes on behind it."""
    with told():
        target = _target(stack, name, local=local)
        seen = target.chosen(job)
        if seen.state.is_over:
            console().print(f"{seen.job.id} is {seen.state}: there is nothing to end.")
            return
        target.engine.cancel(seen.job.id)
    console().print(f"{seen.job.id} is cancelled. `slipway batch run {name} --job {seen.job.id}` goes on with it.")


@group.command()
def results(
    name: ModelArgument,
    stack: StackOption = DEFAULT_STACK,
    job: JobOption = None,
    rows: Annotated[int, typer.Option("--rows", "-n", min=0, help="How many of the first rows to show.")] = 10,
    local: LocalOption = False,
    json: JsonOption = False,
) -> None:
    """Say where a job's results and errors are, and show the first of them."""
    with told():
        seen = _target(stack, name, local=local).chosen(job)
        output = Output(seen.job.output)
        found = {folder: output.files(folder) for folder in (PREDICTIONS, ERRORS, WRITTEN)}
        heads = {folder: output.head(folder, rows) for folder in (PREDICTIONS, ERRORS)}
        progress = output.progress(seen.job.tasks)
    if json:
        files = {name: {"place": f"{output.place}/{name}", "files": list(sizes)} for name, sizes in found.items()}
        told_files = {name: {**one, "head": heads[name]} if name in heads else one for name, one in files.items()}
        print_json({**report(seen, progress), **told_files})
        return
    out = console()
    out.print(summary(seen, progress)[0], soft_wrap=True)
    for folder, sizes in found.items():
        if sizes:
            many = f"{len(sizes):,} file{'s' * (len(sizes) > 1)}, {size(sum(sizes.values()))}"
            out.print(f"{folder:<12} {output.place}/{folder}   {many}", soft_wrap=True)
    if heads[PREDICTIONS]:
        out.print()
        out.print(_rows(heads[PREDICTIONS]))
    if heads[ERRORS]:
        out.print()
        for one in heads[ERRORS]:
            row = "" if one.get("row") is None else f", row {one['row']}"
            out.print(f"{one['file']}{row}: {one['reason']}", style="red", soft_wrap=True)


def _targets(stack: str, name: str | None, *, local: bool) -> list[BatchTarget]:
    return open_targets(Pulumi.here(stack), name, local=local)


def _target(stack: str, name: str, *, local: bool) -> BatchTarget:
    return _targets(stack, name, local=local)[0]


def _same(
    seen: JobState,
    name: str,
    inputs: list[str] | None,
    output: str | None,
    tasks: int | None,
    arguments: list[str] | None,
) -> None:
    """Refuse to go on with a job as another one."""
    if seen.job.model != name:
        raise CliError(f"{seen.job.id} is a job of {seen.job.model}.", code=Exit.USAGE)
    given = {"--input": inputs, "--output": output, "--tasks": tasks, "arguments for the script": arguments}
    if said := [option for option, value in given.items() if value]:
        raise CliError(
            f"{seen.job.id} goes on with what it was begun with; {', '.join(said)} cannot be changed.",
            hint="Leave it out to go on, or give the job another name.",
            code=Exit.USAGE,
        )


def _show_started(target: BatchTarget, id_: str, *, json: bool) -> None:
    if json:
        seen = target.chosen(id_)
        print_json(report(seen, Progress()))
    else:
        console().print(id_)


def _failure(target: BatchTarget, seen: JobState) -> CliError:
    why = reasons(target.engine, seen)
    codes = {task.exit_code for task in seen.tasks if task.state is State.FAILED}
    message = "\n".join([f"{seen.job.id} is {seen.state}:", *(f"  {line}" for line in why)])
    if seen.state is State.UNFINISHED:
        hint = f"`slipway batch run {target.model} --job {seen.job.id}` goes on behind what is finished."
    else:
        hint = (
            f"`slipway batch results {target.model} --job {seen.job.id}` shows errors, "
            f"`slipway batch logs {target.model} --job {seen.job.id}` the log."
        )
    return CliError(message, hint=hint, code=Exit.USAGE if 2 in codes else Exit.FAILED)  # noqa: PLR2004 - the runner's code for mistakes


def _table(found: list[JobState]) -> Table:
    table = plain_table("JOB", "STATE", "TASKS", "CREATED", "ENDED", "OUTPUT")
    for one in found:
        done = sum(task.state is State.COMPLETE for task in one.tasks)
        state = Text(one.state, style=_COLOURS.get(one.state, "red"))
        tasks = f"{done} of {one.job.tasks}" if one.tasks else str(one.job.tasks)
        table.add_row(one.job.id, state, tasks, one.created, one.ended or "", one.job.output)
    return table


def _rows(head: list[dict[str, Any]]) -> Table:
    table = plain_table()
    names = list(dict.fromkeys(name for row in head for name in row))
    for name in names:
        table.add_column(name, overflow="fold")
    for row in head:
        table.add_row(*(str(row.get(name, "")) for name in names))
    return table
