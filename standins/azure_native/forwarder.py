"""Forwards connections to where a file says: what a name of Traffic Manager does, without the name.

A program by itself: `python forwarder.py ADDRESS FILE`, the file holding {"port", "target", "ttl"}. As with a name that
was looked up, a target holds for `ttl` seconds, and a connection that is open stays where it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

_CHUNK = 65536


class _Lookup:
    """What the file says, as it was looked up last."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, Any] = {}
        self._until = 0.0

    def __call__(self) -> dict[str, Any]:
        if time.monotonic() >= self._until:
            self._known = json.loads(self._file.read_text(encoding="utf-8"))
            self._until = time.monotonic() + self._known["ttl"]
        return self._known


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        if writer.can_write_eof():
            writer.write_eof()


async def _serve(address: str, file: Path) -> None:
    lookup = _Lookup(file)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        led = lookup()
        try:
            there, back = await asyncio.open_connection(led["target"], led["port"])
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))
        for one in (back, writer):
            one.close()

    server = await asyncio.start_server(forward, address, lookup()["port"])
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], Path(sys.argv[2])))
