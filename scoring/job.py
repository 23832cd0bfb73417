"""A call on its way through a lane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from scoring.interrupts import Interruptible
    from scoring.request import Request
    from scoring.scorer import Outcome


class Job:
    """A call on its way through a lane.

    Attributes:
        settled: Whether its outcome was told, or nobody wants it any more.
        batch: How many calls run() took at once.
        leads: Whether it is the first of those.
        arguments: What run() was called with. To give back a table of a hundred rows takes as long as to send an
            answer, so it is kept until that is sent.
    """

    __slots__ = (
        "arguments",
        "batch",
        "deadline",
        "group",
        "leads",
        "outcome",
        "request",
        "settled",
        "since",
        "size",
        "tell",
    )

    def __init__(
        self,
        request: Request,
        tell: Callable[[Job, Outcome], None] | None = None,
        since: float = 0.0,
        deadline: float = 0.0,
    ) -> None:
        """Make a job.

        Args:
            request: What to answer.
            tell: Called on the event loop with the outcome, once at most; None where a lane is not involved.
            since: When it came, on the clock of time.monotonic().
            deadline: When it is answered for the script, on the same clock.
        """
        self.request = request
        self.size = len(request.body)
        self.tell = tell
        self.since = since
        self.deadline = deadline
        self.settled = False
        self.outcome: Outcome | None = None
        self.batch = 1
        self.leads = True
        self.arguments: dict[str, Any] | None = None
        # What breaks the call off.
        self.group: Group | asyncio.Task[None] | None = None


class Group:
    """The calls that a thread has in hand: one, or a batch.

    Attributes:
        jobs: The calls.
        worker: What breaks them off.
    """

    __slots__ = ("jobs", "worker")

    def __init__(self, jobs: list[Job], worker: Interruptible) -> None:
        """Take them in hand."""
        self.jobs = jobs
        self.worker = worker
