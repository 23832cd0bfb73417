"""Jobs on this machine: a container for each task, on its Docker engine.

Containers stay when they have ended: they are the list of jobs, their logs and their exit codes.
"""

from __future__ import annotations

import contextlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import docker
import requests

from jobs.engine import Job, JobError, JobState, State, TaskState, state_of, state_of_all
from jobs.mounts import mounted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from jobs.mounts import Places

LABEL = "io.slipway.batch"
MOST_TASKS = 16
# The user of the image, as components/dockerfile.py has it.
_USER = 65532
# The runtime drains for 20 s; Docker kills after this.
_STOP_SECONDS = 25
_SECONDS = 60
_KEPT_JOBS = 10
_KILLED = 137
# What says how to reach the storages of inputs and outputs, of who starts the job.
_CREDENTIALS = {
    ("abfs", "abfss", "az", "azfiles"): ("AZURE_STORAGE_", "AZURE_CLIENT_", "AZURE_TENANT_"),
    ("s3",): ("AWS_", "FSSPEC_S3_"),
}


class LocalEngine:
    """Runs tasks as containers."""

    def __init__(self, owner: str, target: Mapping[str, Any], env: Mapping[str, str]) -> None:
        """Connect to the Docker engine.

        Args:
            owner: Project and stack, whose jobs these are.
            target: What the stack exports of the target.
            env: The environment that says where the engine is, and how storages are reached.

        Raises:
            JobError: No engine answers.
        """
        self._owner = owner
        self._target = target
        self._env = env
        try:
            self._client = docker.from_env(timeout=_SECONDS, environment=dict(env))
            self._client.ping()
        except (docker.errors.DockerException, requests.RequestException, OSError) as error:
            raise JobError(
                f"No Docker engine answers: {_reason(error)}.",
                hint="Start Docker, or run `make setup`, which finds or starts one.",
            ) from None

    def submit(self, job: Job) -> None:
        """Start the containers of a job that neither run nor are complete."""
        if job.tasks > MOST_TASKS:
            raise JobError(
                f"{job.tasks} tasks are {job.tasks} containers on one machine at once; at most {MOST_TASKS} are "
                "allowed.",
                hint="Ask for fewer tasks, or give the target `processes`: those of one task share the machine, too.",
                is_usage=True,
            )
        if mounts := self._target.get("mounts"):
            raise JobError(
                f"The target mounts {', '.join(mounts)}, which only nodes of Azure Batch do, not this machine.",
                hint="Run the job on the pool, without --local; or have the script take such files as inputs.",
                is_usage=True,
            )
        with _told(f"The image {job.image} cannot be had"):
            self._pull(job.image)
        there = {task.number: (container, task) for container, task in self._tasks(job.id)}
        places = mounted(job.input, job.output)
        user = _user(places.output_folder)
        for number in range(job.tasks):
            container, task = there.get(number, (None, None))
            if task is not None and task.state in {State.RUNNING, State.COMPLETE}:
                continue
            with _told(f"Task {number} of {job.id} cannot be started"):
                if container is not None:
                    # Not started again: credentials, and the target's memory, may be others by now.
                    self._remove(container["Id"])
                self._start(job, number, places, user)
        self._forget_old(job)

    def jobs(self, model: str) -> list[JobState]:
        """Return the jobs that have containers."""
        found: dict[str, list[tuple[dict[str, Any], TaskState]]] = {}
        for container in self._containers(f"{LABEL}.model={model}"):
            with contextlib.suppress(docker.errors.NotFound):
                seen = self._client.api.inspect_container(container["Id"])
                found.setdefault(seen["Config"]["Labels"][f"{LABEL}.job"], []).append((seen, _task_state(seen)))
        return sorted((_job_state(tasks) for tasks in found.values()), key=lambda one: one.created, reverse=True)

    def job(self, id_: str) -> JobState | None:
        """Return a job that has containers."""
        tasks = self._tasks(id_)
        return _job_state(tasks) if tasks else None

    def logs(self, id_: str, task: int | None, *, follow: bool = False) -> Iterator[tuple[int, str]]:
        """Return what the containers printed, one after the other; one that is followed, as it comes."""
        for container, state in self._tasks(id_):
            if task not in (None, state.number):
                continue
            rest = b""
            try:
                for chunk in self._client.api.logs(container["Id"], stream=True, follow=follow):
                    *lines, rest = (rest + chunk).split(b"\n")
                    yield from ((state.number, line.decode(errors="replace")) for line in lines)
            except (docker.errors.DockerException, requests.RequestException, OSError) as error:
                raise JobError(f"The log of task {state.number} cannot be read: {_reason(error)}.") from None
            if rest:
                yield state.number, rest.decode(errors="replace")

    def cancel(self, id_: str) -> None:
        """Stop the containers: each finishes the calls of run() that are under way."""
        running = [container["Id"] for container, task in self._tasks(id_) if task.state is State.RUNNING]
        with ThreadPoolExecutor(MOST_TASKS) as pool:
            stopped = [pool.submit(self._stop, one) for one in running]
        with _told(f"{id_} cannot be stopped"):
            for one in stopped:
                one.result()

    def _delete(self, id_: str) -> None:
        """Remove the containers."""
        for container, _ in self._tasks(id_):
            with _told(f"{id_} cannot be removed"):
                self._remove(container["Id"])

    def _containers(self, *labels: str) -> list[dict[str, Any]]:
        filters = {"label": [f"{LABEL}={self._owner}", *labels]}
        with _told("The Docker engine does not list its containers"):
            found: list[dict[str, Any]] = self._client.api.containers(all=True, filters=filters)
        return found

    def _tasks(self, id_: str) -> list[tuple[dict[str, Any], TaskState]]:
        """The containers of a job with what became of them, by number."""
        found = []
        for container in self._containers(f"{LABEL}.job={id_}"):
            with contextlib.suppress(docker.errors.NotFound):
                seen = self._client.api.inspect_container(container["Id"])
                found.append((seen, _task_state(seen)))
        return sorted(found, key=lambda pair: pair[1].number)

    def _pull(self, image: str) -> None:
        try:
            self._client.api.inspect_image(image)  # type: ignore[no-untyped-call]
        except docker.errors.ImageNotFound:
            repository, _, digest = image.partition("@")
            self._client.api.pull(repository, tag=digest)

    def _start(self, job: Job, number: int, places: Places, user: str) -> None:
        api = self._client.api
        memory = self._target.get("memoryMib")
        memory = memory * 1024 * 1024 if memory else None
        cpu = self._target.get("cpu")
        variables = job.variables(number, input=places.input, output=places.output)
        # Errors name files as their owner knows them.
        variables["SLIPWAY_JOB_NAMES"] = json.dumps(places.names)
        # On one machine it costs nothing to tell often how far it is.
        variables.setdefault("SLIPWAY_JOB_PROGRESS_SECONDS", "1")
        labels = {
            "job": job.id,
            "task": str(number),
            "model": job.model,
            "of": job.to_json(),
        }
        container = api.create_container(
            name=f"{self._owner.replace('/', '-')}-{job.id}-{number}",
            image=job.image,
            command=job.command(),
            environment={**variables, **self._credentials(job)},
            labels={LABEL: self._owner, **{f"{LABEL}.{name}": value for name, value in labels.items()}},
            user=user,
            # What is downloaded goes there: on the disk, of any size, and away with the container.
            volumes=["/tmp"],  # noqa: S108 - the container's own
            host_config=api.create_host_config(
                cap_drop=["ALL"],
                log_config=docker.types.LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
                mem_limit=memory,
                # The same as memory: no swap.
                memswap_limit=memory,
                mounts=[docker.types.Mount(type="bind", **one) for one in places.mounts],
                nano_cpus=round(cpu * 1e9) if cpu else None,
                network_mode="bridge",
                read_only=True,
                security_opt=["no-new-privileges"],
            ),
        )
        api.start(container["Id"])

    def _credentials(self, job: Job) -> dict[str, str]:
        schemes = {line.partition("://")[0] for line in (*job.input.splitlines(), job.output) if "://" in line}
        prefixes = tuple(
            prefix for names, prefixes in _CREDENTIALS.items() if schemes & set(names) for prefix in prefixes
        )
        return {name: value for name, value in self._env.items() if prefixes and name.startswith(prefixes)}

    def _stop(self, id_: str) -> None:
        with contextlib.suppress(docker.errors.NotFound):
            self._client.api.stop(id_, timeout=_STOP_SECONDS)

    def _remove(self, id_: str) -> None:
        with contextlib.suppress(docker.errors.NotFound):
            self._client.api.remove_container(id_, force=True, v=True)

    def _forget_old(self, job: Job) -> None:
        ended = [one.job.id for one in self.jobs(job.model) if one.state.is_over]
        for id_ in ended[_KEPT_JOBS:]:
            self._delete(id_)


