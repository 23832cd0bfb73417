"""`python -m scoring batch`: a script over files or rows of any number, by as many nodes as there are."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def batch(arguments: Sequence[str]) -> int:
    """Run one task of a batch job.

    Args:
        arguments: The command line's options, then `--` and the script's arguments.

    Returns:
        The exit code: 0 when the task is complete, 1 when it failed, 2 for mistakes in what was asked for, 3 when the
        script could not be loaded, 75 when it was stopped or its storage failed, and the same again goes on.
    """
    # Each command imports only what it needs.
    # ruff: noqa: PLC0415
    from scoring.batch.places import StorageError
    from scoring.batch.settings import JobSettings, usage, with_options
    from scoring.batch.supervise import MISTAKE, START_FAILED, UNFINISHED, Supervisor
    from scoring.config_file import merged
    from scoring.process import prepare
    from scoring.service import load_scorer, tell_failure
    from scoring.settings import Settings
    from scoring.telemetry import log
    from scoring.variables import Reader, SettingsError

    if "--help" in arguments:
        print(usage())  # noqa: T201 - a command line's answer
        return 0
    try:
        os.environ.update(merged(os.environ))
        variables, of_script, problems = with_options(arguments, os.environ)
        reader = Reader(variables)
        reader.problems += problems
        job = JobSettings.from_reader(reader, of_script)
        settings = replace(Settings.from_reader(reader), workers=job.processes, threads=1)
        if importlib.util.find_spec("pyarrow") is None:
            reader.problems.append("batch needs pyarrow, which this image has not: the extra `batch` brings it")
        reader.finish()
        job = replace(job, output=_made(job.output), input=_absolute(job.input))
        prepare(settings)
        log.set_up(reader)
        reader.finish()
    except (SettingsError, OSError) as error:
        print(f"python -m scoring batch: {error}", file=sys.__stderr__)
        return MISTAKE
    except StorageError as error:
        print(f"python -m scoring batch: {error}", file=sys.__stderr__)
        return MISTAKE if error.is_lasting else UNFINISHED
    sys.argv = [str(settings.script), *of_script]
    loaded = None
    if settings.preload and job.processes > 1:
        try:
            loaded = load_scorer(settings)
        except BaseException as error:  # noqa: BLE001 - a script may raise anything
            tell_failure(settings, error)
            return START_FAILED
    return Supervisor(settings, job, loaded).run()


def _made(output: str) -> str:
    """Make an output folder, and the one in it for what scripts write themselves, as Azure ML has it."""
    from scoring.batch.places import StorageError
    from scoring.batch.worker import OUTPUT_VARIABLE, WRITTEN

    if "://" in output and not output.startswith("file://"):
        return output
    folder = Path(output.removeprefix("file://")).absolute()
    written = folder / WRITTEN
    try:
        written.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"the output {folder} cannot be written to", error) from None
    os.environ[OUTPUT_VARIABLE] = str(written)
    return str(folder)


def _absolute(given: str) -> str:
    """The script's surroundings include another working directory."""
    lines = (line.strip() for line in given.splitlines())
    return "\n".join(_from_here(line) for line in lines if line)


def _from_here(line: str) -> str:
    mark = "@" if line.startswith("@") else ""
    path = line.removeprefix(mark)
    return line if "://" in path else mark + str(Path.cwd() / path)
