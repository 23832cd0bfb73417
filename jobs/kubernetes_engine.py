"""Jobs on a Kubernetes cluster: an Indexed Job for each, a pod for each of its tasks."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

import kubernetes
import urllib3

from jobs.engine import JobError
from jobs.kubernetes_job import ASKED, CONTAINER, DATA, MODEL, OWNER, job_body, labels_of
from jobs.kubernetes_state import INDEX, has_failed, job_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobs.engine import Job, JobState

_CONFLICT, _FORBIDDEN, _MISSING = 409, 403, 404
_SECONDS = 30
_GONE_SECONDS = 120


class KubernetesEngine:
    """Runs tasks as pods."""

    def __init__(self, owner: str, target: Mapping[str, Any], client: Any) -> None:
        """Take the cluster; nothing is asked yet.

        Args:
            owner: Project and stack, whose jobs these are.
            target: What the stack exports of the target.
            client: The library's client of the stack's cluster.
        """
        self._owner = owner
        self._target = target
        self._namespace = str(target["namespace"])
        # Bodies may be mappings and fields are there, which its types do not say.
        self._batch: Any = kubernetes.client.BatchV1Api(client)
        self._core: Any = kubernetes.client.CoreV1Api(client)

    def submit(self, job: Job) -> None:
        """Make the Job; one that was cancelled is resumed, one that failed is made again."""
        if wrong := [line for line in (*job.input.splitlines(), job.output) if not self._is_reachable(line)]:
            raise JobError(
                f"A pod cannot reach {wrong[0]}: inputs and outputs on a cluster are URLs, or below {DATA} where the "
                "target names a volume with `cluster: {claim: NAME}`.",
                is_usage=True,
            )
        with _told(f"The job {job.id} cannot be started"):
            there = self._read(job.id)
            if there is None:
                self._make(job)
            elif there.spec.suspend:
                self._suspend(job.id, is_suspended=False)
            elif has_failed(there):
                self._delete(job.id)
                self._make(job)

    def jobs(self, model: str) -> list[JobState]:
        """Return the Jobs with this stack's label."""
        selector = ",".join(f"{name}={value}" for name, value in labels_of(self._owner, model).items())
        with _told("The cluster does not list its jobs"):
            found = self._batch.list_namespaced_job(
                self._namespace, label_selector=selector, _request_timeout=_SECONDS
            ).items
        states = [job_state(one, []) for one in found if ASKED in (one.metadata.annotations or {})]
        return sorted(states, key=lambda one: one.created, reverse=True)

    def job(self, id_: str) -> JobState | None:
        """Return a Job with what became of its pods."""
        with _told(f"The cluster does not tell of {id_}"):
            found = self._read(id_)
            return None if found is None else job_state(found, self._pods(id_))

    def logs(self, id_: str, task: int | None, *, follow: bool = False) -> Iterator[tuple[int, str]]:
        """Return what the pods printed, those of one task by their age."""
        for pod in self._pods(id_):
            number = int(pod.metadata.annotations[INDEX])
            if task not in (None, number):
                continue
            with _told(f"The log of task {number} cannot be read"):
                answer = self._core.read_namespaced_pod_log(
                    pod.metadata.name,
                    self._namespace,
                    container=CONTAINER,
                    follow=follow,
                    _preload_content=False,
                    _request_timeout=None if follow else _SECONDS,
                )
                rest = b""
                for chunk in answer.stream():
                    *lines, rest = (rest + chunk).split(b"\n")
                    yield from ((number, line.decode(errors="replace")) for line in lines)
                if rest:
                    yield number, rest.decode(errors="replace")

    def cancel(self, id_: str) -> None:
        """Suspend the Job: its pods are ended in their own time, and it can be resumed."""
        with _told(f"{id_} cannot be cancelled"):
            self._suspend(id_, is_suspended=True)

    def _delete(self, id_: str) -> None:
        """Delete the Job and its pods, and wait until they are gone."""
        with _told(f"{id_} cannot be deleted"), contextlib.suppress(_Missing):
            with _missing():
                self._batch.delete_namespaced_job(
                    id_, self._namespace, propagation_policy="Foreground", _request_timeout=_SECONDS
                )
            until = time.monotonic() + _GONE_SECONDS
            while self._read(id_) is not None:
                if time.monotonic() > until:
                    raise JobError(f"The job {id_} is being deleted, which takes long; try again later.")
                time.sleep(0.5)

    def _is_reachable(self, place: str) -> bool:
        has_volume = bool((self._target.get("cluster") or {}).get("claim"))
        return "://" in place or (has_volume and place.startswith(f"{DATA}/"))

    def _make(self, job: Job) -> None:
        body = job_body(job, self._target, self._owner)
        try:
            self._batch.create_namespaced_job(self._namespace, body, _request_timeout=_SECONDS)
        except kubernetes.client.ApiException as error:
            # With a conflict, somebody else has just started it.
            if error.status == _MISSING:
                raise JobError(
                    f"The job {job.id} cannot be started: {_message(error)}.",
                    hint=f"`slipway up` makes the namespace {self._namespace}, unless the configuration names another.",
                ) from None
            if error.status != _CONFLICT:
                raise

    def _read(self, id_: str) -> Any:
        with contextlib.suppress(_Missing), _missing():
            found = self._batch.read_namespaced_job(id_, self._namespace, _request_timeout=_SECONDS)
            labels = found.metadata.labels or {}
            if labels.get(OWNER) != self._owner.replace("/", ".") or MODEL not in labels:
                raise JobError(f"{self._namespace} has a job {id_} that is none of this stack's.", is_usage=True)
            return found
        return None

    def _pods(self, id_: str) -> list[Any]:
        with _told(f"The cluster does not tell of {id_}"):
            found = self._core.list_namespaced_pod(
                self._namespace, label_selector=f"batch.kubernetes.io/job-name={id_}", _request_timeout=_SECONDS
            ).items
        return sorted(
            (pod for pod in found if INDEX in (pod.metadata.annotations or {})),
            key=lambda pod: (int(pod.metadata.annotations[INDEX]), pod.metadata.creation_timestamp),
        )

    def _suspend(self, id_: str, *, is_suspended: bool) -> None:
        self._batch.patch_namespaced_job(
            id_, self._namespace, {"spec": {"suspend": is_suspended}}, _request_timeout=_SECONDS
        )


class _Missing(Exception):  # noqa: N818 - no error
    """There is no such object."""


@contextlib.contextmanager
def _missing() -> Iterator[None]:
    try:
        yield
    except kubernetes.client.ApiException as error:
        if error.status == _MISSING:
            raise _Missing from None
        raise


@contextlib.contextmanager
def _told(problem: str) -> Iterator[None]:
    try:
        yield
    except kubernetes.client.ApiException as error:
        hint = "Ask for the right to have jobs in that namespace." if error.status == _FORBIDDEN else None
        raise JobError(f"{problem}: {_message(error)}", hint=hint) from None
    except urllib3.exceptions.HTTPError as error:
        raise JobError(f"{problem}: the cluster does not answer ({type(error).__name__}).") from None


def _message(error: Any) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason or f"status {error.status}")
