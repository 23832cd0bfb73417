"""Batch's operations on job schedules."""

from __future__ import annotations

from datetime import UTC, datetime

from standins.azure_batch.bodies import check
from standins.azure_batch.common import Answer, Base, Request, need_id
from standins.azure_batch.durations import parsed
from standins.azure_batch.errors import BatchError, missing
from standins.azure_batch.state import Document, now

_SHORTEST_SECONDS = 60


class ScheduleOperations(Base):
    """On job schedules."""

    def _schedule(self, request: Request) -> Document:
        schedule = self.state.get("schedule", request.account, request.parts["schedule"])
        if schedule is None:
            raise missing("JobSchedule", request.parts["schedule"])
        return schedule

    def create_schedule(self, request: Request) -> Answer:
        """POST /jobschedules."""
        body = check("BatchJobScheduleCreateOptions", request.body)
        need_id(body["id"])
        if self.state.get("schedule", request.account, body["id"]):
            raise BatchError(409, "JobScheduleExists", "The specified job schedule already exists.")
        schedule = Document("schedule", request.account, {**body, "creationTime": now()})
        self._set_times(request, schedule)
        schedule.turn("active")
        self.state.save(schedule)
        return Answer(201, document=schedule)

    def _set_times(self, request: Request, schedule: Document) -> None:
        """Say when its next job begins."""
        self.need_pool(request.account, schedule.shown["jobSpecification"]["poolInfo"].get("poolId"))
        times = schedule.shown["schedule"]
        try:
            every = parsed(times.get("recurrenceInterval"))
            due = datetime.fromisoformat(times.get("doNotRunUntil") or now())
        except ValueError as error:
            raise BatchError(
                400, "InvalidPropertyValue", "The value of a property is invalid.", Value=str(error)
            ) from None
        if every and every.total_seconds() < _SHORTEST_SECONDS:
            raise BatchError(400, "InvalidPropertyValue", "recurrenceInterval has to be a minute at least.")
        if every and "doNotRunUntil" in times and due < datetime.now(UTC):
            due += every * (int((datetime.now(UTC) - due) / every) + 1)
        schedule.shown.setdefault("executionInfo", {})["nextRunTime"] = due.isoformat()

    def list_schedules(self, request: Request) -> Answer:
        """GET /jobschedules."""
        return self.listed(request, self.state.all("schedule", request.account))

    def get_schedule(self, request: Request) -> Answer:
        """GET and HEAD /jobschedules/ID."""
        return self.one(request, self._schedule(request))

    def change_schedule(self, request: Request) -> Answer:
        """PATCH /jobschedules/ID."""
        schedule = self._schedule(request)
        schedule.shown |= check("BatchJobScheduleUpdateOptions", request.body)
        self._set_times(request, schedule)
        schedule.touch()
        self.state.save(schedule)
        return Answer(200, document=schedule)

    def delete_schedule(self, request: Request) -> Answer:
        """DELETE /jobschedules/ID."""
        schedule = self._schedule(request)
        schedule.turn("deleting")
        self.state.save(schedule)
        return Answer(202)

    def turn_schedule(self, request: Request) -> Answer:
        """POST /jobschedules/ID/enable and disable."""
        schedule = self._schedule(request)
        schedule.turn("active" if request.path.endswith("/enable") else "disabled")
        self.state.save(schedule)
        return Answer(204, document=schedule)

    def run_schedule(self, request: Request) -> Answer:
        """POST /standin/jobschedules/ID/run: its next job is due, which tests cannot wait for."""
        schedule = self._schedule(request)
        schedule.shown["executionInfo"]["nextRunTime"] = now()
        self.state.save(schedule)
        return Answer(204)

    def list_jobs_of_schedule(self, request: Request) -> Answer:
        """GET /jobschedules/ID/jobs."""
        key = self._schedule(request).key
        jobs = [one for one in self.state.all("job", request.account) if one.own.get("schedule") == key]
        return self.listed(request, jobs)
