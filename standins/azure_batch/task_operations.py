"""Batch's operations on tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from standins.azure_batch import outcome
from standins.azure_batch.bodies import check
from standins.azure_batch.common import Answer, Base, Request, need_active, need_id
from standins.azure_batch.errors import BatchError, missing

if TYPE_CHECKING:
    from standins.azure_batch.state import Document

_AT_ONCE = 100


class TaskOperations(Base):
    """On tasks."""

    def _task(self, request: Request) -> Document:
        task = self.state.get("task", self.job_of(request).key, request.parts["task"])
        if task is None:
            raise missing("Task", request.parts["task"])
        return task

    def create_task(self, request: Request) -> Answer:
        """POST /jobs/ID/tasks."""
        task = self._new_task(self.job_of(request), request.body)
        return Answer(201, document=task)

    def create_tasks(self, request: Request) -> Answer:
        """POST /jobs/ID/addtaskcollection."""
        job, body = self.job_of(request), check("BatchTaskGroup", request.body)
        if len(body["value"]) > _AT_ONCE:
            raise BatchError(400, "InvalidRequestBody", f"A collection has at most {_AT_ONCE} tasks.")
        need_active(job)
        results = []
        for one in body["value"]:
            try:
                task = self._new_task(job, one)
            except BatchError as error:
                results.append({"status": "clienterror", "taskId": one["id"], "error": error.body("")})
            else:
                location = f"{request.url}/jobs/{job.id}/tasks/{task.id}"
                results.append(
                    {"status": "success", "taskId": task.id, "eTag": task.shown["eTag"], "location": location}
                )
        return Answer(200, {"value": results})

    def _new_task(self, job: Document, given: Any) -> Document:
        body = check("BatchTaskCreateOptions", given)
        need_id(body["id"])
        need_active(job)
        if self.state.get("task", job.key, body["id"]):
            raise BatchError(409, "TaskExists", "The specified task already exists.")
        task = outcome.new_task(job, body)
        self.state.save(task)
        return task

    def list_tasks(self, request: Request) -> Answer:
        """GET /jobs/ID/tasks."""
        return self.listed(request, self.state.all("task", self.job_of(request).key))

    def get_task(self, request: Request) -> Answer:
        """GET /jobs/ID/tasks/ID."""
        return self.one(request, self._task(request))

    def delete_task(self, request: Request) -> Answer:
        """DELETE /jobs/ID/tasks/ID."""
        task = self._task(request)
        self.runs.forget(task)
        self.state.remove(task)
        return Answer(200)

    def terminate_task(self, request: Request) -> Answer:
        """POST /jobs/ID/tasks/ID/terminate."""
        task = self._task(request)
        if task.state == "completed":
            raise BatchError(409, "TaskCompleted", "The specified task is already in completed state.")
        outcome.cut_off(task, "TaskEnded", "The task was terminated by a user request.")
        self.state.save(task)
        return Answer(204)

    def reactivate_task(self, request: Request) -> Answer:
        """POST /jobs/ID/tasks/ID/reactivate."""
        task = self._task(request)
        need_active(self.job_of(request))
        information = task.shown["executionInfo"]
        if task.state != "completed" or information.get("result") == "success":
            raise BatchError(409, "TaskNotFailed", "Only a task that has failed can be reactivated.")
        task.shown["executionInfo"] = {"retryCount": 0, "requeueCount": information["requeueCount"]}
        task.shown.pop("nodeInfo", None)
        task.turn("active")
        self.state.save(task)
        return Answer(204)
