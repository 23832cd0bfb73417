"""`check`, the last step of a build: load the model, answer the sample, compare both with the schema."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import orjson

from scoring import failure
from scoring.config_file import merged
from scoring.job import Job
from scoring.process import prepare
from scoring.request import Request
from scoring.schema import Schema, SchemaError
from scoring.scorer import Failed, Scored
from scoring.service import load_scorer
from scoring.settings import Settings
from scoring.supervise import supervised
from scoring.variables import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from scoring.answers import Answer
    from scoring.scorer import Scorer

_ERROR = 400


class CheckError(Exception):
    """The model does not answer its sample as it should; the message is all there is to say."""


def check() -> int:
    """Check the model of this process's environment.

    Prints the sample's answer as one JSON line after `check: `; SLIPWAY_CHECK_OUT names a file for it.

    Returns:
        0 when the model may be shipped, 1 when not.
    """
    try:
        os.environ.update(merged(os.environ))
        settings = Settings.from_environment()
    except SettingsError as error:
        print(f"check failed: {error}", file=sys.stderr)  # noqa: T201 - a build step's answer
        return 1
    return supervised(lambda: _checked(settings), settings.check_seconds)


def _checked(settings: Settings) -> int:
    try:
        _check(settings)
    except (CheckError, SchemaError) as error:
        print(f"check failed: {error}", file=sys.stderr)  # noqa: T201 - a build step's answer
    except BaseException as error:  # noqa: BLE001 - a script may raise anything
        trace, line = failure.trace(error), failure.one_line(error)
        shown = f"check failed: {line}" if trace == line else f"{trace}\ncheck failed: {line}"
        print(shown, file=sys.stderr)  # noqa: T201 - a build step's answer
    else:
        return 0
    return 1


def _check(settings: Settings) -> None:
    # Both first: a misspelt schema should not cost the loading of a large model.
    schema = Schema(settings.schema) if settings.schema is not None else None
    data = read_sample(settings.sample) if settings.sample is not None else None
    if schema is not None and data is not None:
        _fits(schema, "input", data, "the sample")
    prepare(settings)
    scorer = load_scorer(settings)
    if data is None:
        print(f"no sample was given: {settings.script.name} was loaded and init() called, but not run()")  # noqa: T201 - a build step's answer
        return
    answer = answer_of(scorer, data)
    if schema is not None:
        _fits(schema, "output", answer.body, "the sample's answer")
    line = _as_line(answer)
    print(f"check: {line}")  # noqa: T201 - a build step's answer
    if settings.check_out is not None:
        _write(settings.check_out, f"{line}\n")


def answer_of(scorer: Scorer, sample: bytes) -> Answer:
    """Have a script answer its sample.

    Args:
        scorer: The loaded script.
        sample: The sample, the body of a request.

    Raises:
        CheckError: It says that it failed.
        BaseException: What the script raised.
    """
    job = Job(Request("POST", "/score", headers=[(b"content-type", b"application/json")], body=sample, id="sample"))
    scorer.score(job)
    outcome = job.outcome
    if isinstance(outcome, Failed):
        raise outcome.error
    if not isinstance(outcome, Scored):
        raise CheckError(f"run() cannot be called with the sample: {outcome}")
    if outcome.answer.status >= _ERROR:
        shown = outcome.answer.body[:1000].decode("utf-8", "replace")
        raise CheckError(f"run() answered the sample with status {outcome.answer.status}: {shown}")
    return outcome.answer


def read_sample(path: Path) -> bytes:
    """Read a sample.

    Raises:
        CheckError: It is missing, or no text.
    """
    try:
        content = path.read_bytes()
        content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckError(f"the sample {path} cannot be read as UTF-8 text: {error}") from None
    return content


def _fits(schema: Schema, part: str, text: str | bytes, what: str) -> None:
    try:
        schema.check(part, orjson.loads(text))
    except orjson.JSONDecodeError as error:
        raise CheckError(f"{what} is not JSON, which the schema's {part!r} is about: {error}") from None
    except SchemaError as error:
        raise CheckError(f"{what} {error}") from None


def _as_line(answer: Answer) -> str:
    """The answer as one line of JSON, also where it is an image or a page."""
    try:
        return orjson.dumps(orjson.loads(answer.body)).decode()
    except orjson.JSONDecodeError:
        kind = (answer.content_type or dict(answer.headers).get(b"content-type", b"")).decode("latin-1")
        described: dict[str, Any] = {"status": answer.status, "content-type": kind, "bytes": len(answer.body)}
        return orjson.dumps(described).decode()


def _write(path: Path, text: str) -> None:
    """At once or not at all: whoever waits for the file must not see half of it."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise CheckError(f"cannot write the answer to {path} (SLIPWAY_CHECK_OUT): {error.strerror}") from None