def _user(output: Path | None) -> str:
    """Who works: whoever starts the job, so that the results are theirs; for root the image's own user."""
    if os.getuid():
        return f"{os.getuid()}:{os.getgid()}"
    if output is not None:
        owner = output.stat()
        if owner.st_uid:
            return f"{owner.st_uid}:{owner.st_gid}"
        os.chown(output, _USER, _USER)
    return f"{_USER}:{_USER}"


def _task_state(container: Mapping[str, Any]) -> TaskState:
    number = int(container["Config"]["Labels"][f"{LABEL}.task"])
    state = container["State"]
    started, ended = (_time(state.get(name)) for name in ("StartedAt", "FinishedAt"))
    if state["Status"] in {"running", "restarting", "paused"}:
        return TaskState(number, State.RUNNING, started=started)
    if state["Status"] == "created":
        # It was never started, or could not be.
        return TaskState(number, State.UNFINISHED, note=state.get("Error") or "it was not started")
    code = int(state["ExitCode"])
    note = "it was killed" if code == _KILLED else None
    if state.get("OOMKilled"):
        note = "it was killed because it used more memory than the target's `memory`"
    return TaskState(number, state_of(code), code, started=started, ended=ended, note=note)


def _job_state(tasks: list[tuple[dict[str, Any], TaskState]]) -> JobState:
    container, _ = tasks[0]
    states = [task for _, task in tasks]
    job = Job.from_json(container["Config"]["Labels"][f"{LABEL}.of"])
    missing = [
        TaskState(number, State.UNFINISHED, note="its container is gone")
        for number in sorted(set(range(job.tasks)) - {one.number for one in states})
    ]
    states = sorted([*states, *missing], key=lambda one: one.number)
    state = state_of_all(states)
    ended = max((one.ended for one in states if one.ended), default=None) if state.is_over else None
    return JobState(job, state, _time(container["Created"]) or "", ended, tuple(states))


def _time(text: str | None) -> str | None:
    """A time of Docker's, to the second; it writes the year 1 for none."""
    return f"{text[:19]}Z" if text and not text.startswith("0001") else None


@contextlib.contextmanager
def _told(problem: str) -> Iterator[None]:
    try:
        yield
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise JobError(f"{problem}: {_reason(error)}.") from None


def _reason(error: BaseException) -> str:
    if isinstance(error, docker.errors.APIError):
        return str(error.explanation or error).rstrip(".")
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
