"""What becomes of jobs and tasks: their beginnings and ends, as Batch tells them."""

from __future__ import annotations

import time
from typing import Any

from standins.azure_batch.state import Document, now

_FOR_EVER = -1


def new_job(account: str, body: dict[str, Any]) -> Document:
    """Make a job."""
    job = Document(
        "job", account, {"priority": 0, "onAllTasksComplete": "noaction", "onTaskFailure": "noaction", **body}
    )
    job.shown |= {
        "creationTime": now(),
        "executionInfo": {"startTime": now(), "poolId": body["poolInfo"]["poolId"]},
    }
    job.turn("active")
    return job


def new_task(job: Document, body: dict[str, Any]) -> Document:
    """Make a task."""
    task = Document("task", job.key, {"requiredSlots": 1, **body}, {"run": 0})
    task.shown |= {"creationTime": now(), "executionInfo": {"retryCount": 0, "requeueCount": 0}}
    task.turn("active")
    return task


def as_task(manager: dict[str, Any]) -> dict[str, Any]:
    """Return a job manager as a task."""
    other = ("killJobOnCompletion", "runExclusive", "allowLowPriorityNode")
    return {name: value for name, value in manager.items() if name not in other}


def started(task: Document) -> None:
    """A task's container runs."""
    task.own["began"] = time.time()
    task.shown["executionInfo"]["startTime"] = now()
    task.turn("running")


def requeued(task: Document) -> None:
    """A task's node is gone: it waits again, and nothing of its run counts."""
    information = task.shown["executionInfo"]
    information["requeueCount"] += 1
    information["lastRequeueTime"] = now()
    information.pop("startTime", None)
    task.shown.pop("nodeInfo", None)
    task.turn("active")


def ended(task: Document, code: int, *, is_out_of_memory: bool) -> None:
    """A task's container ended: it is complete, or is tried again."""
    information = task.shown["executionInfo"]
    retries = int((task.shown.get("constraints") or {}).get("maxTaskRetryCount") or 0)
    if code and (retries == _FOR_EVER or information["retryCount"] < retries):
        information["retryCount"] += 1
        information["lastRetryTime"] = now()
        information["exitCode"] = code
        task.turn("active")
        return
    information |= {"exitCode": code, "endTime": now(), "result": "failure" if code else "success"}
    if code:
        information["failureInfo"] = {
            "category": "usererror",
            "code": "FailureExitCode",
            "message": "The task exited with an exit code representing a failure",
            "details": [
                {"name": "Message", "value": "The task exited with an exit code representing a failure"},
                {"name": "OutOfMemory", "value": str(is_out_of_memory).lower()},
            ],
        }
    task.turn("completed")


def cut_off(task: Document, code: str, message: str) -> None:
    """A task is ended before its end, or cannot begin."""
    information = task.shown["executionInfo"]
    information |= {"endTime": now(), "result": "failure"}
    information["failureInfo"] = {"category": "usererror", "code": code, "message": message}
    task.turn("completed")


def completed(job: Document, reason: str) -> None:
    """A job is over."""
    job.shown["executionInfo"] |= {"endTime": now(), "terminateReason": reason}
    job.turn("completed")
