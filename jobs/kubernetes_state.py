"""What a Kubernetes Job and its pods tell of a batch job and its tasks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jobs.engine import Job, JobState, State, TaskState, state_of, state_of_all
from jobs.kubernetes_job import ASKED, LATER

INDEX = "batch.kubernetes.io/job-completion-index"
_OUT_OF_MEMORY = "it was killed because it used more memory than the target's `memory`"


def indexes(text: str | None) -> set[int]:
    """Return the numbers of a list such as `1,3-5`."""
    found: set[int] = set()
    for one in filter(None, (text or "").split(",")):
        first, _, last = one.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def _condition(found: Any, kind: str) -> bool:
    return any(one.type == kind and one.status == "True" for one in found.status.conditions or [])


def has_failed(found: Any) -> bool:
    """Whether a Job has ended, and is not complete."""
    return _condition(found, "Failed")


def _is_over(found: Any) -> bool:
    return _condition(found, "Complete") or _condition(found, "Failed")


def _time(value: Any) -> str | None:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if value else None


def job_state(found: Any, pods: list[Any]) -> JobState:
    """Return a job.

    Args:
        found: The Job.
        pods: Its pods, by number and age; none where only the job itself is of interest.
    """
    job = Job.from_json(found.metadata.annotations[ASKED].replace(LATER, found.metadata.name))
    complete, failed = indexes(found.status.completed_indexes), indexes(found.status.failed_indexes)
    latest = {int(pod.metadata.annotations[INDEX]): pod for pod in pods}
    counts: dict[int, int] = {}
    for pod in pods:
        number = int(pod.metadata.annotations[INDEX])
        counts[number] = counts.get(number, 0) + 1
    tasks = []
    for number in range(job.tasks):
        task = _task_state(number, latest.get(number), counts.get(number, 0))
        if number in complete:
            state = State.COMPLETE
        elif number in failed or _is_over(found):
            state = task.state if task.state.is_over and task.state is not State.COMPLETE else State.UNFINISHED
        elif found.spec.suspend:
            state = State.UNFINISHED
        else:
            # One that failed is started again.
            state = task.state if task.state is State.RUNNING else State.WAITING
        tasks.append(replace(task, state=state))
    ended = found.status.completion_time or next(
        (one.last_transition_time for one in found.status.conditions or [] if one.type == "Failed"), None
    )
    if _condition(found, "Complete"):
        state = State.COMPLETE
    elif _is_over(found):
        state = state_of_all(tasks) if pods else State.FAILED
    elif found.spec.suspend:
        state = State.RUNNING if found.status.active else State.UNFINISHED
    else:
        state = State.RUNNING if found.status.active else State.WAITING
    created = _time(found.metadata.creation_timestamp) or ""
    return JobState(job, state, created, _time(ended), tuple(tasks))


def _task_state(number: int, pod: Any, pods: int) -> TaskState:
    if pod is None:
        return TaskState(number, State.WAITING)
    retries, node = pods - 1, pod.spec.node_name
    statuses = pod.status.container_statuses or []
    ended = statuses[0].state.terminated if statuses else None
    if ended is not None:
        note = _OUT_OF_MEMORY if ended.reason == "OOMKilled" else None
        state = state_of(int(ended.exit_code))
        return TaskState(
            number, state, int(ended.exit_code), node, retries, _time(ended.started_at), _time(ended.finished_at), note
        )
    running = statuses[0].state.running if statuses else None
    if running is not None:
        return TaskState(number, State.RUNNING, node=node, retries=retries, started=_time(running.started_at))
    waiting = statuses[0].state.waiting if statuses else None
    note = waiting.message or waiting.reason if waiting else pod.status.message
    if pod.status.phase == "Failed":
        return TaskState(number, State.UNFINISHED, node=node, retries=retries, note=note or pod.status.reason)
    return TaskState(number, State.WAITING, node=node, retries=retries, note=note)
