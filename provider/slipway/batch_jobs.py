"""BatchJobs: the jobs of a model on Azure Batch, which move to another pool before the one that they are on goes.

It stands behind the pool: a new pool is there, then this is updated, then the old pool goes. Tasks that run may end
where they are, for a time; what waits, and what is cut off, goes on in the new pool, with the image that it began with.
Inputs: `account` (its address), `pool`, `drainMinutes`.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from provider.resource import Diff, ProviderError, Resource, State, changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from azure.batch import BatchClient

    from provider.resource import Call

_BETWEEN = 2.0
_RELEVANT = ("account", "pool")
_OVER = ("completed", "terminating", "deleting")


class BatchJobs(Resource):
    """The jobs on one pool."""

    def diff(self, call: Call, old: State, new: dict[str, Any]) -> Diff:
        """Compare: jobs move from pool to pool, not from account to account; how long that may take is no change."""
        del call
        before, after = ({name: one.get(name) for name in _RELEVANT} for one in (old.inputs, new))
        return Diff(changes(before, after, replaces=lambda name: name == "account"))

    def preview(self, call: Call, inputs: dict[str, Any], old: State | None) -> dict[str, Any]:
        """Know the inputs."""
        del call, old
        return inputs

    def create(self, call: Call, inputs: dict[str, Any]) -> State:
        """Know of no job yet."""
        del call
        return State(f"{inputs['account']}/pools/{inputs['pool']}", inputs, inputs)

    def read(self, call: Call, state: State) -> State | None:
        """Keep it: jobs come and go without the stack."""
        del call
        return state

    def update(self, call: Call, old: State, new: dict[str, Any]) -> dict[str, Any]:
        """Move what is not over."""
        if old.inputs["pool"] != new["pool"]:
            with refusals(f"move the jobs of {old.inputs['pool']}") as client_of:
                _move(call, client_of(new["account"]), old.inputs["pool"], new)
        return new

    def delete(self, call: Call, state: State) -> None:
        """End what is not over: the pool goes, and a job without one would wait for ever."""
        with refusals(f"end the jobs of {state.inputs['pool']}") as client_of:
            client = client_of(state.inputs["account"])
            for job in _unfinished(client, state.inputs["pool"]):
                call.status(f"ending {job.id}")
                # The library has no public type for it, and cannot send nothing.
                _ignoring_what_is_over(client.begin_terminate_job, job.id, {"terminateReason": "PoolDeleted"})


@contextlib.contextmanager
def refusals(what: str) -> Iterator[Callable[[str], BatchClient]]:
    """Tell what Azure refuses as a failure that a person can act on.

    Args:
        what: What is being done.

    Yields:
        What opens a client of an account.
    """
    from azure.core.exceptions import AzureError  # noqa: PLC0415 - an unchanged stack starts without it

    from jobs.azure_client import open_client, reason_of  # noqa: PLC0415 - as above

    try:
        yield open_client
    except (AzureError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, AzureError) else str(error)
        raise ProviderError(f"cannot {what}: {reason}") from None


def _unfinished(client: BatchClient, pool: str) -> list[Any]:
    return [one for one in client.list_jobs() if one.pool_info.pool_id == pool and one.state not in _OVER]


def _move(call: Call, client: BatchClient, pool: str, new: dict[str, Any]) -> None:
    """Take jobs from a pool: none of their tasks is begun there any more, and those that run may end."""
    from azure.batch import models  # noqa: PLC0415 - as above

    end = time.monotonic() + 60 * new["drainMinutes"]
    jobs = _unfinished(client, pool)
    for job in jobs:
        wait = models.BatchJobDisableOptions(disable_tasks=models.DisableBatchJobOption.WAIT)
        _ignoring_what_is_over(client.begin_disable_job, job.id, wait)
    for job in jobs:
        _moved(call, client, job.id, new["pool"], end)


def _moved(call: Call, client: BatchClient, job: str, pool: str, end: float) -> None:
    from azure.batch import models  # noqa: PLC0415 - as above

    is_cut_off = False
    while (state := client.get_job(job).state) not in ("disabled", *_OVER):
        if call.cancelled.is_set():
            raise ProviderError(f"interrupted while the tasks of {job} end; the next `up` goes on from here")
        if time.monotonic() >= end and not is_cut_off:
            is_cut_off = True
            requeue = models.BatchJobDisableOptions(disable_tasks=models.DisableBatchJobOption.REQUEUE)
            _ignoring_what_is_over(client.begin_disable_job, job, requeue)
        call.status(f"waiting for the tasks of {job} to end")
        call.cancelled.wait(_BETWEEN)
    if state == "disabled":
        client.update_job(job, models.BatchJobUpdateOptions(pool_info=models.BatchPoolInfo(pool_id=pool)))
        client.begin_enable_job(job)


def _ignoring_what_is_over(do: Any, job: str, *more: Any) -> None:
    """A job may end at any moment by itself."""
    from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError  # noqa: PLC0415 - as above

    try:
        do(job, *more)
    except ResourceNotFoundError:
        pass
    except ResourceExistsError as error:
        code = getattr(getattr(error, "model", None), "code", "")
        if code not in {"JobCompleted", "JobTerminating", "JobBeingTerminated", "JobBeingDeleted", "JobDisabled"}:
            raise
