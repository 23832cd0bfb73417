"""Calling a script for some items: as a batch script, or as a web service's."""

from __future__ import annotations

import contextlib
import copy
import inspect
import logging
import mimetypes
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import orjson

from scoring import failure
from scoring.answers import to_json
from scoring.batch.items import Bad, Files, Items, as_text
from scoring.batch.settings import AUTO, FILES, REQUESTS, ROWS
from scoring.job import Job
from scoring.request import Request
from scoring.scorer import Failed, Scored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scoring.batch.settings import JobSettings
    from scoring.scorer import Scorer
    from scoring.script import Script

_ERROR = 400
_BATCH_NAMES = {"mini_batch", "minibatch", "mini_batches", "batch"}
_ALL, _VALUES, _ROW = "$rows", "$values", "$row"
_log = logging.getLogger("slipway")


class CallError(Exception):
    """run() did not do for some items what it has to; the message says what."""


class TimedOut(BaseException):
    """A call took too long: raised in the middle of the script; no Exception, so that few scripts catch it."""


class Stopped(Exception):  # noqa: N818 - no error
    """The job is to stop: raised between two calls."""


class Caller(Protocol):
    """Calls run() once."""

    def __call__(self, items: Items) -> tuple[Any, int]:
        """Return what run() returned, a table or a list, and how many items it is a result of.

        Raises:
            Exception: What the script raised; CallError.
        """


def way_of(script: Script) -> str:
    """Return how a script's run() is called: `files` or `rows` for a batch script, `requests` for a web service's.

    Decorators are a web service's. A parameter called `mini_batch`, one that is said to be a list or a DataFrame, and
    a function shutdown() are a batch script's.
    """
    if script.schema is not None or script.batching is not None or script.calling.kind != "text":
        return REQUESTS
    parameter = next(iter(inspect.signature(script.run).parameters.values()))
    said = "" if parameter.annotation is parameter.empty else str(parameter.annotation)
    if "DataFrame" in said:
        return ROWS
    if "list" in said.lower() or parameter.name in _BATCH_NAMES or shutdown_of(script) is not None:
        return FILES
    return REQUESTS


def shutdown_of(script: Script) -> Callable[[], Any] | None:
    """Return a script's shutdown(); None where it has none."""
    found = getattr(sys.modules.get(script.init.__module__), "shutdown", None)
    return found if callable(found) else None


def call_way(settings: JobSettings, script: Script) -> str:
    """Return how run() is called, by the setting or by the script."""
    return way_of(script) if settings.call == AUTO else settings.call


def caller_of(settings: JobSettings, call: str, scorer: Scorer, sample: bytes | None) -> Caller:
    """Return what calls a script's run().

    Args:
        settings: The job's.
        call: How.
        scorer: The script, its init() called.
        sample: A web service's request, whose shape the job's requests get where no other is given.
    """
    if call == REQUESTS:
        return _Requests(settings, scorer, sample)
    run = scorer.script.run
    if call == FILES:
        return lambda items: _checked(run(list(items.paths)), len(items))
    return lambda items: _checked(run(items.frame(settings.columns)), len(items))


def scored(
    caller: Caller, items: Items, settings: JobSettings, check: Callable[[], None]
) -> Iterator[tuple[Items, Any, list[Bad]]]:
    """Call run(), and find out which items are at fault when it fails.

    Args:
        caller: Calls it.
        items: What it is called with.
        settings: The job's.
        check: Called before each call; raises Stopped where the job is to stop.

    Yields:
        Items, what run() returned for them (None where it failed), and those that failed.
    """
    if not len(items):
        return
    tries = 1 + settings.max_retries
    # Which one is at fault shows when each is alone; only then is it worth to try again.
    for left in reversed(range(tries)):
        check()
        try:
            with _deadline(settings.timeout):
                returned, count = caller(items)
        except TimedOut:
            if left:
                continue
            yield items, None, items.bad(f"run() took longer than {settings.timeout} s (--timeout)")
            return
        except Exception as error:  # noqa: BLE001 - a script may raise anything
            if len(items) > 1:
                half = len(items) // 2
                yield from scored(caller, items.cut(0, half), settings, check)
                yield from scored(caller, items.cut(half, len(items)), settings, check)
                return
            if left:
                continue
            _log.warning("an item failed: %s", failure.one_line(error))
            yield items, None, items.bad(failure.one_line(error))
            return
        except SystemExit:
            # No way to end the job from within.
            yield items, None, items.bad("run() called exit()")
            return
        missing = len(items) - count
        reason = f"run() returned {count} results for {len(items)} items"
        # Which ones they are nobody knows.
        yield items, returned, items.cut(0, missing).bad(f"{reason}; it may be another of them") if missing > 0 else []
        return


@contextlib.contextmanager
def _deadline(seconds: int) -> Iterator[None]:
    def end(_number: int, _frame: object) -> NoReturn:
        raise TimedOut

    earlier = signal.signal(signal.SIGALRM, end)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)


