"""One request and its answer: what is added to the answer, and who is told of it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from scoring import failure
from scoring.answers import JSON, NOT_FAILED, Answer, refusal, to_json
from scoring.lane import DeadlineError, ShutdownError
from scoring.refused import RefusedError
from scoring.scorer import Scored

if TYPE_CHECKING:
    from scoring.job import Job
    from scoring.lane import Lane
    from scoring.request import Request
    from scoring.scorer import Outcome
    from scoring.server.app import App
    from scoring.server.connection import Connection
    from scoring.telemetry.tracing import Handle

_FAILED = (b"x-ms-run-function-failed", b"True")
_RUN_RAISED = "An unexpected error occurred in scoring script. Check the logs for more info."
_LATER = ((b"retry-after", b"1"),)
# As nginx has it: nobody was there any more.
_CALLER_LEFT = 499
REASONS = {401: "unauthorized", 403: "unauthorized", 413: "too large"}
_UNAVAILABLE = 503
_log = logging.getLogger("slipway")


class Exchange:
    """A request on its way through the service.

    Attributes:
        head: Headers of the answer, as they go over the wire.
        span: What is traced of it.
        is_over: Whether its caller has left.
    """

    __slots__ = (
        "_app",
        "_began",
        "_connection",
        "_generation",
        "_job",
        "_lane",
        "_size",
        "head",
        "is_over",
        "request",
        "span",
    )

    def __init__(self, app: App, request: Request, connection: Connection) -> None:
        """Begin."""
        self._app = app
        self._connection = connection
        self._began = time.perf_counter()
        self._size = len(request.body)
        self._job: Job | None = None
        self._lane: Lane | None = None
        self._generation = 0
        self.request = request
        self.is_over = False
        self.head = b""
        self.span: Handle | None = None

    def respond(
        self, answer: Answer, *, job: Job | None = None, seconds: float = 0.0, error: BaseException | None = None
    ) -> None:
        """Send the answer, and count it.

        Args:
            answer: The answer.
            job: The call of run() that it comes from.
            seconds: How long that took.
            error: What run() raised.
        """
        app, request = self._app, self.request
        for name, value in app.cors_headers(request):
            self.head += b"%b: %b\r\n" % (name, value)
        self._connection.respond(answer, self.head)
        took = time.perf_counter() - self._began
        app.metrics.request(request.path, answer.status, took, self._size, len(answer.body))
        if self.span is not None and app.tracing is not None:
            batch = job.batch if job is not None else 0
            app.tracing.end(self.span, answer.status, seconds, batch, error, answer.body)

    def refuse(self, refused: RefusedError) -> None:
        """Answer with an error that its caller can do something about."""
        reason = REASONS.get(refused.status)
        if refused.status == _UNAVAILABLE:
            loaded = "queue full" if self._app.answers else "starting"
            reason = "draining" if self._app.is_draining else loaded
        if reason is not None:
            self._app.metrics.rejected(reason)
        self.respond(refusal(refused.status, str(refused), refused.headers))

    def fail(self, message: str, *, run_failed: bool = False, error: BaseException | None = None) -> None:
        """Answer with a 500."""
        failed = _FAILED if run_failed else NOT_FAILED
        self.respond(Answer(to_json({"message": message}), 500, JSON, (failed,)), job=self._job, error=error)

    def follow(self, job: Job, lane: Lane, generation: int) -> None:
        """Remember the call that it waits for."""
        self._job, self._lane, self._generation = job, lane, generation

    def abandon(self) -> None:
        """End without an answer: its caller has left."""
        self.is_over = True
        if self._job is not None and self._lane is not None:
            self._lane.abandon(self._job)
        self._app.metrics.request(self.request.path, _CALLER_LEFT, time.perf_counter() - self._began, self._size, 0)
        if self.span is not None and self._app.tracing is not None:
            self._app.tracing.end(self.span, _CALLER_LEFT)

    def tell(self, job: Job, outcome: Outcome) -> None:
        """Answer with what became of the call; why it came to nothing is for the log."""
        app = self._app
        if app.settings.reload:
            self.head += b"x-slipway-generation: %d\r\n" % self._generation
        if isinstance(outcome, Scored):
            answer, seconds = outcome.answer, outcome.seconds
            failed = b"True" if answer.failed else b"False"
            self.head += b"x-ms-run-function-failed: %b\r\nx-ms-run-fn-exec-ms: %.3f\r\n" % (failed, seconds * 1000)
            self.respond(answer, job=job, seconds=seconds)
            if job.leads:
                app.metrics.run(seconds, job.batch)
            if app.sink is not None:
                app.sink.record(self.request, answer)
        elif isinstance(outcome, RefusedError):
            self.refuse(outcome)
        else:
            self._tell_failure(outcome.error)

    @property
    def _logged(self) -> dict[str, str]:
        return {"request_id": self.request.id}

    def _tell_failure(self, error: BaseException) -> None:
        if isinstance(error, ShutdownError):
            self.refuse(RefusedError(503, "The server was stopped before the request was answered.", _LATER))
        elif isinstance(error, DeadlineError):
            milliseconds = round(self._app.settings.timeout_seconds * 1000)
            _log.error("run() did not finish within %d ms", milliseconds, extra=self._logged)
            self._app.metrics.rejected("deadline")
            self.fail(f"Scoring timeout after {milliseconds} ms", run_failed=True, error=error)
        else:
            _log.error("run() failed: %s", failure.one_line(error), exc_info=error, extra=self._logged)
            self.fail(_RUN_RAISED, run_failed=True, error=error)
