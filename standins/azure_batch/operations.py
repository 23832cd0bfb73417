"""All of Batch's operations that this stand-in knows."""

from __future__ import annotations

from standins.azure_batch.job_operations import JobOperations
from standins.azure_batch.pool_operations import PoolOperations
from standins.azure_batch.schedule_operations import ScheduleOperations
from standins.azure_batch.task_operations import TaskOperations


class Operations(JobOperations, TaskOperations, ScheduleOperations, PoolOperations):
    """Each takes a request and returns an answer."""
