"""One HTTP/1.1 connection: its requests are answered in order, and a peer has a time for everything.

Protocol: RFC 9112 (HTTP/1.1).
"""

from __future__ import annotations

import asyncio
import select
import time
from collections import deque
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from scoring.answers import WITHOUT_BODY, Answer
from scoring.request import Request
from scoring.server.receiving import HEAD_SECONDS, KEEP_ALIVE_SECONDS, STALLED_SECONDS, Gate, Receiver

if TYPE_CHECKING:
    from collections.abc import Callable

# Most clients read an answer only after they have sent all, so what is too much is read away for as long as nginx does.
_LINGER_SECONDS = 30.0
# Requests that a peer sent ahead of their answers; further ones stay with the kernel.
_MAX_AHEAD = 16
_MAX_AHEAD_BYTES = 1024 * 1024
_JOIN_BELOW = 64 * 1024
# How often a peer that sends no more is looked at while its answer is made.
_LOOK_SECONDS = 0.2
_NEVER = float("inf")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES = {
    status: f"HTTP/1.1 {status} {HTTPStatus(status).phrase if status in set(HTTPStatus) else ''}\r\n".encode()
    for status in range(100, 600)
}


class Handler(Gate, Protocol):
    """What answers requests: `scoring.server.app.App`."""

    @property
    def is_draining(self) -> bool:
        """Whether connections are to be closed after their answer."""
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
        self._connections = connections
        self._loop = loop
        self._clock = loop.time
        self._transport: asyncio.Transport | None = None
        self._receiver = Receiver(self, handler, loop.time)
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

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport  # type: ignore[assignment]  # a stream's transport
        if transport.get_extra_info("ssl_object") is not None:
            self._receiver.secure()
        self._connections.add(self)
        self.deadline = self._clock() + HEAD_SECONDS
        if len(self._connections) > self._handler.room.connections:
            # So that it reads the answer, whatever it is sending.
            self._receiver.in_request = True
            self._receiver.refuse_for_now()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it ended changes nothing
        """End; a request whose answer nobody waits for is taken back."""
        self._connections.discard(self)
        self._transport = None
        self._ahead.clear()
        self._receiver.forget()
        if self._abandon is not None:
            self._abandon()
            self._abandon = None

    def data_received(self, data: bytes) -> None:
        """Parse what came; after a refusal nothing is, and its answer may still wait for those before it."""
        if not self._receiver.is_over:
            self._receiver.feed(data)

    def eof_received(self) -> bool:
        """The peer sends no more; what it sent whole is still answered."""
        self._is_half_closed = True
        self._receiver.in_request = False
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

    # The receiver's side

    def accept(self, request: Request, *, keep_alive: bool) -> None:
        """Answer a request that is whole, after those before it."""
        if self._answering or self._writing_paused:
            self._ahead.append((request, keep_alive))
            self._ahead_bytes += len(request.body)
            self._pause_or_resume_reading()
            return
        self._handle(request, keep_alive)

    def reject(self, answer: Answer) -> None:
        """Give the answer of a request that was refused, after those before it, and take nothing further."""
        if self._answering or self._ahead:
            self._ahead.append((answer, False))
        else:
            self._answer_and_finish(answer)

    def invite(self) -> None:
        """Have a peer that asks first send its body, unless it has an answer to read before."""
        if self._transport is None or self._answering or self._ahead:
            return
        if self._receiver.waits_for_invitation:
            self._transport.write(_CONTINUE)

    def expect_within(self, seconds: float) -> None:
        """Give the peer time for what it sends, unless it is the answer before that has a deadline."""
        if not self._answering and not self._writing_paused and not self._finished:
            self.deadline = self._clock() + seconds

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
            self.deadline = self._clock() + (HEAD_SECONDS if self._receiver.in_request else KEEP_ALIVE_SECONDS)
            self.invite()

    def expire(self) -> None:
        """Close it: the peer has let a deadline pass."""
        unsent = self._transport.get_write_buffer_size() if self._transport is not None else 0
        if 0 < unsent < self._unsent:
            # A large answer over a slow line: it is being taken.
            self._unsent = unsent
            self.deadline = self._clock() + STALLED_SECONDS
        elif self._finished or self._writing_paused:
            self._abort()
        elif self._receiver.in_request and not self._answering:
            self._receiver.refuse(408, "The request did not arrive in time.")
        else:
            self._close()

    def drain(self) -> None:
        """Close it as soon as nothing is under way on it."""
        if self._finished or (self.is_idle and not self._writing_paused):
            self._close()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way on it."""
        return not self._answering and not self._receiver.in_request and not self._ahead

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
        if self._answering and not self._asked_whether_left and self._receiver.is_current:
            # Clients pass over interim answers (RFC 9110, section 15.2).
            self._asked_whether_left = True
            transport.write(_CONTINUE)
        self._loop.call_later(_LOOK_SECONDS, self._look_whether_left)

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
        lingers = self._receiver.in_request and not self._finished
        self._finished = True
        self._receiver.is_over = True
        self._ahead.clear()
        self._unsent = transport.get_write_buffer_size()
        self.deadline = self._clock() + _LINGER_SECONDS
        if not lingers:
            transport.close()
            return
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
