"""The first task of a job that starts by itself on Azure Batch: it lists the input and adds the tasks that score it.

It is told by SLIPWAY_BATCH_SPLIT (JSON): `template` (a task as Batch's API has it), `output`, `tasks` or `taskBytes`
and `mostTasks`, and `submitter`, the client id of the identity that may add tasks. It may run twice: tasks that are
there stay.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from scoring.batch.places import InputError, Places, StorageError
from scoring.batch.split import task_count

if TYPE_CHECKING:
    from collections.abc import Iterator

_API_VERSION = "2025-06-01"
_SCOPE = "https://batch.core.windows.net//.default"
# As many as Batch takes at once.
_AT_ONCE = 100
_TRIES = 5
_SECONDS = 60
_THERE = "TaskExists"
_MISTAKE, _UNFINISHED = 2, 75


class _AddingError(Exception):
    """Batch did not take the tasks; the message says why."""


def split() -> int:
    """Add the tasks of the job that this one is the first of.

    Returns:
        The exit code: 0, 2 where there is no input, 75 where the storage or Batch fails.
    """
    job, told = os.environ["AZ_BATCH_JOB_ID"], json.loads(os.environ["SLIPWAY_BATCH_SPLIT"])
    try:
        count = told["tasks"] or _count(told)
        # A job has a folder of its own; Batch numbers a schedule's jobs as in NAME:job-1.
        tasks = _tasks(told["template"], f"{told['output'].rstrip('/')}/{job.replace(':', '-')}", count)
        _add(f"{os.environ['AZ_BATCH_ACCOUNT_URL'].rstrip('/')}/jobs/{job}", list(tasks), told["submitter"])
    except InputError as error:
        return _end(str(error), _MISTAKE)
    except (StorageError, _AddingError) as error:
        return _end(str(error), _UNFINISHED)
    return _end(f"{job} has {count} tasks", 0)


def _end(message: str, code: int) -> int:
    print(message, file=sys.stderr if code else sys.stdout)
    return code


def _count(told: dict[str, Any]) -> int:
    sizes = [size for _, _, size in Places().find(os.environ["SLIPWAY_JOB_INPUT"])]
    return task_count(sum(sizes), len(sizes), told["taskBytes"], told["mostTasks"])


def _tasks(template: dict[str, Any], output: str, count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        own = {"SLIPWAY_JOB_OUTPUT": output, "SLIPWAY_JOB_OF": str(count), "SLIPWAY_JOB_TASK": str(number)}
        settings = [*template["environmentSettings"], *({"name": name, "value": own[name]} for name in own)]
        yield {**template, "id": f"{number:05d}", "environmentSettings": settings}


def _add(job: str, tasks: list[dict[str, Any]], submitter: str) -> None:
    # With adlfs, which the storage needs; slow to import.
    from azure.identity import ManagedIdentityCredential  # noqa: PLC0415 - as above

    credential = ManagedIdentityCredential(client_id=submitter)
    for attempt in range(_TRIES):
        try:
            tasks = _added(job, tasks, credential.get_token(_SCOPE).token)
        except _AddingError:
            # The same again would be refused again.
            raise
        except urllib.error.HTTPError as error:
            said = error.read(2000).decode(errors="replace")
            reason = f"Batch answers {error.code}: {said}"
        except Exception as error:  # noqa: BLE001 - the identity's library raises its own, and the network any
            reason = f"{type(error).__name__}: {error}"
        else:
            if not tasks:
                return
            reason = f"{len(tasks)} tasks were not taken"
        if attempt < _TRIES - 1:
            time.sleep(2**attempt)
    raise _AddingError(reason)


def _added(job: str, tasks: list[dict[str, Any]], token: str) -> list[dict[str, Any]]:
    """Add tasks; return those that Batch did not take and would at another try."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json; odata=minimalmetadata"}
    left = []
    for start in range(0, len(tasks), _AT_ONCE):
        some = {one["id"]: one for one in tasks[start : start + _AT_ONCE]}
        url = f"{job}/addtaskcollection?api-version={_API_VERSION}"
        body = json.dumps({"value": list(some.values())}).encode()
        request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310 - Batch's own address
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - as above
            results = json.loads(answer.read())["value"]
        for one in results:
            status, error = one["status"].lower(), one.get("error") or {}
            if status == "clienterror" and error.get("code") != _THERE:
                raise _AddingError(f"task {one['taskId']} is refused: {error}")
            if status == "servererror":
                left.append(some[one["taskId"]])
    return left
