"""The direct methods: score, reload, diagnose, collect."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import orjson

from scoring import failure
from scoring.process import private_memory
from scoring.refused import RefusedError
from scoring.request import Request
from scoring.scorer import Failed, Scored

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scoring.edge.bridge import Bridge
    from scoring.edge.store import Message
    from scoring.scorer import Outcome, Scorer
    from scoring.service import Service
    from scoring.settings import Settings

    Answer = tuple[int, Any]

_OK, _MISTAKE, _UNKNOWN, _TOO_LARGE, _FAILED, _GONE = 200, 400, 404, 413, 500, 503
# IoT Hub takes 128 KiB for an answer.
_LARGEST = 120 * 1024
_MOST, _LONGEST_SECONDS = 100, 60
_BEGAN = time.monotonic()
_log = logging.getLogger("slipway")


class Methods:
    """Answers direct methods, on the event loop."""

    def __init__(self, bridge: Bridge, settings: Settings, service: Service, load: Callable[[], Scorer] | None) -> None:
        """Answer for a bridge.

        Args:
            bridge: What scores.
            settings: The service's settings.
            service: What answers.
            load: Loads the script anew.
        """
        self._bridge = bridge
        self._settings = settings
        self._service = service
        self._load = load
        self._tasks: set[asyncio.Task[None]] = set()
        self._collecting: list[asyncio.Queue[dict[str, Any]]] = []
        self._methods: dict[str, Callable[[Any], Awaitable[Answer]]] = {
            "score": self._score,
            "reload": self._reload,
            "diagnose": self._diagnose,
            "collect": self._collect,
        }

    def call(self, name: str, payload: Any, answer: Callable[[int, Any], None]) -> None:
        """Answer a method, now or later.

        Args:
            name: Which.
            payload: What came with it.
            answer: What to call with the status and the answer.
        """
        task = asyncio.get_running_loop().create_task(self._answer(name, payload, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, name: str, payload: Any, answer: Callable[[int, Any], None]) -> None:
        method = self._methods.get(name)
        try:
            if method is None:
                known = ", ".join(self._methods)
                status, found = _UNKNOWN, {"message": f"There is no method {name}; there are {known}."}
            else:
                status, found = await method(payload)
                if len(orjson.dumps(found)) > _LARGEST:
                    status, found = _TOO_LARGE, {"message": f"The answer is larger than {_LARGEST} bytes."}
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
            _log.exception("method %s failed", name)
            status, found = _FAILED, {"message": f"An unexpected internal error occurred: {type(error).__name__}."}
        answer(status, found)

    def note(self, message: Message, result: Message | None) -> None:
        """Give a message and its result to whoever collects."""
        for found in self._collecting:
            one = {"input": message.endpoint, "id": message.id, "body": _readable(message.body)}
            found.put_nowait(one | ({"output": result.endpoint, "scores": _readable(result.body)} if result else {}))

    async def _score(self, payload: Any) -> Answer:
        body = orjson.dumps(payload)
        request = Request("POST", "/score", b"", [(b"content-type", b"application/json")], body, os.urandom(8).hex())
        outcome = await self._bridge.score(request)
        return _told(outcome)

    async def _reload(self, _payload: Any) -> Answer:
        if self._load is None:
            return _GONE, {"message": "The model is still starting."}
        before = self._service.attempts
        if await self._service.load(self._load):
            return _OK, {"generation": self._service.generation, "seconds": round(self._service.init_seconds, 3)}
        what = self._service.reload_error or "The log tells why; what was loaded goes on answering."
        return _FAILED, {"message": what, "attempts": self._service.attempts - before}

    async def _diagnose(self, _payload: Any) -> Answer:
        tuning = self._bridge.tuning
        return _OK, {
            **self._service.status(),
            "settings": {name: getattr(tuning, name) for name in tuning.__dataclass_fields__},
            "python": sys.version.split()[0],
            "process": os.getpid(),
            "privateBytes": private_memory(os.getpid()),
            "uptimeSeconds": round(time.monotonic() - _BEGAN, 1),
        }

    async def _collect(self, payload: Any) -> Answer:
        given = payload if isinstance(payload, dict) else {}
        count, seconds = given.get("count", 10), given.get("seconds", 30)
        for name, value, most in (("count", count, _MOST), ("seconds", seconds, _LONGEST_SECONDS)):
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                return _MISTAKE, {"message": f"{name} is {value!r}; allowed is a whole number from 1 to {most}"}
        coming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._collecting.append(coming)
        found: list[dict[str, Any]] = []
        until = asyncio.get_running_loop().time() + seconds
        try:
            while len(found) < count:
                left = until - asyncio.get_running_loop().time()
                found.append(await asyncio.wait_for(coming.get(), left))
        except asyncio.TimeoutError:  # noqa: UP041 - another class than TimeoutError before Python 3.11
            pass
        finally:
            self._collecting.remove(coming)
        return _OK, {"messages": found}


def _told(outcome: Outcome) -> Answer:
    if isinstance(outcome, Scored):
        return outcome.answer.status, _readable(outcome.answer.body)
    if isinstance(outcome, RefusedError):
        return outcome.status, {"message": str(outcome)}
    if isinstance(outcome, Failed):
        return _FAILED, {"message": failure.one_line(outcome.error)}
    return _FAILED, {"message": "There is no answer."}


def _readable(body: bytes) -> Any:
    """JSON as it is, text as text, anything else as base64."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}
