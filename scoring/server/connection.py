"""One HTTP/1.1 connection: parsed by httptools, answered in order, with a limit on everything that a peer can send.

Protocol: RFC 9112 (HTTP/1.1), RFC 9110 section 10.1.1 (Expect).
"""

from __future__ import annotations

import asyncio
import select
import time
from collections import deque
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

try:
    import httptools
except ModuleNotFoundError:
    # It has no wheel for linux/arm/v7, where nothing listens.
    httptools = None  # type: ignore[assignment]  # as modules are that may be missing

from scoring.answers import WITHOUT_BODY, Answer, refusal
from scoring.refused import RefusedError
from scoring.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scoring.server.room import Room

CAN_LISTEN = httptools is not None
MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 128
# From the first byte of a request to the end of its headers.
HEAD_SECONDS = 15.0
# Without a byte of the body, or without one of the answer being taken.
STALLED_SECONDS = 30.0
# On average, after those seconds.
LEAST_BYTES_PER_SECOND = 1024
# More than proxies keep unused connections for: the side that sends must be the one that closes first.
KEEP_ALIVE_SECONDS = 75.0
# Most clients read an answer only after they have sent all, so what is too much has to be read for a while.
_LINGER_SECONDS = 5.0
# Requests that a peer sent ahead of their answers; further ones stay with the kernel.
_MAX_AHEAD = 16
_MAX_AHEAD_BYTES = 1024 * 1024
_JOIN_BELOW = 64 * 1024
# More than any memory's size has.
_MAX_LENGTH_DIGITS = 18
# Below 100 kB: not worth a question of its own.
_SMALL_LENGTH_DIGITS = 5
# How often a peer that sends no more is looked at while its answer is made.
_LOOK_SECONDS = 0.2
_NEVER = float("inf")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES = {
    status: f"HTTP/1.1 {status} {HTTPStatus(status).phrase if status in set(HTTPStatus) else ''}\r\n".encode()
    for status in range(100, 600)
}


