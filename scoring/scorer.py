"""The scorer: a loaded script, and what calling it gives. Knows nothing of servers or processes."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from scoring.answers import Answer, AnswerError, to_answer
from scoring.codecs import decoded_body, encode, encoded
from scoring.context import REQUEST_ID
from scoring.interrupts import Interrupted
from scoring.refused import RefusedError
from scoring.script import Script, ScriptError, load_script, new_modules

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scoring.batching import Batching
    from scoring.request import Request
    from scoring.telemetry.tracing import Tracing

_JSON_WILL_DO = {b"", b"*/*", b"application/json"}
_WORTH_COMPRESSING = 1024
_NOTHING = contextlib.nullcontext()


@dataclass
class Scored:
    """run() returned.

    Attributes:
        answer: What the caller gets.
        seconds: How long run() took.
    """

    answer: Answer
    seconds: float


@dataclass(frozen=True)
class Failed:
    """run() raised, or returned something that has no form on the wire."""

    error: BaseException


# A RefusedError: the request is not what run() takes.
Outcome = Scored | Failed | RefusedError


class Task(Protocol):
    """A request, and room for what becomes of it: `scoring.lane.Job`."""

    request: Request
    outcome: Outcome | None
    batch: int
    leads: bool


class Scorer:
    """A script whose init() has been called.

    Everything happens in the calling thread. Scripts may keep what belongs to a thread (connections, torch's
    switches), so load and score in the same one.

    Attributes:
        loop: The event loop of a script that has coroutines.
        batching: How many requests its run() takes at once; None when one.
    """

    def __init__(
        self,
        script: Script,
        *,
        max_body_bytes: int,
        batching: Batching | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        """Take a script as it was imported, and call its init().

        Args:
            script: The script.
            max_body_bytes: How large a compressed body may become.
            batching: What the manifest asks for, where the script does not say itself.
            tracing: Makes a request's span the current one while run() works for it.
        """
        self._tracing = tracing
        self._script = script
        self._max_body_bytes = max_body_bytes
        self.loop: asyncio.AbstractEventLoop | None = None
        self.batching = script.batching or batching
        if self.batching is not None and script.is_async:
            raise ScriptError(
                "run() takes batches and is async; take one of them away: batches are for a run() that computes"
            )
        result = script.init()
        if inspect.isawaitable(result):
            self._own_loop().run_until_complete(_awaited(result))
        if script.is_async:
            self._own_loop()

    @classmethod
    def load(
        cls,
        path: Path,
        root: Path,
        *,
        max_body_bytes: int,
        batching: Batching | None = None,
        tracing: Tracing | None = None,
    ) -> Scorer:
        """Import a script and call its init().

        Args:
            path: The script.
            root: The folder of its code.
            max_body_bytes: How large a compressed body may become.
            batching: What the manifest asks for, where the script does not say itself.
            tracing: Makes a request's span the current one while run() works for it.

        Raises:
            ScriptError: The script does not keep the contract.
            BaseException: What the script raised.
        """
        with new_modules(root):
            script = load_script(path, root)
            return cls(script, max_body_bytes=max_body_bytes, batching=batching, tracing=tracing)

    @property
    def script(self) -> Script:
        """The script."""
        return self._script

    @property
    def is_async(self) -> bool:
        """Whether several calls may be under way in one thread: `score_async` on `loop`."""
        return self._script.is_async

    def score(self, task: Task) -> dict[str, Any] | None:
        """Call run() for one request, and wait for it where it is a coroutine.

        Returns:
            What run() was called with, for who has a better time to give it back than now; None where it was refused.
        """
        arguments = None
        try:
            arguments = self._arguments(task.request)
            if self.batching is not None:
                arguments = {name: [value] for name, value in arguments.items()}
            started = time.perf_counter()
            REQUEST_ID.set(task.request.id)
            # On every request's way: entering nothing costs more than asking.
            if self._tracing is None:
                result = self._script.run(**arguments)
            else:
                with self._traced(task.request):
                    result = self._script.run(**arguments)
            if hasattr(result, "__await__"):
                result = self._own_loop().run_until_complete(_awaited(result))
            seconds = time.perf_counter() - started
            if self.batching is not None:
                (result,) = _parts(result, 1)
            task.outcome = _scored(result, task.request, seconds)
        except Interrupted:
            raise
        except RefusedError as refused:
            task.outcome = refused
        except BaseException as error:  # noqa: BLE001 - a script may raise anything, and exit() is no way out
            task.outcome = Failed(error)
        return arguments

    def score_batch(self, tasks: Sequence[Task]) -> None:
        """Call run() once for several requests; when it fails, once for each, so that the others do not suffer."""
        groups: dict[tuple[str, ...], list[tuple[Task, dict[str, Any]]]] = {}
        for task in tasks:
            try:
                arguments = self._arguments(task.request)
            except Interrupted:
                raise
            except RefusedError as refused:
                task.outcome = refused
            except BaseException as error:  # noqa: BLE001 - a script's own types may raise anything
                task.outcome = Failed(error)
            else:
                # Optional parameters that only some have: run() cannot be called with both.
                groups.setdefault(tuple(arguments), []).append((task, arguments))
        for names, members in groups.items():
            self._score_alike(names, members)

    def _score_alike(self, names: tuple[str, ...], members: list[tuple[Task, dict[str, Any]]]) -> None:
        size = len(members)
        started = time.perf_counter()
        try:
            lists = {name: [arguments[name] for _, arguments in members] for name in names}
            REQUEST_ID.set(",".join([task.request.id for task, _ in members]))
            with self._traced(members[0][0].request):
                result = self._script.run(**lists)
            seconds = time.perf_counter() - started
            parts = _parts(result, size)
        except Interrupted:
            raise
        except BaseException:  # noqa: BLE001 - which of them is at fault shows when each is alone
            for task, _ in members:
                self.score(task)
            return
        for (task, _), part in zip(members, parts, strict=True):
            task.batch, task.leads = size, task is members[0][0]
            try:
                task.outcome = _scored(part, task.request, seconds)
            except Interrupted:
                raise
            except RefusedError as refused:
                task.outcome = refused
            except BaseException as error:  # noqa: BLE001 - one of a batch fails alone, whatever it is
                task.outcome = Failed(error)

    async def score_async(self, task: Task) -> None:
        """Call a run() that is a coroutine function, without waiting for other calls."""
        try:
            arguments = self._arguments(task.request)
            started = time.perf_counter()
            REQUEST_ID.set(task.request.id)
            with self._traced(task.request):
                result = await self._script.run(**arguments)
            task.outcome = _scored(result, task.request, time.perf_counter() - started)
        except asyncio.CancelledError:
            raise
        except RefusedError as refused:
            task.outcome = refused
        except BaseException as error:  # noqa: BLE001 - a script may raise anything, and exit() is no way out
            task.outcome = Failed(error)

    def _arguments(self, request: Request) -> dict[str, Any]:
        if request.header(b"content-encoding"):
            request.body = decoded_body(request.headers, request.body, self._max_body_bytes)
            request.headers = [header for header in request.headers if header[0] != b"content-encoding"]
        return self._script.calling.arguments(request)

    def _traced(self, request: Request) -> contextlib.AbstractContextManager[Any]:
        """Of a batch, the first request's span is the one."""
        if self._tracing is None or request.span is None:
            return _NOTHING
        return self._tracing.running(request.span)

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the script's thread, made when something first needs it."""
        if self.loop is None:
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)
        return self.loop


