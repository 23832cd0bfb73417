"""What a peer sends, as requests: parsed by httptools, with a limit on everything that it can send.

Protocol: RFC 9112 (HTTP/1.1), RFC 9110 section 10.1.1 (Expect).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

try:
    import httptools
except ModuleNotFoundError:
    # It has no wheel for linux/arm/v7, where nothing listens.
    httptools = None  # type: ignore[assignment]  # as modules are that may be missing

from scoring.answers import Answer, refusal
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
# More than any memory's size has.
_MAX_LENGTH_DIGITS = 18
# Below 100 kB: not worth a question of its own.
_SMALL_LENGTH_DIGITS = 5


class Gate(Protocol):
    """What lets requests in, or not: `scoring.server.app.App`."""

    max_body_bytes: int
    room: Room

    def admit(self, method: str, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        """Refuse a caller by the head of its request.

        Raises:
            RefusedError: It may not ask.
        """
        ...

    def refused(self, status: int, headers: list[tuple[bytes, bytes]]) -> Sequence[tuple[bytes, bytes]]:
        """Be told of a request that was refused before it was whole; return further headers of its answer."""
        ...


class Side(Protocol):
    """What takes the requests, and has the clock: `scoring.server.connection.Connection`."""

    def accept(self, request: Request, *, keep_alive: bool) -> None:
        """Take a request that is whole."""
        ...

    def reject(self, answer: Answer) -> None:
        """Take the answer of one that never will be; nothing comes after it."""
        ...

    def invite(self) -> None:
        """Have the peer send the body that it asks about, unless an answer has to go first."""
        ...

    def expect_within(self, seconds: float) -> None:
        """Give the peer that long for what it sends next."""
        ...


class Receiver:
    """The requests of one peer, one after the other.

    Attributes:
        in_request: Whether one has begun and is not whole; so too where more may come after one that was refused.
        is_over: Whether no more are taken: one was refused, or the connection ends.
        is_current: Whether the latest one is of HTTP/1.1.
    """

    def __init__(self, side: Side, gate: Gate, clock: Callable[[], float]) -> None:
        """Begin.

        Args:
            side: What takes the requests.
            gate: What lets them in.
            clock: The event loop's.
        """
        self.in_request = False
        self.is_over = False
        self._side = side
        self._gate = gate
        self._clock = clock
        self._parser = httptools.HttpRequestParser(self)
        self._scheme = "http"
        self._body: list[bytes] = []
        # Of the room for bodies.
        self._taken = 0
        # Bytes that came since the last that made the request longer: of a header, a trailer, a chunk's frame.
        self._overhead = 0
        self._body_began = 0.0
        self._begin()

    @property
    def waits_for_invitation(self) -> bool:
        """Whether the peer asked before it sends its body, and has sent none of it."""
        return self._expects and self.in_request and not self.is_over and not self._body

    def secure(self) -> None:
        """Know that the peer came by TLS."""
        self._scheme = "https"

    def feed(self, data: bytes) -> None:
        """Parse what came."""
        self._overhead += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ or error from None
        except httptools.HttpParserError as error:
            # Where the request ends is not known, so there may be more of it.
            self.in_request = True
            self.refuse(400, f"The request is not valid HTTP: {error}")
            return
        if self.in_request and self._overhead > MAX_HEAD_BYTES:
            # The parser gathers a header until its line ends, and only then tells of it.
            self._refuse_head()
        if not self.in_request:
            self._side.expect_within(KEEP_ALIVE_SECONDS)
        elif self._in_body:
            # A byte now and then keeps no body alive.
            late = self._body_began + STALLED_SECONDS + self._body_bytes / LEAST_BYTES_PER_SECOND - self._clock()
            self._side.expect_within(min(STALLED_SECONDS, late))

    def forget(self) -> None:
        """Drop what has come of a request that nobody wants any more."""
        self._body = []
        self._give_back()

    def refuse(self, status: int, message: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        """Answer what cannot be handled, and take nothing further."""
        if self.is_over:
            return
        self.is_over = True
        further = self._gate.refused(status, self._headers)
        self._side.reject(refusal(status, message, (*headers, *further)))

    def refuse_for_now(self) -> None:
        """Answer that there is no room."""
        self.forget()
        self.refuse(503, "The service is busy: it takes in too much at once.", ((b"retry-after", b"1"),))

    # httptools' side

    def on_message_begin(self) -> None:
        """A request begins."""
        self._begin()
        self.in_request = True
        self._overhead = 0
        self._side.expect_within(HEAD_SECONDS)

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
        if self.is_over:
            return
        self._in_body = True
        self._overhead = 0
        self._side.expect_within(STALLED_SECONDS)
        # The parser has refused a repeated Content-Length, and one beside a Transfer-Encoding.
        headers = dict(self._headers)
        announced = headers.get(b"content-length", b"0").strip()
        coding = b",".join([value for name, value in self._headers if name == b"transfer-encoding"]).strip().lower()
        self._body_began = self._clock()
        hosts = [name for name, _ in self._headers].count(b"host")
        self.is_current = self._parser.get_http_version() == "1.1"
        # A client of HTTP/1.0 knows no interim answers.
        self._expects = self.is_current and headers.get(b"expect", b"").lower() == b"100-continue"
        if hosts > 1 or (hosts == 0 and self.is_current):
            self.refuse(400, "The request is not valid HTTP: it needs a Host header, and not more than one.")
        elif coding not in {b"", b"chunked"}:
            self.refuse(501, "The request's transfer-encoding is unknown; known is: chunked.")
        elif len(announced) > _MAX_LENGTH_DIGITS or int(announced) > self._gate.max_body_bytes:
            self._refuse_body()
        elif coding or self._expects or len(announced) > _SMALL_LENGTH_DIGITS:
            self._admit()
        if self._expects:
            self._side.invite()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self.is_over:
            return
        self._overhead = 0
        self._body_bytes += len(body)
        if self._body_bytes > self._gate.max_body_bytes:
            self._refuse_body()
            return
        if not self._gate.room.take(len(body), self._taken):
            self.refuse_for_now()
            return
        self._taken += len(body)
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self.in_request = False
        self._give_back()
        if self.is_over:
            return
        # A client of HTTP/1.0 that is not told of it may wait for the close.
        keep_alive = self.is_current and self._parser.should_keep_alive()
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
        self._side.accept(request, keep_alive=keep_alive)

    def _begin(self) -> None:
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = []
        self._body_bytes = 0
        self._head_bytes = 0
        self._in_body = False
        self.is_current = False
        self._expects = False

    def _parse(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest and not self.is_over:
            try:
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as offer:
                # Another protocol was offered, and is not taken up (RFC 9110, section 7.8): this one goes on.
                (parsed,) = offer.args
                rest = rest[parsed:]
            else:
                return

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES or len(self._headers) > MAX_HEADERS:
            self._refuse_head()

    def _admit(self) -> None:
        """Ask whether the caller may send a large body, before it is taken in."""
        path = self._url.partition(b"?")[0].decode("latin-1")
        try:
            self._gate.admit(self._parser.get_method().decode("ascii"), path, self._headers)
        except RefusedError as refused:
            self.refuse(refused.status, str(refused), refused.headers)

    def _refuse_head(self) -> None:
        what = "target is" if len(self._url) > MAX_HEAD_BYTES // 2 else "headers are"
        status = 414 if len(self._url) > MAX_HEAD_BYTES // 2 else 431
        self.refuse(
            status,
            f"The request's {what} too large; allowed are {MAX_HEADERS} headers and {MAX_HEAD_BYTES} bytes in all.",
        )

    def _refuse_body(self) -> None:
        limit = self._gate.max_body_bytes
        self.refuse(413, f"The request's body is larger than {limit} bytes (SLIPWAY_MAX_BODY_BYTES).")

    def _give_back(self) -> None:
        self._gate.room.give(self._taken)
        self._taken = 0
