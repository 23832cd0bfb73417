"""BatchJobSchedule: jobs of a model on Azure Batch that start by themselves.

Azure Batch repeats at a distance from a first time; cron says which. Each job begins with a task that lists the input
and splits it: `python -m scoring batch-split`. Inputs: `id`, `account` (its address), `schedule` (cron, UTC),
`submitter` (the client id of the identity that may add tasks), `metadata`, and what the stack exports of the target.
Output: also `start`, the first time.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from provider.resource import Diff, Failure, Resource, State, changes
from provider.slipway.batch_jobs import refusals
from provider.values import UNKNOWN, has_unknown

if TYPE_CHECKING:
    from azure.batch import BatchClient, models

    from provider.resource import Call

_PLACE = ("account", "id")
_SPLIT = "split"


class BatchJobSchedule(Resource):
    """A job schedule; deleting it deletes its jobs, not what they wrote."""

    def check(
        self, call: Call, old: dict[str, Any] | None, new: dict[str, Any]
    ) -> tuple[dict[str, Any], list[Failure]]:
        """Refuse a recurrence that Azure Batch has not."""
        del call, old
        from manifest.cron import even, wrong_cron  # noqa: PLC0415 - most stacks have no schedule

        schedule = new.get("schedule")
        if has_unknown(schedule):
            return new, []
        if (wrong := wrong_cron(str(schedule))) or even(str(schedule)) is None:
            return new, [Failure("schedule", wrong or f"{schedule!r} has no even distances, which are all Batch has")]
        return new, []

    def diff(self, call: Call, old: State, new: dict[str, Any]) -> Diff:
        """Compare what was asked for."""
        del call
        return Diff(changes(old.inputs, new, replaces=lambda name: name in _PLACE))

    def preview(self, call: Call, inputs: dict[str, Any], old: State | None) -> dict[str, Any]:
        """Know the inputs, and the first time where it stays."""
        del call
        stays = old is not None and old.inputs.get("schedule") == inputs.get("schedule")
        return {**inputs, "start": old.outputs.get("start", UNKNOWN) if old and stays else UNKNOWN}

    def create(self, call: Call, inputs: dict[str, Any]) -> State:
        """Make it; one of this id is this stack's own, from an update that was killed."""
        from azure.batch import models  # noqa: PLC0415 - an unchanged stack starts without it

        start = _first(inputs)
        with refusals(f"schedule jobs of {inputs['model']}") as client_of:
            client = client_of(inputs["account"])
            parts = _parts(inputs, start)
            if _found(client, inputs["id"]):
                call.status("taking over the schedule that is there")
                client.update_job_schedule(inputs["id"], models.BatchJobScheduleUpdateOptions(**parts))
            else:
                client.create_job_schedule(models.BatchJobScheduleCreateOptions(id=inputs["id"], **parts))
        return State(f"{inputs['account']}/jobschedules/{inputs['id']}", inputs, {**inputs, "start": start})

    def read(self, call: Call, state: State) -> State | None:
        """Look whether it is there, and on which pool."""
        del call
        account, _, id_ = state.id.rpartition("/jobschedules/")
        with refusals(f"look at the schedule {id_}") as client_of:
            there = _found(client_of(account), id_)
        if there is None:
            return None
        seen = {"account": account, "id": id_, "pool": there.job_specification.pool_info.pool_id}
        return State(state.id, {**state.inputs, **seen}, {**state.outputs, **seen})

    def update(self, call: Call, old: State, new: dict[str, Any]) -> dict[str, Any]:
        """Change what its next jobs are."""
        del call
        from azure.batch import models  # noqa: PLC0415 - as above

        stays = old.inputs.get("schedule") == new["schedule"] and old.outputs.get("start")
        start = str(old.outputs["start"]) if stays else _first(new)
        with refusals(f"change the schedule {new['id']}") as client_of:
            options = models.BatchJobScheduleUpdateOptions(**_parts(new, start))
            client_of(new["account"]).update_job_schedule(new["id"], options)
        return {**new, "start": start}

    def delete(self, call: Call, state: State) -> None:
        """Delete it, and wait until it is gone; it may be gone already."""
        from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415 - as above

        account, _, id_ = state.id.rpartition("/jobschedules/")
        with refusals(f"delete the schedule {id_}") as client_of:
            call.status("deleting its jobs")
            try:
                client_of(account).begin_delete_job_schedule(id_).result()
            except ResourceNotFoundError:
                return


def _found(client: BatchClient, id_: str) -> models.BatchJobSchedule | None:
    """The schedule, if it is there; the library's own question raises where it is not."""
    from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415 - as above

    try:
        return client.get_job_schedule(id_)
    except ResourceNotFoundError:
        return None


def _first(inputs: dict[str, Any]) -> str:
    from manifest.cron import even  # noqa: PLC0415 - as above

    found = even(inputs["schedule"])
    if found is None:
        raise AssertionError("checked before")
    return found.next(datetime.now(UTC)).isoformat()


def _parts(inputs: dict[str, Any], start: str) -> dict[str, Any]:
    """When its jobs start, and what each is."""
    from azure.batch import models  # noqa: PLC0415 - as above

    from jobs.azure_job import metadata_of  # noqa: PLC0415 - as above
    from manifest.cron import even  # noqa: PLC0415 - as above

    found = even(inputs["schedule"])
    metadata = {**inputs["metadata"], "slipway-model": inputs["model"], "slipway-version": inputs["version"]}
    return {
        "schedule": models.BatchJobScheduleConfiguration(
            do_not_run_until=datetime.fromisoformat(start), recurrence_interval=found.every if found else None
        ),
        "job_specification": models.BatchJobSpecification(
            pool_info=models.BatchPoolInfo(pool_id=inputs["pool"]),
            job_manager_task=_manager(inputs),
            all_tasks_complete_mode=models.BatchAllTasksCompleteMode.TERMINATE_JOB,
            metadata=metadata_of(metadata),
        ),
        "metadata": metadata_of(metadata),
    }


def _manager(inputs: dict[str, Any]) -> models.BatchJobManagerTask:
    """The task that splits the job; it is told what the others are, but for their numbers and the job's folder."""
    from azure.batch import models  # noqa: PLC0415 - as above

    from jobs.azure_job import container_of, settings_of, task_of  # noqa: PLC0415 - as above

    common = {**inputs["environment"], **inputs["settings"], "SLIPWAY_JOB_INPUT": inputs["input"]}
    arguments = inputs.get("arguments") or []
    template = task_of(inputs, "0", ["batch", *(["--", *arguments] if arguments else [])], common)
    split = {
        "output": inputs["output"],
        "submitter": inputs["submitter"],
        "tasks": inputs.get("tasks"),
        "taskBytes": inputs["taskBytes"],
        "mostTasks": inputs["mostTasks"],
        "template": template.as_dict(),
    }
    return models.BatchJobManagerTask(
        id=_SPLIT,
        command_line="batch-split",
        container_settings=container_of(inputs),
        environment_settings=settings_of({**common, "SLIPWAY_BATCH_SPLIT": json.dumps(split, sort_keys=True)}),
        constraints=models.BatchTaskConstraints(max_task_retry_count=int(inputs["taskRetries"])),
        # It ends when the others are there; the job ends with the last of them.
        kill_job_on_completion=False,
        run_exclusive=False,
    )
