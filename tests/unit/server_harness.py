"""Connections as peers make them: over real sockets, byte for byte, and in the process on a clock of the test's."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from scoring.answers import Answer, to_json
from scoring.server.connection import Connection, sweep
from scoring.server.room import Room
from tests.unit.scoring_harness import PATIENCE_SECONDS, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scoring.request import Request
    from tests.unit.scoring_harness import Server


class Response(NamedTuple):
    """An answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


class Peer:
    """A client's end of a connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes) -> Peer:
        """Send bytes as they are."""
        self.socket.sendall(data)
        return self

    def receive(self, *, head_only: bool = False) -> Response:
        """Read the next answer."""
        return next(responses(self.file, head_only=head_only))

    def rest(self) -> bytes:
        """Read until the server sends no more."""
        return self.file.read()

    def half_close(self) -> Peer:
        """Send no more, and go on reading."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def reset(self) -> None:
        """Leave without a word."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Leave."""
        self.file.close()
        self.socket.close()


@contextlib.contextmanager
def peer(port: int) -> Iterator[Peer]:
    """A connection for the length of a block."""
    connected = Peer(port)
    try:
        yield connected
    finally:
        connected.close()


def responses(stream: Any, *, head_only: bool = False) -> Iterator[Response]:
    """The answers of a stream, one after the other."""
    while line := stream.readline():
        version, status, _ = line.split(b" ", 2)
        assert version == b"HTTP/1.1"
        headers = {}
        while (line := stream.readline()) != b"\r\n":
            assert line.endswith(b"\r\n"), line
            name, _, value = line.decode("latin-1").rstrip("\r\n").partition(": ")
            headers[name] = value
        length = 0 if head_only or status.startswith(b"1") else int(headers.get("content-length", 0))
        yield Response(int(status), headers, stream.read(length))


def request(method: str = "GET", target: str = "/score", body: bytes | None = None, **headers: str) -> bytes:
    """A request; underscores in the names of headers stand for hyphens."""
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: test",
        *(f"{name.replace('_', '-')}: {headers[name]}" for name in headers),
    ]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def chunked(*chunks: bytes, trailer: bytes = b"") -> bytes:
    """A body in chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailer + b"\r\n"


class Gates:
    """Files that let run() go on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def entered(self, name: str) -> None:
        """Wait until run() waits at a gate."""
        until(self.folder.joinpath(f"{name}.entered").exists, f"run() waits for {name}")

    def open(self, *names: str) -> None:
        """Let it go on."""
        for name in names:
            self.folder.joinpath(name).touch()


def workers(server: Server) -> list[int]:
    """The processes that the master has started."""
    process = server.process.pid
    listed = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    return [int(child) for child in listed.split()]


def open_files(process: int) -> int:
    """How many files a process has open, by /proc."""
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def refuses(port: int) -> bool:
    """Whether nobody listens there any more."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS).close()
    except ConnectionRefusedError:
        return True
    return False


class Clock:
    """What a connection needs of an event loop: the time, and calls at a later one."""

    def __init__(self) -> None:
        self.now = 100.0
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        """The seconds that have passed."""
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call something when the time has come."""
        self.calls.append((self.now + seconds, call))


class Transport(asyncio.Transport):
    """Keeps what is written; with `is_slow` the peer takes none of it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unsent = 0
        self.is_slow = False
        self.is_reading = True
        self.has_written_eof = self.is_closed = self.is_aborted = False
        self.pair = socket.socketpair()

    def write(self, data: Any) -> None:
        """Write, unless the stream is closed."""
        assert not self.has_written_eof
        assert not self.is_closed
        self.written += bytes(data)
        if self.is_slow:
            self.unsent += len(data)

    def close(self) -> None:
        """Close when all is sent."""
        self.is_closed = True

    def abort(self) -> None:
        """Close at once."""
        self.is_closed = self.is_aborted = True

    def is_closing(self) -> bool:
        """Whether it is closed, or will be."""
        return self.is_closed

    def can_write_eof(self) -> bool:
        """As TCP."""
        return True

    def write_eof(self) -> None:
        """Say that no more comes."""
        self.has_written_eof = True

    def pause_reading(self) -> None:
        """Take no more from the peer."""
        assert self.is_reading
        self.is_reading = False

    def resume_reading(self) -> None:
        """Go on."""
        assert not self.is_reading
        self.is_reading = True

    def get_write_buffer_size(self) -> int:
        """What the peer has not taken."""
        return self.unsent

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The socket."""
        return self.pair[0] if name == "socket" else default


class Handler:
    """Answers with what was asked: at once, or on `answer` where the path begins with /late."""

    def __init__(self, max_body_bytes: int = 1000) -> None:
        self.max_body_bytes = max_body_bytes
        self.room = Room(4 * max_body_bytes, 3)
        self.is_draining = False
        self.requests: list[Request] = []
        self.late: list[Callable[[], None]] = []
        self.statuses: list[int] = []
        self.abandoned = 0

    def admit(self, method: str, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        """Let all in."""

    def refused(self, status: int, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Count it."""
        self.statuses.append(status)
        return headers[:0]

    def handle(self, request: Request, connection: Connection) -> Callable[[], None] | None:
        """Answer now or later."""
        self.requests.append(request)
        answer = Answer(to_json([request.method, request.path, request.query.decode(), request.body.decode("latin-1")]))
        if not request.path.startswith("/late"):
            connection.respond(answer)
            return None
        self.late.append(lambda: connection.respond(answer))
        return self.abandon

    def abandon(self) -> None:
        """Count a caller that has left."""
        self.abandoned += 1

    def answer(self) -> None:
        """Give the answers that are late, and those that come to be meanwhile."""
        while self.late:
            self.late.pop(0)()


class Wire:
    """A connection in this process, with everything around it in the test's hands."""

    def __init__(self, handler: Handler | None = None) -> None:
        self.handler = handler or Handler()
        self.clock = Clock()
        self.transport = Transport()
        self.connections: set[Connection] = set()
        self.connection = Connection(self.handler, self.connections, self.clock)  # type: ignore[arg-type]  # all that it needs of a loop
        self.connection.connection_made(self.transport)

    def send(self, *pieces: bytes) -> Wire:
        """Have the peer send bytes, each piece in a read of its own."""
        for piece in pieces:
            if not self.transport.is_closed:
                self.connection.data_received(piece)
        return self

    def end(self) -> Wire:
        """Have the peer close its side."""
        if not self.connection.eof_received():
            self.transport.close()
        return self

    def wait(self, seconds: float) -> Wire:
        """Let time pass, as the worker sees it."""
        for _ in range(int(seconds * 10)):
            self.clock.now += 0.1
            due = [call for moment, call in self.clock.calls if moment <= self.clock.now]
            self.clock.calls = [each for each in self.clock.calls if each[0] > self.clock.now]
            for call in due:
                call()
            sweep(self.connections, self.clock.now)
            if self.transport.is_closed:
                break
        return self

    @property
    def answers(self) -> list[Response]:
        """What was answered, interim answers aside."""
        return [each for each in responses(io.BytesIO(self.transport.written)) if each.status >= 200]

    @property
    def statuses(self) -> list[int]:
        """The answers' statuses."""
        return [each.status for each in self.answers]
