"""Sends requests at given times over many connections, and measures each from when it was due.

A load that waits for an answer before it sends the next request measures nothing while the server stalls
("coordinated omission"); this one goes on. It sleeps until the next request is due or an answer comes: a load that
keeps its core busy drives everything else onto the server's, and a shared host makes both wait.

python paced.py PORT PATH BODY-FILE RATE SECONDS even|random
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import random
import select
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_CONNECTIONS = 256
_END_SECONDS, _LAST_SECONDS = 5.0, 0.1
# In which the server accepts all the connections.
_WARM_SECONDS = 0.5
_PR_SET_TIMERSLACK = 29


class Load:
    """Connections to a server, and what was measured on them."""

    def __init__(self, port: int, path: str, body: bytes) -> None:
        """Connect."""
        head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        self._request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
        self._port = port
        self._sockets: dict[int, socket.socket] = {}
        self._due: dict[int, float] = {}
        self._parts: dict[int, bytes] = {}
        self._times: list[float] = []
        self._errors = 0
        self._idle = [self._connect() for _ in range(_CONNECTIONS)]

    def run(self, rate: float, seconds: float, *, at_random: bool) -> dict[str, float]:
        """Send for some seconds, wait for the last answers, and return the figures without the first moment's."""
        draw = random.Random(1)  # noqa: S311 - arrivals, not secrets
        clock = time.perf_counter
        due = now = clock()
        self._counts_from = due + _WARM_SECONDS
        end = self._counts_from + seconds
        while (due < end or self._due) and now < end + _END_SECONDS:
            now = clock()
            while due <= now and due < end and self._idle:
                # The one that was used last: few connections are in use when few are needed.
                one = self._idle.pop()
                self._due[one.fileno()] = due
                self._send(one)
                due += draw.expovariate(rate) if at_random else 1 / rate
            wait = max(0.0, due - clock()) if due < end else _LAST_SECONDS
            # Of the ways to wait, the one that takes fractions of a millisecond.
            for number in select.select(list(self._due), [], [], wait)[0]:
                self._read(self._sockets[number], clock)
        took = clock() - self._counts_from
        times = sorted(self._times)
        if not times:
            raise SystemExit("no answer at all")
        p50, p99 = (times[len(times) * share // 100] * 1000 for share in (50, 99))
        return {"rate": len(times) / took, "p50": p50, "p99": p99, "errors": self._errors + len(self._due)}

    def _read(self, one: socket.socket, clock: Callable[[], float]) -> None:
        number = one.fileno()
        try:
            data = one.recv(262144)
        except ConnectionError:
            data = b""
        if not data:
            self._replace(one)
            return
        if number in self._parts:
            data = self._parts.pop(number) + data
        if not _is_whole(data):
            self._parts[number] = data
            return
        due = self._due.pop(number)
        if due >= self._counts_from:
            self._times.append(clock() - due)
        self._errors += not data.startswith(b"HTTP/1.1 200")
        self._idle.append(one)

    def _replace(self, one: socket.socket) -> None:
        """Servers close connections that were not used for a while; what was just sent on one is sent again."""
        number = one.fileno()
        due = self._due.pop(number, None)
        self._parts.pop(number, None)
        if one in self._idle:
            self._idle.remove(one)
        del self._sockets[number]
        one.close()
        fresh = self._connect()
        if due is None:
            self._idle.append(fresh)
        else:
            self._due[fresh.fileno()] = due
            self._send(fresh)

    def _send(self, one: socket.socket) -> None:
        # Where the server has just closed it, that is found out by reading.
        with contextlib.suppress(ConnectionError):
            one.send(self._request)

    def _connect(self) -> socket.socket:
        one = socket.create_connection(("127.0.0.1", self._port), timeout=5)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.setblocking(False)
        self._sockets[one.fileno()] = one
        return one


def _is_whole(data: bytes) -> bool:
    head, mark, body = data.partition(b"\r\n\r\n")
    if not mark:
        return False
    lower = head.lower()
    start = lower.find(b"content-length:")
    if start < 0:
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(lower[start + 15 :].split(b"\r", 1)[0])


if __name__ == "__main__":
    _, port, path, body, rate, seconds, arrivals = sys.argv
    load = Load(int(port), path, Path(body).read_bytes())
    gc.disable()
    # Linux wakes a sleeper up to 50 us late, to save power, unless it asks for better.
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    print("RESULT " + json.dumps(load.run(float(rate), float(seconds), at_random=arrivals == "random")))
