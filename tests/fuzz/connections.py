"""Hostile peers: bytes that are HTTP, nearly HTTP, or not, several requests at once and in pieces."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from scoring.answers import Answer, to_json
from scoring.refused import RefusedError
from scoring.server.connection import Connection
from scoring.server.room import Room

if TYPE_CHECKING:
    from collections.abc import Callable

    from scoring.request import Request


class _Transport(asyncio.Transport):
    """Takes what is written, as a peer who reads at once."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.is_closed

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


class _Handler:
    """Answers each request with what it was, some later than they came."""

    max_body_bytes = 1024
    room = Room(4096, 2)
    is_draining = False

    def __init__(self) -> None:
        self.late: list[Callable[[], None]] = []

    def admit(self, method: str, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        assert method
        assert headers
        if path == "/forbidden":
            raise RefusedError(401, "forbidden")

    def refused(self, status: int, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        assert 400 <= status <= 501
        return headers[:0]

    def handle(self, request: Request, connection: Connection) -> None:
        assert len(request.body) <= self.max_body_bytes
        assert all(name == name.lower() for name, _ in request.headers)
        answer: Answer = Answer(to_json([request.method, request.path, len(request.body)]))
        if request.path == "/late":
            self.late.append(lambda: connection.respond(answer))
        else:
            connection.respond(answer)


class Connections:
    """What a peer sends: several requests on one connection, in pieces.

    The first byte of an input is how large the pieces are.
    """

    def __init__(self) -> None:
        self._loop = type("Loop", (), {"time": staticmethod(time.monotonic)})()

    def __call__(self, data: bytes) -> None:
        if not data:
            return
        handler, transport, connections = _Handler(), _Transport(), set()
        connection = Connection(handler, connections, self._loop)
        connection.connection_made(transport)
        size = data[0] or len(data)
        for start in range(1, len(data), size):
            if transport.is_closed:
                break
            connection.data_received(data[start : start + size])
            while handler.late:
                handler.late.pop(0)()
        connection.eof_received()
        connection.connection_lost(None)
        assert not connections
        assert b"Traceback" not in transport.written
        assert not transport.written or transport.written.startswith(b"HTTP/1.1 ")

    @staticmethod
    def seeds() -> list[bytes]:
        """Requests of each form."""
        return [
            (
                b"\x00GET /late?a=%20 HTTP/1.1\r\nHost: a\r\n\r\n"
                b"POST /%ff HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
            ),
            (
                b"\x07POST /score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"3;x=y\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"
            ),
            b"\x00POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n",
            b"\x00PUT /forbidden HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            b"\x00POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
            b"\x00GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nwhatever",
            (
                b"\x00OPTIONS http://host/late HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
                b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
            ),
        ]
