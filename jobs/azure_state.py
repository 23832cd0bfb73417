"""What a job of Azure Batch and its tasks tell of a batch job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azure.batch import models

from jobs.engine import Job, JobState, State, TaskState, state_of, state_of_all

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

# Names of metadata; and of the variable with the job as it was asked for.
PROJECT, STACK, MODEL, VERSION = "slipway-project", "slipway-stack", "slipway-model", "slipway-version"
ASKED = "SLIPWAY_BATCH_JOB"


def is_ours(job: models.BatchJob, project: str, stack: str, model: str | None = None) -> bool:
    """Tell whether a job is of a stack, and of a model where one is given."""
    told = _metadata(job)
    return told.get(PROJECT) == project and told.get(STACK) == stack and model in (None, told.get(MODEL))


def number_of(task: models.BatchTask) -> int | None:
    """Return a task's number; None for the one that splits a scheduled job."""
    return int(task.id) if task.id.isdigit() else None


def job_state(found: models.BatchJob, tasks: Sequence[models.BatchTask]) -> JobState:
    """Return a job.

    Args:
        found: Batch's job.
        tasks: All of its tasks.
    """
    job = _asked(found, tasks)
    states = {number: _task_state(number, one) for one in tasks if (number := number_of(one)) is not None}
    is_over = found.state == models.BatchJobState.COMPLETED
    absent = State.UNFINISHED if is_over else State.WAITING
    ordered = [states.get(number) or TaskState(number, absent) for number in range(job.tasks)]
    state = state_of_all(ordered)
    if not is_over and state.is_over:
        # It is about to end.
        state = State.RUNNING
    ended = found.execution_info.end_time if is_over and found.execution_info else None
    return JobState(job, state, _time(found.creation_time) or "", _time(ended), tuple(ordered))


def _asked(found: models.BatchJob, tasks: Sequence[models.BatchTask]) -> Job:
    """What the job was asked to do; of one that a schedule started, its tasks tell."""
    for one in found.common_environment_settings or []:
        if one.name == ASKED and one.value:
            return Job.from_json(one.value)
    first = next((one for one in tasks if number_of(one) is not None), None)
    told = {one.name: one.value or "" for one in (first.environment_settings or [])} if first else {}
    told_of = _metadata(found)
    return Job(
        id=found.id,
        model=told_of.get(MODEL, ""),
        version=told_of.get(VERSION, ""),
        image=first.container_settings.image_name if first and first.container_settings else "",
        input=told.pop("SLIPWAY_JOB_INPUT", ""),
        output=told.pop("SLIPWAY_JOB_OUTPUT", ""),
        tasks=int(told.pop("SLIPWAY_JOB_OF", "1")),
        settings={name: value for name, value in told.items() if name.startswith("SLIPWAY_JOB_")},
    )


def _metadata(found: models.BatchJob) -> dict[str, str]:
    return {one.name: one.value for one in found.metadata or []}


def _task_state(number: int, task: models.BatchTask) -> TaskState:
    done, where = task.execution_info, task.node_info
    code = done.exit_code if done else None
    failure = done.failure_info if done else None
    if task.state == models.BatchTaskState.RUNNING:
        state = State.RUNNING
    elif task.state != models.BatchTaskState.COMPLETED:
        state = State.WAITING
    else:
        state = State.UNFINISHED if code is None else state_of(code)
    # Batch's own words say of an exit code only that there was one.
    note = failure.message if failure and (code is None or state is State.WAITING) else None
    return TaskState(
        number,
        state,
        code,
        where.node_id if where else None,
        (done.retry_count or 0) + (done.requeue_count or 0) if done else 0,
        _time(done.start_time) if done else None,
        _time(done.end_time) if done else None,
        note,
    )


def _time(value: datetime | None) -> str | None:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if value else None
