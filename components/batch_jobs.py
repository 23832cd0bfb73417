"""What a pool's jobs are to the stack: they move when it is replaced, and some start by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi

if TYPE_CHECKING:
    from collections.abc import Mapping


class BatchJobs(pulumi.CustomResource):
    """The jobs of one model's pools; see provider/slipway/batch_jobs.py."""

    def __init__(
        self,
        name: str,
        *,
        account: pulumi.Input[str],
        pool: pulumi.Input[str],
        drain_minutes: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Move them to a pool.

        Args:
            name: The resource's name.
            account: The Batch account's address.
            pool: The pool that they run on.
            drain_minutes: How long tasks may go on where they are.
            opts: Pulumi's options.
        """
        inputs = {"account": account, "pool": pool, "drainMinutes": drain_minutes}
        super().__init__("slipway:index:BatchJobs", name, inputs, opts)


class BatchJobSchedule(pulumi.CustomResource):
    """Jobs that start by themselves; see provider/slipway/batch_job_schedule.py."""

    def __init__(
        self, name: str, *, inputs: Mapping[str, pulumi.Input[Any]], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Schedule them.

        Args:
            name: The resource's name.
            inputs: Which, where and when.
            opts: Pulumi's options.
        """
        super().__init__("slipway:index:BatchJobSchedule", name, dict(inputs), opts)
