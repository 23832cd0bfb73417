"""Traces by OpenTelemetry: a span for each request, to a collector or to Application Insights."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from scoring.telemetry.counters import ROUTES
from scoring.telemetry.insights import InsightsHandler
from scoring.telemetry.outbox import Outbox
from scoring.telemetry.tracing_settings import TracingSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from scoring.request import Request
    from scoring.variables import Reader

_SERVER_ERROR = 500
# Where nobody has called shutdown() before the process ends.
_EXIT_SECONDS = 2.0


class Handle:
    """A request that is being traced."""

    __slots__ = ("begun", "request", "span", "started")

    def __init__(self, request: Request, span: Any) -> None:
        """Begin now."""
        self.request = request
        self.span = span
        self.started = time.time()
        self.begun = time.perf_counter()


class Tracing:
    """Spans for requests.

    Made in the master, started in each worker after the fork. `start` and `end` belong to one thread at a time,
    `running` to the thread that calls the script.

    Attributes:
        dropped: How many spans and log events were given up: too many waited, or the collector did not take them.
    """

    def __init__(self, settings: TracingSettings) -> None:
        """Make one that is not started."""
        self._settings = settings
        self._tracer: Any = None
        self._outboxes: list[Outbox] = []
        self._exporters: list[Any] = []
        self._handler: logging.Handler | None = None
        self._on_dropped: Callable[[int], None] | None = None
        self._lock = threading.Lock()
        self.dropped = 0

    @classmethod
    def from_reader(cls, reader: Reader) -> Tracing | None:
        """Return what traces, or None where nothing is to be traced.

        Args:
            reader: The environment variables; takes what is wrong with them.
        """
        settings = TracingSettings.from_reader(reader)
        return cls(settings) if settings is not None and not reader.problems else None

    def start_worker(self, on_dropped: Callable[[int], None] | None = None) -> None:
        """Begin to send, in the process that calls this; also what the script's own spans need.

        Args:
            on_dropped: Is told of each number of spans given up, in any thread: `Metrics.dropped_spans`.
        """
        from opentelemetry import trace  # noqa: PLC0415 - optional, and slow to import
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415 - optional
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - optional

        settings = self._settings
        self._on_dropped = on_dropped
        ours = {"service.name": settings.name, "service.version": settings.version}
        # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say is stronger.
        resource = Resource.create(ours).merge(OTELResourceDetector().detect())
        provider = TracerProvider(resource=resource, shutdown_on_exit=False, id_generator=_ids())
        if settings.endpoint:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - optional
                OTLPSpanExporter,
            )

            self._add_spans(provider, OTLPSpanExporter(endpoint=settings.endpoint))
        if settings.insights is not None:
            self._add_spans(provider, settings.insights.span_exporter())
            put = self._outbox(settings.insights.log_exporter())
            self._handler = InsightsHandler(settings.insights, resource, put)
            logging.getLogger().addHandler(self._handler)
        trace.set_tracer_provider(provider)
        self._tracer = provider.get_tracer("slipway")
        atexit.register(self.shutdown, _EXIT_SECONDS)

    def start(self, request: Request) -> Handle:
        """Begin the span of a request, as a child of its caller's.

        Args:
            request: The request, whose `traceparent` header names its caller's span.
        """
        from opentelemetry import propagate  # noqa: PLC0415 - optional
        from opentelemetry.trace import SpanKind  # noqa: PLC0415 - optional

        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
        attributes = {
            "http.request.method": request.method,
            "url.path": request.path,
            "url.scheme": request.scheme,
            "slipway.request_id": request.id,
        }
        if request.path in ROUTES:
            attributes["http.route"] = request.path
        span = self._tracer.start_span(
            f"{request.method} {request.path}" if request.path in ROUTES else request.method,
            context=propagate.extract(carrier),
            kind=SpanKind.SERVER,
            attributes=attributes,
        )
        return Handle(request, span)

    @staticmethod
    def running(handle: Handle) -> contextlib.AbstractContextManager[Any]:
        """Make a request's span the current one, so that the script's own spans are its children.

        Args:
            handle: The request; of a batch, its first.
        """
        from opentelemetry.trace import use_span  # noqa: PLC0415 - optional

        return use_span(handle.span, end_on_exit=False, record_exception=False, set_status_on_exception=False)

    def end(
        self,
        handle: Handle,
        status: int,
        run_seconds: float = 0.0,
        batch: int = 0,
        error: BaseException | None = None,
        response: bytes = b"",
    ) -> None:
        """End the span of a request.

        Args:
            handle: The request.
            status: The HTTP status of the answer.
            run_seconds: How long run() took; 0 where it was not called.
            batch: How many requests that call of run() answered; 0 where it was not called.
            error: What run() raised.
            response: The answer's body, for Application Insights.
        """
        from opentelemetry.trace import StatusCode  # noqa: PLC0415 - optional

        span = handle.span
        if not span.is_recording():
            return
        span.set_attribute("http.response.status_code", status)
        if batch:
            span.set_attribute("slipway.run_duration_seconds", run_seconds)
            span.set_attribute("slipway.batch_size", batch)
        if error is not None:
            span.record_exception(error)
            span.set_attribute("error.type", type(error).__qualname__)
        elif status >= _SERVER_ERROR:
            span.set_attribute("error.type", str(status))
        if error is not None or status >= _SERVER_ERROR:
            span.set_status(StatusCode.ERROR)
        if (insights := self._settings.insights) is not None:
            seconds = time.perf_counter() - handle.begun
            span.set_attributes(insights.attributes(handle.request, handle.started, seconds, status, response))
        span.end()

    def shutdown(self, seconds: float) -> None:
        """Send what waits, and send no more.

        Args:
            seconds: How long that may take; what has not been sent by then is given up, and counted.
        """
        deadline = time.monotonic() + seconds
        atexit.unregister(self.shutdown)
        if self._handler is not None:
            logging.getLogger().removeHandler(self._handler)
        outboxes, self._outboxes = self._outboxes, []
        for outbox in outboxes:
            outbox.close(max(0.0, deadline - time.monotonic()))
        exporters, self._exporters = self._exporters, []
        for exporter in exporters:
            # Ends the waiting between one attempt to send and the next.
            with contextlib.suppress(Exception):
                exporter.shutdown()

    def _add_spans(self, provider: Any, exporter: Any) -> None:
        from opentelemetry.sdk.trace import SpanProcessor  # noqa: PLC0415 - optional

        put = self._outbox(exporter)

        # The SDK's own processor does not tell how many spans it gave up.
        class _Processor(SpanProcessor):
            def on_end(self, span: Any) -> None:
                if span.context.trace_flags.sampled:
                    put(span)

        provider.add_span_processor(_Processor())

    def _outbox(self, exporter: Any) -> Callable[[Any], None]:
        from opentelemetry.context import (  # noqa: PLC0415 - optional
            _SUPPRESS_INSTRUMENTATION_KEY,
            attach,
            set_value,
        )

        def send(items: list[Any]) -> bool:
            # Else a script that traces its HTTP calls would trace these, without end.
            attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, value=True))
            return bool(exporter.export(items).name == "SUCCESS")

        settings = self._settings
        outbox = Outbox(send, self._drop, capacity=settings.capacity, batch=settings.batch, delay=settings.delay)
        self._outboxes.append(outbox)
        self._exporters.append(exporter)
        return outbox.put

    def _drop(self, number: int) -> None:
        with self._lock:
            self.dropped += number
        if self._on_dropped is not None:
            self._on_dropped(number)


def _ids() -> Any:
    """What makes ids: OpenTelemetry's own takes Python's random numbers, which a script may have seeded."""
    from opentelemetry.sdk.trace.id_generator import IdGenerator  # noqa: PLC0415 - optional

    class _SystemIds(IdGenerator):
        def generate_span_id(self) -> int:
            return int.from_bytes(os.urandom(8), "big") or 1

        def generate_trace_id(self) -> int:
            return int.from_bytes(os.urandom(16), "big") or 1

    return _SystemIds()
