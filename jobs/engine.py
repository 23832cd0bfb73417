"""A batch job as it was asked for, and what an engine knows of it.

An engine keeps the job itself beside its tasks, as a label, an annotation or metadata: nothing else has to
remember jobs, and a job goes on with what it was begun with.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Exit codes of a task, as scoring/batch/supervise.py has them.
COMPLETE, FAILED, MISTAKE, START_FAILED, UNFINISHED = 0, 1, 2, 3, 75
# With these the same again would end the same.
LASTING = (FAILED, MISTAKE, START_FAILED)


class JobError(Exception):
    """What keeps a job from being started, followed or ended.

    Attributes:
        hint: What to do about it.
        is_usage: Whether something was asked for that cannot be.
    """

    def __init__(self, message: str, *, hint: str | None = None, is_usage: bool = False) -> None:
        """Say what is wrong, and what to do."""
        super().__init__(message)
        self.hint = hint
        self.is_usage = is_usage


@dataclass(frozen=True)
class Job:
    """What a job is asked to do.

    Attributes:
        id: Its name, by which it goes on; small letters, digits and hyphens.
        model: The model's name.
        version: The model's version.
        image: The image, by its digest.
        input: Files, folders, globs or URLs of them, one a line.
        output: The job's own folder or URL.
        tasks: How many tasks share the work.
        settings: What was given of the runner's settings, as its variables.
        arguments: What the script finds in sys.argv.
        environment: Further variables of each task, none of them secret.
    """

    id: str
    model: str
    version: str
    image: str
    input: str
    output: str
    tasks: int
    settings: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self) -> list[str]:
        """Return what a task's container is started with."""
        return ["batch", *(["--", *self.arguments] if self.arguments else [])]

    def variables(self, task: int | None, **places: str) -> dict[str, str]:
        """Return the environment of a task.

        Args:
            task: Its number, from 0; None where the platform gives it.
            places: `input` and `output` where the task finds them under other names.
        """
        number = {} if task is None else {"SLIPWAY_JOB_TASK": str(task)}
        return {
            # For people, `slipway batch logs` makes lines of it.
            "SLIPWAY_LOG": "json",
            **self.environment,
            **self.settings,
            "SLIPWAY_JOB_INPUT": places.get("input", self.input),
            "SLIPWAY_JOB_OUTPUT": places.get("output", self.output),
            "SLIPWAY_JOB_OF": str(self.tasks),
            **number,
        }

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self), ensure_ascii=True, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `to_json` made a text of."""
        given = json.loads(text)
        return cls(**{**given, "arguments": tuple(given["arguments"])})


class State(StrEnum):
    """How a job or a task is."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    # Goes on where it stopped when it is started again: it was cancelled, killed, or its storage failed.
    UNFINISHED = "unfinished"
    # Started again, it would fail again.
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        """Whether nothing happens any more."""
        return self in {State.COMPLETE, State.UNFINISHED, State.FAILED}


def state_of(exit_code: int) -> State:
    """Return the state of a task that ended."""
    if exit_code == COMPLETE:
        return State.COMPLETE
    return State.FAILED if exit_code in LASTING else State.UNFINISHED


def state_of_all(tasks: list[TaskState]) -> State:
    """Return the state of a job, by its tasks."""
    states = {task.state for task in tasks}
    if State.RUNNING in states or (State.WAITING in states and State.COMPLETE in states):
        return State.RUNNING
    for state in (State.WAITING, State.FAILED, State.UNFINISHED):
        if state in states:
            return state
    return State.COMPLETE


@dataclass(frozen=True)
class TaskState:
    """A task, as its engine knows it.

    Attributes:
        number: From 0.
        state: How it is.
        exit_code: What it ended with.
        node: Where it runs or ran.
        retries: How often the engine started it again.
        started: When, as ISO 8601 in UTC.
        ended: When.
        note: What the engine says of its end, in words.
    """

    number: int
    state: State
    exit_code: int | None = None
    node: str | None = None
    retries: int = 0
    started: str | None = None
    ended: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class JobState:
    """A job, as its engine knows it.

    Attributes:
        job: What it was asked to do.
        state: How it is.
        created: When, as ISO 8601 in UTC.
        ended: When.
        tasks: By number; may be empty in a list of jobs.
    """

    job: Job
    state: State
    created: str
    ended: str | None = None
    tasks: tuple[TaskState, ...] = ()


class Engine(Protocol):
    """What runs the tasks of jobs. All of it raises JobError."""

    def submit(self, job: Job) -> None:
        """Start a job's tasks: those that are neither under way nor complete. The same again starts nothing twice."""

    def jobs(self, model: str) -> list[JobState]:
        """Return a model's jobs, the newest first."""

    def job(self, id_: str) -> JobState | None:
        """Return a job with its tasks; None where there is none."""

    def logs(self, id_: str, task: int | None, *, follow: bool = False) -> Iterator[tuple[int, str]]:
        """Return what a job's tasks printed, or one of them, as numbers of tasks and lines."""

    def cancel(self, id_: str) -> None:
        """End a job's tasks; what they have finished stays."""
