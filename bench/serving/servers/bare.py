"""The ceilings: bare ASGI programs with orjson, on uvicorn and on Granian, that do nothing but answer this model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bench.serving.server import LOCKS, Place, Server, Start

if TYPE_CHECKING:
    from collections.abc import Callable

_COMMON = """import asyncio
import os

import joblib
import numpy as np
import orjson

model = joblib.load(os.environ["BENCH_MODEL"])


async def body_of(receive):
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    return body


async def answer(send, predictions):
    body = orjson.dumps({"predictions": predictions})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def lifespan(receive, send):
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
"""
_PLAIN = f"""{_COMMON}

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    rows = orjson.loads(await body_of(receive))["data"]
    await answer(send, model.predict(np.asarray(rows)).tolist())
"""
# All requests that came in one turn of the event loop are answered by one call of the model: nobody waits for others.
_BATCHED = f"""{_COMMON}
waiting = []


def flush():
    jobs = waiting.copy()
    waiting.clear()
    found = model.predict(np.asarray([row for rows, _ in jobs for row in rows])).tolist()
    start = 0
    for rows, future in jobs:
        end = start + len(rows)
        if not future.done():
            future.set_result(found[start:end])
        start = end


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    rows = orjson.loads(await body_of(receive))["data"]
    loop = asyncio.get_running_loop()
    if not waiting:
        loop.call_soon(flush)
    future = loop.create_future()
    waiting.append((rows, future))
    await answer(send, await future)
"""


def _uvicorn(place: Place) -> list[str]:
    options = "--host 127.0.0.1 --workers 1 --loop uvloop --http httptools --no-access-log --log-level warning"
    return [str(place.bin / "uvicorn"), "app:app", "--port", str(place.port), *options.split()]


def _granian(place: Place) -> list[str]:
    options = "--host 127.0.0.1 --interface asgi --loop uvloop --workers 1 --no-access-log --log-level warning"
    return [str(place.bin / "granian"), "app:app", "--port", str(place.port), *options.split()]


def _start(command: Callable[[Place], list[str]], program: str, place: Place) -> Start:
    place.write("app.py", program)
    return Start(command(place), {"BENCH_MODEL": str(place.model), "PYTHONPATH": str(place.folder)})


SERVERS = [
    Server(
        f"bare {name}{', batches' if batches else ''}",
        name,
        (LOCKS / f"{name}.lock",),
        partial(_start, command, program),
        kind="ceiling",
        batches=batches,
        package=name,
    )
    for name, command in (("uvicorn", _uvicorn), ("granian", _granian))
    for program, batches in ((_PLAIN, False), (_BATCHED, True))
]
