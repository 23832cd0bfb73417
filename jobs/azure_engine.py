"""Jobs on Azure Batch: a job of its own for each, with its tasks, on the pool of the model."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from azure.batch import models
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError

from jobs.azure_client import open_client, reason_of
from jobs.azure_job import metadata_of, settings_of, task_of
from jobs.azure_state import ASKED, MODEL, PROJECT, STACK, VERSION, is_ours, job_state, number_of
from jobs.engine import JobError, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobs.engine import Job, JobState

_FILES = ("stdout.txt", "stderr.txt")
_LOOK_SECONDS = 2.0
_GONE_SECONDS = 300.0


class AzureEngine:
    """Runs tasks on the nodes of a pool."""

    def __init__(self, owner: str, target: Mapping[str, Any], env: Mapping[str, str]) -> None:
        """Take the account; nothing is asked yet.

        Args:
            owner: Project and stack, whose jobs these are.
            target: What the stack exports of the target.
            env: The environment that says who asks.

        Raises:
            JobError: The account cannot be asked from here.
        """
        self._project, _, self._stack = owner.partition("/")
        self._target = target
        try:
            self._client = open_client(str(target["account"]), env)
        except ValueError as error:
            raise JobError(str(error)) from None

    def submit(self, job: Job) -> None:
        """Make the job with its tasks; one that ended before it was complete is made again."""
        if wrong := [line for line in (*job.input.splitlines(), job.output) if "://" not in line]:
            raise JobError(
                f"A node cannot reach {wrong[0]}: inputs and outputs on Azure Batch are URLs.", is_usage=True
            )
        with _told(f"{job.id} cannot be started"):
            there = self._read(job.id)
            if there is not None and there.state == models.BatchJobState.COMPLETED:
                seen = job_state(there, self._tasks(job.id))
                if seen.state is State.COMPLETE:
                    return
                self._delete(job.id)
                there = None
            if there is None:
                self._make(job)
            elif there.all_tasks_complete_mode == models.BatchAllTasksCompleteMode.TERMINATE_JOB:
                # All of its tasks are there.
                return
            known = {one.id for one in self._tasks(job.id)}
            missing = [
                task_of({**self._target, "image": job.image}, id_, job.command(), job.variables(number))
                for number in range(job.tasks)
                if (id_ := f"{number:05d}") not in known
            ]
            if missing:
                self._client.create_tasks(job.id, missing)
            # Only now: a job without tasks would be over at once.
            ends = models.BatchJobUpdateOptions(all_tasks_complete_mode=models.BatchAllTasksCompleteMode.TERMINATE_JOB)
            self._client.update_job(job.id, ends)

    def jobs(self, model: str) -> list[JobState]:
        """Return the jobs with this stack's metadata, those of a schedule among them."""
        with _told("Azure Batch does not list its jobs"):
            found = [
                job_state(one, self._tasks(one.id))
                for one in self._client.list_jobs()
                if is_ours(one, self._project, self._stack, model) and one.state != models.BatchJobState.DELETING
            ]
        return sorted(found, key=lambda one: one.created, reverse=True)

    def job(self, id_: str) -> JobState | None:
        """Return a job with its tasks."""
        with _told(f"Azure Batch does not tell of {id_}"):
            found = self._read(id_)
            return None if found is None else job_state(found, self._tasks(id_))

    def logs(self, id_: str, task: int | None, *, follow: bool = False) -> Iterator[tuple[int, str]]:
        """Return what the tasks printed, as far as their nodes still have it."""
        with _told(f"The log of {id_} cannot be read"):
            for one in self._tasks(id_):
                number = number_of(one)
                if number is not None and task in (None, number):
                    yield from ((number, line) for line in self._lines(id_, one.id, follow=follow))

    def cancel(self, id_: str) -> None:
        """Terminate the job: its tasks are ended."""
        with _told(f"{id_} cannot be cancelled"), contextlib.suppress(ResourceExistsError):
            # Without options the library fails; its own type for them is not public.
            options: Any = {"terminateReason": "slipway batch cancel"}
            self._client.begin_terminate_job(id_, options)

    def _make(self, job: Job) -> None:
        metadata = {PROJECT: self._project, STACK: self._stack, MODEL: job.model, VERSION: job.version}
        self._client.create_job(
            models.BatchJobCreateOptions(
                id=job.id,
                pool_info=models.BatchPoolInfo(pool_id=str(self._target["pool"])),
                common_environment_settings=settings_of({ASKED: job.to_json()}),
                metadata=metadata_of(metadata),
            )
        )

    def _read(self, id_: str) -> models.BatchJob | None:
        try:
            found = self._client.get_job(id_)
        except ResourceNotFoundError:
            return None
        if not is_ours(found, self._project, self._stack):
            raise JobError(f"The account has a job {id_} that is none of this stack's.", is_usage=True)
        return found

    def _tasks(self, id_: str) -> list[models.BatchTask]:
        try:
            return list(self._client.list_tasks(id_))
        except ResourceNotFoundError:
            return []

    def _delete(self, id_: str) -> None:
        with contextlib.suppress(ResourceNotFoundError, ResourceExistsError):
            self._client.begin_delete_job(id_)
        until = time.monotonic() + _GONE_SECONDS
        while self._read(id_) is not None:
            if time.monotonic() > until:
                raise JobError(f"The job {id_} is being deleted, which takes long; try again later.")
            time.sleep(_LOOK_SECONDS)

    def _lines(self, id_: str, task: str, *, follow: bool) -> Iterator[str]:
        read = dict.fromkeys(_FILES, 0)
        rest = dict.fromkeys(_FILES, b"")
        while True:
            # Asked before the files: what it prints last is not missed.
            is_over = self._client.get_task(id_, task).state == models.BatchTaskState.COMPLETED
            for name in _FILES:
                content = self._content(id_, task, name, read[name])
                read[name] += len(content)
                *lines, rest[name] = (rest[name] + content).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
            if is_over or not follow:
                yield from (one.decode(errors="replace") for one in rest.values() if one)
                return
            time.sleep(_LOOK_SECONDS)

    def _content(self, id_: str, task: str, name: str, start: int) -> bytes:
        """What a file holds from a place on; nothing where the node has not or no longer got it."""
        try:
            size = self._client.get_task_file_properties(id_, task, name).content_length
            if size <= start:
                return b""
            return b"".join(self._client.download_task_file(id_, task, name, ocp_range=f"bytes={start}-{size - 1}"))
        except (ResourceNotFoundError, ResourceExistsError):
            return b""


@contextlib.contextmanager
def _told(problem: str) -> Iterator[None]:
    try:
        yield
    except AzureError as error:
        raise JobError(f"{problem}: {reason_of(error)}.") from None
