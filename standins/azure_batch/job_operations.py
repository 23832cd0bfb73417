"""Batch's operations on jobs."""

from __future__ import annotations

from standins.azure_batch import outcome
from standins.azure_batch.bodies import check
from standins.azure_batch.common import ENDING, Answer, Base, Request, need_id, over
from standins.azure_batch.errors import BatchError

_MOST_JOBS = 100


class JobOperations(Base):
    """On jobs."""

    def create_job(self, request: Request) -> Answer:
        """POST /jobs."""
        body = check("BatchJobCreateOptions", request.body)
        need_id(body["id"])
        if self.state.get("job", request.account, body["id"]):
            raise BatchError(409, "JobExists", "The specified job already exists.")
        active = [one for one in self.state.all("job", request.account) if one.state != "completed"]
        if len(active) >= _MOST_JOBS:
            raise BatchError(409, "ActiveJobAndScheduleQuotaReached", "The account's quota of active jobs is reached.")
        self.need_pool(request.account, body["poolInfo"].get("poolId"))
        job = outcome.new_job(request.account, body)
        if manager := body.get("jobManagerTask"):
            self.state.save(outcome.new_task(job, outcome.as_task(manager)))
        self.state.save(job)
        return Answer(201, document=job)

    def list_jobs(self, request: Request) -> Answer:
        """GET /jobs."""
        return self.listed(request, self.state.all("job", request.account))

    def get_job(self, request: Request) -> Answer:
        """GET /jobs/ID."""
        return self.one(request, self.job_of(request))

    def change_job(self, request: Request) -> Answer:
        """PATCH /jobs/ID."""
        job = self.job_of(request)
        body = check("BatchJobUpdateOptions", request.body)
        if job.state in {"completed", *ENDING}:
            raise BatchError(409, "JobCompleted", "The specified job is already in a completed state.")
        if "poolInfo" in body:
            if job.state != "disabled":
                raise BatchError(409, "JobNotDisabled", "The pool of a job can be changed only when it is disabled.")
            self.need_pool(request.account, body["poolInfo"].get("poolId"))
            job.shown["executionInfo"]["poolId"] = body["poolInfo"]["poolId"]
        job.shown |= body
        job.touch()
        self.state.save(job)
        return Answer(200, document=job)

    def delete_job(self, request: Request) -> Answer:
        """DELETE /jobs/ID."""
        job = self.job_of(request)
        if job.state == "deleting":
            raise BatchError(409, "JobBeingDeleted", "The specified job is being deleted.")
        job.turn("deleting")
        self.state.save(job)
        return Answer(202)

    def disable_job(self, request: Request) -> Answer:
        """POST /jobs/ID/disable."""
        job = self.job_of(request)
        body = check("BatchJobDisableOptions", request.body)
        if job.state not in {"active", "disabling", "disabled"}:
            raise over(job)
        if job.state != "disabled":
            job.own["disable"] = body["disableTasks"].lower()
            job.turn("disabling")
            self.state.save(job)
        return Answer(202, document=job)

    def enable_job(self, request: Request) -> Answer:
        """POST /jobs/ID/enable."""
        job = self.job_of(request)
        if job.state not in {"active", "disabling", "disabled"}:
            raise over(job)
        job.turn("active")
        self.state.save(job)
        return Answer(202, document=job)

    def terminate_job(self, request: Request) -> Answer:
        """POST /jobs/ID/terminate."""
        job = self.job_of(request)
        body = check("BatchJobTerminateOptions", request.body) if request.body is not None else {}
        if job.state in {"completed", *ENDING}:
            raise over(job)
        job.own["reason"] = body.get("terminateReason") or "UserTerminate"
        job.turn("terminating")
        self.state.save(job)
        return Answer(202, document=job)

    def count_tasks(self, request: Request) -> Answer:
        """GET /jobs/ID/taskcounts."""
        tasks = self.state.all("task", self.job_of(request).key)
        counts = dict.fromkeys(("active", "running", "completed", "succeeded", "failed"), 0)
        for task in tasks:
            counts["running" if task.state == "preparing" else task.state] += 1
            if result := task.shown["executionInfo"].get("result"):
                counts["succeeded" if result == "success" else "failed"] += 1
        return Answer(200, {"taskCounts": counts, "taskSlotCounts": counts})
