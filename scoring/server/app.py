"""The routes: Azure ML's contract over HTTP, health, and what an operator asks for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from os import urandom
from typing import TYPE_CHECKING

from scoring import page
from scoring.answers import NOT_FAILED, Answer, to_json
from scoring.refused import RefusedError
from scoring.request import Request
from scoring.security import guarded
from scoring.server.exchange import REASONS, Exchange
from scoring.server.room import Room
from scoring.service import ANSWERING
from scoring.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Headers = list[tuple[bytes, bytes]]

    from scoring.script import Script
    from scoring.server.connection import Connection
    from scoring.server.features import Features, Instruments
    from scoring.service import Service
    from scoring.settings import Settings
    from scoring.swagger import Swagger

    Route = Callable[[Request], Answer]

_MAX_ID = 100
_TEXT = b"text/html; charset=utf-8"
_SERVER = b"x-ms-server-version: slipway\r\n"
_INTERNAL = "An unexpected internal error occurred. Check the logs for more info."
# A head is refused before there is an exchange.
_REASONS = REASONS | {414: "too large", 431: "too large"}
_log = logging.getLogger("slipway")


class App:
    """Answers requests: `scoring.server.connection.Handler`.

    Attributes:
        max_body_bytes: Larger bodies are refused.
        room: What all connections may hold together.
        settings: The service's settings.
        metrics: Counts.
        sink: Collects; None where nothing is collected.
        tracing: None where nothing is traced.
    """

    def __init__(self, service: Service, settings: Settings, features: Features, instruments: Instruments) -> None:
        """Serve a service.

        Args:
            service: What answers.
            settings: Its limits.
            features: What it has beside its script.
            instruments: The same, at work in this process.
        """
        self.max_body_bytes = settings.max_body_bytes
        self.room = Room(settings.max_waiting_bytes, settings.connections)
        self.settings = settings
        self.metrics = instruments.metrics
        self.sink = instruments.sink
        self.tracing = features.tracing
        self._service = service
        self._features = features
        self._guard = features.guard
        self._swagger: tuple[Script | None, Swagger] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._get: dict[str, Route] = {
            "/": self._home,
            "/live": self._live,
            "/ready": self._ready,
            "/status": self._status,
            "/metrics": self._metrics,
            "/swagger.json": self._documents,
        }

    @property
    def is_draining(self) -> bool:
        """Whether connections are to be closed after their answer."""
        return self._service.is_draining

    @property
    def answers(self) -> bool:
        """Whether a script is loaded."""
        return self._service.script is not None

    def cors_headers(self, request: Request) -> Sequence[tuple[bytes, bytes]]:
        """Return the headers by which a browser gives the answer to a page of another origin."""
        return self._features.cors.headers(request)

    def refused(self, status: int, headers: Headers) -> Sequence[tuple[bytes, bytes]]:
        """Count a request that never became one: its head or body was refused by the connection.

        Returns:
            Further headers of its answer.
        """
        self.metrics.request("other", status, 0.0, 0, 0)
        self.metrics.rejected(_REASONS.get(status, "other"))
        return self.cors_headers(Request("", "", headers=headers))

    def handle(self, request: Request, connection: Connection) -> Callable[[], None] | None:
        """Answer a request, now or later.

        Returns:
            What to call when the caller leaves before it is answered.
        """
        exchange = Exchange(self, request, connection)
        try:
            exchange.head = _identify(request)
            if self.tracing is not None and request.path == "/score":
                exchange.span = request.span = self.tracing.start(request)
            if self._features.page and (found := page.answer(request.path)) is not None:
                # A browser that opens a page sends no key; the page asks for one.
                _allow(request, ("GET", "HEAD"))
                exchange.respond(found)
                return None
            waiting = self._check(request.method, request.path, request.headers)
            if waiting is None:
                return self._go_on(exchange)
            task = asyncio.get_running_loop().create_task(self._wait(waiting, exchange))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        except RefusedError as refused:
            exchange.refuse(refused)
        except Exception:  # noqa: BLE001 - whatever it is, the caller gets an answer and the log has the rest
            _log.exception("internal error")
            exchange.fail(_INTERNAL)
            return None
        return exchange.abandon

    def admit(self, method: str, path: str, headers: Headers) -> None:
        """Refuse a caller by the head of its request, before its body is taken in.

        Raises:
            RefusedError: It may not ask.
        """
        waiting = self._check(method, path, headers)
        if isinstance(waiting, Coroutine):
            # It has to be found out first: then when the request is whole.
            waiting.close()

    def _check(self, method: str, path: str, headers: Headers) -> Awaitable[None] | None:
        """Return what to await where it has to be found out whether the caller may ask."""
        if self._guard is None or not guarded(path):
            return None
        # A browser's question before its own request carries no key, and no script answers it.
        if method == "OPTIONS" and (path != "/score" or "OPTIONS" not in self._service.methods):
            return None
        return self._guard.check(headers)

    async def _wait(self, waiting: Awaitable[None], exchange: Exchange) -> None:
        """Go on when it is found out whether the caller may ask."""
        try:
            await waiting
            if not exchange.is_over:
                self._go_on(exchange)
        except RefusedError as refused:
            exchange.refuse(refused)
        except Exception:  # noqa: BLE001 - as above
            _log.exception("internal error")
            exchange.fail(_INTERNAL)

    def _go_on(self, exchange: Exchange) -> Callable[[], None] | None:
        request = exchange.request
        if request.path == "/score":
            return self._score(exchange)
        route = self._get.get(request.path)
        if route is None:
            raise RefusedError(404, f"There is nothing at {request.path}. Requests are answered at /score.")
        _allow(request, ("GET", "HEAD"))
        exchange.respond(route(request))
        return None

    def _score(self, exchange: Exchange) -> Callable[[], None] | None:
        service, request = self._service, exchange.request
        methods = service.methods
        if request.method not in methods:
            _allow(request, (*methods, "OPTIONS"))
            exchange.respond(Answer(b"", 200, _TEXT, (NOT_FAILED,)))
            return None
        job, lane = service.submit(request, exchange.tell)
        exchange.follow(job, lane, service.generation)
        return exchange.abandon

    def _home(self, _request: Request) -> Answer:
        state = self._service.state
        if state in ANSWERING:
            return Answer(b"Healthy", content_type=_TEXT)
        return Answer(state.encode(), 503, _TEXT)

    def _live(self, _request: Request) -> Answer:
        return Answer(to_json({"state": self._service.state}))

    def _ready(self, _request: Request) -> Answer:
        state = self._service.state
        return Answer(to_json({"state": state}), 200 if state in ANSWERING else 503)

    def _status(self, _request: Request) -> Answer:
        return Answer(to_json(self._service.status()))

    def _metrics(self, request: Request) -> Answer:
        settings, accept = self.settings, request.header(b"accept").decode("latin-1")
        body, content_type = metrics.render(
            self._features.counters, model=settings.name, version=settings.version, accept=accept
        )
        return Answer(body, content_type=content_type.encode("latin-1"))

    def _documents(self, request: Request) -> Answer:
        script = self._service.script
        if self._swagger is None or self._swagger[0] is not script:
            self._swagger = (script, self._features.swagger(self.settings, script))
        return self._swagger[1].answer(request.query)


def _allow(request: Request, methods: tuple[str, ...]) -> None:
    if request.method not in methods:
        allowed = ", ".join(dict.fromkeys(methods))
        message = f"The method {request.method} is not allowed for {request.path}. Allowed: {allowed}."
        raise RefusedError(405, message, [(b"allow", allowed.encode())])


def _identify(request: Request) -> bytes:
    """Set the request's id, and return the headers by which a caller finds its request again, echoed or made.

    x-ms-request-id once was both the request's id and the client's; it is answered as whichever is known.
    """
    headers = dict(request.headers)
    identifier = headers.get(b"x-request-id") or _new_id()
    legacy = headers.get(b"x-ms-request-id", b"")
    client = headers.get(b"x-ms-client-request-id", b"") or legacy
    if len(identifier) > _MAX_ID:
        raise RefusedError(431, f"x-request-id must not exceed {_MAX_ID} characters")
    if len(client) > _MAX_ID or len(legacy) > _MAX_ID:
        raise RefusedError(431, f"x-ms-request-id and x-ms-client-request-id must not exceed {_MAX_ID} characters")
    request.id = identifier.decode("latin-1")
    head = b"%bx-request-id: %b\r\nx-ms-request-id: %b\r\n" % (_SERVER, identifier, legacy or client or identifier)
    if client:
        head += b"x-ms-client-request-id: %b\r\n" % client
    if trace := headers.get(b"traceid"):
        head += b"traceid: %b\r\n" % trace
    return head


def _new_id() -> bytes:
    """A random UUID (RFC 9562, version 4), faster than uuid's; Python's own numbers the script may have seeded."""
    text = urandom(16).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[int(text[16], 16) & 3]}{text[17:20]}-{text[20:]}".encode()