class Handler(Protocol):
    """What answers requests: `scoring.server.app.App`."""

    max_body_bytes: int
    room: Room

    @property
    def is_draining(self) -> bool:
        """Whether connections are to be closed after their answer."""
        ...

    def admit(self, method: str, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        """Refuse a caller by the head of its request.

        Raises:
            RefusedError: It may not ask.
        """
        ...

    def refused(self, status: int, headers: list[tuple[bytes, bytes]]) -> Sequence[tuple[bytes, bytes]]:
        """Be told of a request that was refused before it was whole; return further headers of its answer."""
        ...

    def handle(self, request: Request, connection: Connection) -> Callable[[], None] | None:
        """Answer by `connection.respond`, now or later.

        Returns:
            What to call when the peer leaves before it is answered.
        """
        ...


class Connection(asyncio.Protocol):
    """One peer.

    Attributes:
        deadline: When it is closed unless something happens, on the event loop's clock; looked at by `sweep`.
    """

    def __init__(self, handler: Handler, connections: set[Connection], loop: asyncio.AbstractEventLoop) -> None:
        """Wait for the peer; it adds itself to the connections, and takes itself out."""
        self.deadline = _NEVER
        self._handler = handler
        self._scheme = "http"
        self._body: list[bytes] = []
        # Of the room for bodies.
        self._taken = 0
        self._body_began = 0.0
        self._connections = connections
        self._loop = loop
        self._clock = loop.time
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._ahead: deque[tuple[Request | Answer, bool]] = deque()
        self._ahead_bytes = 0
        self._reading_paused = False
        self._answering = False
        self._keep_alive = True
        self._is_head = False
        self._abandon: Callable[[], None] | None = None
        self._writing_paused = False
        # Bytes of answers that the peer had not taken when last looked at.
        self._unsent = 0
        self._is_half_closed = False
        self._asked_whether_left = False
        # No more requests are taken; what still comes is read away.
        self._finished = False
        self._in_request = False
        # Bytes that came since the last that made the request longer: of a header, a trailer, a chunk's frame.
        self._overhead = 0
        self._begin()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport  # type: ignore[assignment]  # a stream's transport
        self._scheme = "https" if transport.get_extra_info("ssl_object") is not None else "http"
        self._connections.add(self)
        self.deadline = self._clock() + HEAD_SECONDS
        if len(self._connections) > self._handler.room.connections:
            # So that it reads the answer, whatever it is sending.
            self._in_request = True
            self._refuse_for_now()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it ended changes nothing
        """End; a request whose answer nobody waits for is taken back."""
        self._connections.discard(self)
        self._transport = None
        self._ahead.clear()
        self._body = []
        self._give_back()
        if self._abandon is not None:
            self._abandon()
            self._abandon = None

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._finished:
            self._body_bytes += len(data)
            if self._body_bytes > self._handler.max_body_bytes:
                self._close()
            return
        if self._refused is not None:
            # Its answer waits for those before it, and nothing comes after it.
            return
        self._overhead += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ or error from None
        except httptools.HttpParserError as error:
            # Where the request ends is not known, so there may be more of it.
            self._in_request = True
            self._refuse(400, f"The request is not valid HTTP: {error}")
            return
        if self._in_request and self._overhead > MAX_HEAD_BYTES:
            # The parser gathers a header until its line ends, and only then tells of it.
            self._refuse_head()
        if not self._in_request:
            self._expect_within(KEEP_ALIVE_SECONDS)
        elif self._in_body:
            # A byte now and then keeps no body alive.
            late = self._body_began + STALLED_SECONDS + self._body_bytes / LEAST_BYTES_PER_SECOND - self._clock()
            self._expect_within(min(STALLED_SECONDS, late))

    def eof_received(self) -> bool:
        """The peer sends no more; what it sent whole is still answered."""
        self._is_half_closed = True
        self._in_request = False
        if self._finished or not (self._answering or self._ahead):
            self._close()
        else:
            self._loop.call_later(_LOOK_SECONDS, self._look_whether_left)
        # TLS has no half of a connection.
        return self._transport is not None and self._transport.can_write_eof() and not self._transport.is_closing()

    def pause_writing(self) -> None:
        """The peer takes its answers more slowly than they are made."""
        self._writing_paused = True
        self._unsent = self._transport.get_write_buffer_size() if self._transport is not None else 0
        self.deadline = self._clock() + STALLED_SECONDS

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._writing_paused = False
        self.deadline = self._clock() + (STALLED_SECONDS if self._finished else KEEP_ALIVE_SECONDS)
        self._next()

    # httptools' side

    def on_message_begin(self) -> None:
        """A request begins."""
        self._begin()
        self._in_request = True
        self._overhead = 0
        self._expect_within(HEAD_SECONDS)

    def on_url(self, url: bytes) -> None:
        """A part of the request's target."""
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which nobody asked for."""
        if self._in_body:
            return
        self._headers.append((name.lower(), value))
        self._count_head(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """The head is whole: refuse now what need not be sent first."""
        if self._finished or self._refused is not None:
            return
        self._in_body = True
        self._overhead = 0
        self._expect_within(STALLED_SECONDS)
        # The parser has refused a repeated Content-Length, and one beside a Transfer-Encoding.
        headers = dict(self._headers)
        announced = headers.get(b"content-length", b"0").strip()
        coding = b",".join([value for name, value in self._headers if name == b"transfer-encoding"]).strip().lower()
        self._body_began = self._clock()
        hosts = [name for name, _ in self._headers].count(b"host")
        self._is_current = self._parser.get_http_version() == "1.1"
        # A client of HTTP/1.0 knows no interim answers.
        self._expects = self._is_current and headers.get(b"expect", b"").lower() == b"100-continue"
        if hosts > 1 or (hosts == 0 and self._is_current):
            self._refuse(400, "The request is not valid HTTP: it needs a Host header, and not more than one.")
        elif coding not in {b"", b"chunked"}:
            self._refuse(501, "The request's transfer-encoding is unknown; known is: chunked.")
        elif len(announced) > _MAX_LENGTH_DIGITS or int(announced) > self._handler.max_body_bytes:
            self._refuse_body()
        elif coding or self._expects or len(announced) > _SMALL_LENGTH_DIGITS:
            self._admit()
        if self._expects and not self._answering and not self._ahead:
            self._invite()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._refused is not None:
            return
        self._overhead = 0
        self._body_bytes += len(body)
        if self._body_bytes > self._handler.max_body_bytes:
            self._refuse_body()
            return
        if not self._handler.room.take(len(body), self._taken):
            self._refuse_for_now()
            return
        self._taken += len(body)
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_request = False
        self._give_back()
        if self._finished:
            return
        if self._refused is not None:
            return
        # A client of HTTP/1.0 that is not told of it may wait for the close.
        keep_alive = self._is_current and self._parser.should_keep_alive()
        path, _, query = self._url.partition(b"?")
        if not path.startswith(b"/"):
            # As clients of a proxy write it: http://host/path.
            path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
        target = path.decode("latin-1")
        if "%" in target:
            target = unquote(target, errors="replace")
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        # It may be large, and the connection idle for long.
        self._body = []
        request = Request(self._parser.get_method().decode("ascii"), target, query, self._headers, body)
        request.scheme = self._scheme
        if self._answering or self._writing_paused:
            self._ahead.append((request, keep_alive))
            self._ahead_bytes += len(body)
            self._pause_or_resume_reading()
            return
        self._handle(request, keep_alive)

    # Answering

    def respond(self, answer: Answer, head: bytes = b"") -> None:
        """Send the answer of the request that is being answered.

        Args:
            answer: Status, headers and body.
            head: Further headers, as they go over the wire, each with its line's end.
        """
        self._abandon = None
        self._answering = False
        transport = self._transport
        if transport is None or self._finished or transport.is_closing():
            return
        closes = not self._keep_alive or (not self._ahead and (self._is_half_closed or self._handler.is_draining))
        parts = [_STATUS_LINES[answer.status], head]
        parts += [b"%b: %b\r\n" % header for header in answer.headers]
        if answer.content_type is not None:
            parts.append(b"content-type: %b\r\n" % answer.content_type)
        if answer.status not in WITHOUT_BODY:
            parts.append(b"content-length: %d\r\n" % len(answer.body))
        parts.append(b"date: %b\r\nconnection: close\r\n\r\n" % _date() if closes else b"date: %b\r\n\r\n" % _date())
        if not self._is_head and answer.body:
            if len(answer.body) > _JOIN_BELOW:
                transport.write(b"".join(parts))
                parts = [answer.body]
            else:
                parts.append(answer.body)
        transport.write(b"".join(parts))
        if closes:
            self._close()
        elif self._ahead:
            self._next()
        elif not self._writing_paused:
            self.deadline = self._clock() + (KEEP_ALIVE_SECONDS if not self._in_request else HEAD_SECONDS)
            if self._expects and self._in_request:
                self._invite()

    def expire(self) -> None:
        """Close it: the peer has let a deadline pass."""
        unsent = self._transport.get_write_buffer_size() if self._transport is not None else 0
        if 0 < unsent < self._unsent:
            # A large answer over a slow line: it is being taken.
            self._unsent = unsent
            self.deadline = self._clock() + STALLED_SECONDS
        elif self._finished or self._writing_paused:
            self._abort()
        elif self._in_request and not self._answering:
            self._refuse(408, "The request did not arrive in time.")
        else:
            self._close()

    def drain(self) -> None:
        """Close it as soon as nothing is under way on it."""
        if not self._answering and not self._in_request and not self._ahead and not self._writing_paused:
            self._close()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way on it."""
        return not self._answering and not self._in_request and not self._ahead

    def _parse(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest and not self._finished and self._refused is None:
            try:
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as offer:
                # Another protocol was offered, and is not taken up (RFC 9110, section 7.8): this one goes on.
                (parsed,) = offer.args
                rest = rest[parsed:]
            else:
                return

    def _look_whether_left(self) -> None:
        """Take back the request of a peer that has closed the connection, and not only its own half of it.

        Both look the same until something is sent: a closed connection then answers with a reset.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if _is_reset(transport):
            self._abort()
            return
        if self._answering and not self._asked_whether_left and self._is_current:
            # Clients pass over interim answers (RFC 9110, section 15.2).
            self._asked_whether_left = True
            transport.write(_CONTINUE)
        self._loop.call_later(_LOOK_SECONDS, self._look_whether_left)

    def _begin(self) -> None:
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = []
        self._body_bytes = 0
        self._head_bytes = 0
        self._in_body = False
        self._is_current = False
        self._expects = False
        self._refused: Answer | None = None

    def _handle(self, request: Request, keep_alive: bool) -> None:
        self._answering = True
        self._keep_alive = self._keep_alive and keep_alive
        self._is_head = request.method == "HEAD"
        # The script has a deadline of its own.
        self.deadline = _NEVER
        abandon = self._handler.handle(request, self)
        if self._answering:
            self._abandon = abandon

    def _next(self) -> None:
        """Go on with what the peer sent ahead."""
        while self._ahead and not self._answering and not self._finished and not self._writing_paused:
            request, keep_alive = self._ahead.popleft()
            self._ahead_bytes -= len(request.body) if isinstance(request, Request) else 0
            self._pause_or_resume_reading()
            if isinstance(request, Answer):
                self._answer_and_finish(request)
            else:
                self._handle(request, keep_alive)

    def _pause_or_resume_reading(self) -> None:
        is_enough = len(self._ahead) >= _MAX_AHEAD or self._ahead_bytes >= _MAX_AHEAD_BYTES
        if is_enough == self._reading_paused or self._transport is None:
            return
        self._reading_paused = is_enough
        if is_enough:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _expect_within(self, seconds: float) -> None:
        """Give the peer time for what it sends, unless it is the answer before that has a deadline."""
        if not self._answering and not self._writing_paused and not self._finished:
            self.deadline = self._clock() + seconds

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES or len(self._headers) > MAX_HEADERS:
            self._refuse_head()

    def _refuse_head(self) -> None:
        what = "target is" if len(self._url) > MAX_HEAD_BYTES // 2 else "headers are"
        status = 414 if len(self._url) > MAX_HEAD_BYTES // 2 else 431
        self._refuse(
            status,
            f"The request's {what} too large; allowed are {MAX_HEADERS} headers and {MAX_HEAD_BYTES} bytes in all.",
        )

    def _admit(self) -> None:
        """Ask whether the caller may send a large body, before it is taken in."""
        path = self._url.partition(b"?")[0].decode("latin-1")
        try:
            self._handler.admit(self._parser.get_method().decode("ascii"), path, self._headers)
        except RefusedError as refused:
            self._refuse(refused.status, str(refused), refused.headers)

    def _invite(self) -> None:
        """Have a peer that asks first send its body."""
        if self._transport is not None and self._refused is None and not self._body:
            self._transport.write(_CONTINUE)

    def _give_back(self) -> None:
        self._handler.room.give(self._taken)
        self._taken = 0

    def _refuse_for_now(self) -> None:
        self._body = []
        self._give_back()
        self._refuse(503, "The service is busy: it takes in too much at once.", ((b"retry-after", b"1"),))

    def _refuse_body(self) -> None:
        limit = self._handler.max_body_bytes
        self._refuse(413, f"The request's body is larger than {limit} bytes (SLIPWAY_MAX_BODY_BYTES).")

    def _refuse(self, status: int, message: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        """Answer what cannot be handled, after what came before it, and take nothing further."""
        if self._refused is not None or self._finished:
            return
        further = self._handler.refused(status, self._headers)
        self._refused = refusal(status, message, (*headers, *further))
        if self._answering or self._ahead:
            self._ahead.append((self._refused, False))
        else:
            self._answer_and_finish(self._refused)

    def _answer_and_finish(self, answer: Answer) -> None:
        self._keep_alive = False
        self._is_head = False
        self._answering = True
        self.respond(answer)

    def _close(self) -> None:
        """Close when all is sent, and when a peer that is still sending has had time to read the answer."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        lingers = self._in_request and not self._finished
        self._finished = True
        self._ahead.clear()
        self._unsent = transport.get_write_buffer_size()
        self.deadline = self._clock() + _LINGER_SECONDS
        if not lingers:
            transport.close()
            return
        self._body_bytes = 0
        if transport.can_write_eof():
            transport.write_eof()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _is_reset(transport: asyncio.Transport) -> bool:
    poll = select.poll()
    # Errors are told unasked.
    poll.register(transport.get_extra_info("socket").fileno(), 0)
    return bool(poll.poll(0))


def sweep(connections: set[Connection], now: float) -> None:
    """Close what let a deadline pass; called about once a second."""
    for connection in [each for each in connections if each.deadline < now]:
        connection.expire()


_date_now = (0, b"")


def _date() -> bytes:
    """The date as HTTP writes it; made once a second."""
    global _date_now  # noqa: PLW0603 - a cache of one value
    now = int(time.time())
    if _date_now[0] != now:
        _date_now = (now, formatdate(now, usegmt=True).encode())
    return _date_now[1]