def _scored(result: Any, request: Request, seconds: float) -> Scored:
    """The answer in the form that the caller asks for."""
    if isinstance(result, Exception):
        # One of a batch that the script itself says has failed.
        raise result
    accept = request.header(b"accept")
    other = encode(result, accept) if accept not in _JSON_WILL_DO else None
    answer = to_answer(result) if other is None else Answer(other[0], content_type=other[1])
    if len(answer.body) >= _WORTH_COMPRESSING and (accepted := request.header(b"accept-encoding")):
        answer = encoded(answer, accepted)
    return Scored(answer, seconds)


def _parts(result: Any, size: int) -> list[Any]:
    """The answers of a batch, one for each request, in their order."""
    if hasattr(result, "to_dict") and hasattr(result, "columns"):
        result = result.to_dict(orient="records")
    try:
        parts = list(result) if not isinstance(result, (str, bytes, dict, set, frozenset)) else None
    except TypeError:
        parts = None
    if parts is None or len(parts) != size:
        given = f"{len(parts)} values" if parts is not None else f"a value of type {type(result).__qualname__}"
        raise AnswerError(
            f"run() takes batches: for {size} requests it has to return {size} values; it returned {given}"
        )
    return parts


async def _awaited(result: Any) -> Any:
    """run_until_complete() of another loop takes coroutines only."""
    return await result