def _checked(returned: Any, size: int) -> tuple[Any, int]:
    """What a batch script may return: a list, a tuple, a DataFrame; here also an array or a series."""
    if returned is None or isinstance(returned, (str, bytes, dict)) or not hasattr(returned, "__len__"):
        kind = type(returned).__qualname__
        raise CallError(f"run() returned a value of type {kind}; it has to return a list, a tuple or a DataFrame")
    return returned, min(len(returned), size)


class _Requests:
    """Calls a web service's run() as a server would, with rows or a file in the body."""

    def __init__(self, settings: JobSettings, scorer: Scorer, sample: bytes | None) -> None:
        self._scorer = scorer
        self._columns = settings.columns
        self._body = settings.body if settings.body is not None else _shape_of(sample)

    def __call__(self, items: Items) -> tuple[Any, int]:
        if isinstance(items, Files):
            return self._each([(Path(path).read_bytes(), _media_type(path)) for path in items.paths])
        records = items.records(self._columns)
        if _has(self._body, _ROW):
            return self._each([(to_json(_filled(self._body, _ROW, record)), b"application/json") for record in records])
        rows = [list(record.values()) for record in records] if _has(self._body, _VALUES) else records
        body = to_json(_filled(_filled(self._body, _ALL, rows), _VALUES, rows))
        (answer,) = self._answers([(body, b"application/json")])
        return _rows_of(answer, len(items)), len(items)

    def _each(self, bodies: list[tuple[bytes, bytes]]) -> tuple[Any, int]:
        answers = self._answers(bodies)
        return answers, len(answers)

    def _answers(self, bodies: list[tuple[bytes, bytes]]) -> list[Any]:
        jobs = [Job(Request("POST", "/score", headers=[(b"content-type", kind)], body=body)) for body, kind in bodies]
        if self._scorer.batching is not None:
            size = self._scorer.batching.max_size
            for start in range(0, len(jobs), size):
                self._scorer.score_batch(jobs[start : start + size])
        else:
            for job in jobs:
                self._scorer.score(job)
        return [_answer_of(job.outcome) for job in jobs]


def _answer_of(outcome: Any) -> Any:
    if isinstance(outcome, Failed):
        raise outcome.error
    if not isinstance(outcome, Scored):
        raise CallError(f"run() cannot be called with it: {outcome}")
    body = outcome.answer.body
    if outcome.answer.failed or outcome.answer.status >= _ERROR:
        shown = body[:1000].decode("utf-8", "replace")
        raise CallError(f"run() answered with status {outcome.answer.status}: {shown}")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            return body.decode("utf-8")
        except UnicodeDecodeError:
            return as_text(body)


def _rows_of(answer: Any, size: int) -> list[Any]:
    """The rows of an answer: itself, or the lists that an object has, each a column."""
    if isinstance(answer, list) and len(answer) == size:
        return answer
    if isinstance(answer, dict):
        lists = {name: value for name, value in answer.items() if isinstance(value, list) and len(value) == size}
        if len(lists) == 1:
            ((name, values),) = lists.items()
            return values if all(isinstance(value, dict) for value in values) else [{name: value} for value in values]
        if lists:
            return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
    raise CallError(
        f"run() answered {size} rows with something that is no list of {size} values and has none; "
        f'set --body with "{_ROW}" where it takes one row at a time'
    )


def _shape_of(sample: bytes | None) -> Any:
    """The body that has rows where the sample has them; a row alone where it has none."""
    try:
        value = orjson.loads(sample or b"null")
    except orjson.JSONDecodeError:
        return _ROW
    if place := _rows_place(value):
        return place
    if isinstance(value, dict):
        for name, member in value.items():
            if place := _rows_place(member):
                return {**value, name: place}
            if isinstance(member, dict):
                for inner, deeper in member.items():
                    if place := _rows_place(deeper):
                        return {**value, name: {**member, inner: place}}
    return _ROW


def _rows_place(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return ""
    if all(isinstance(row, list) for row in value):
        return _VALUES
    return _ALL if all(isinstance(row, dict) for row in value) else ""


def _has(body: Any, mark: str) -> bool:
    if isinstance(body, dict):
        return any(_has(value, mark) for value in body.values())
    if isinstance(body, list):
        return any(_has(value, mark) for value in body)
    return bool(body == mark)


def _filled(body: Any, mark: str, value: Any) -> Any:
    if isinstance(body, dict):
        return {name: _filled(member, mark, value) for name, member in body.items()}
    if isinstance(body, list):
        return [_filled(member, mark, value) for member in body]
    return value if isinstance(body, str) and body == mark else copy.copy(body)


def _media_type(path: str) -> bytes:
    return (mimetypes.guess_type(path)[0] or "application/octet-stream").encode()
