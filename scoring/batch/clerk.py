"""The process that lists the input and writes the progress: the one that forks others must have no threads."""

from __future__ import annotations

import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from scoring.batch.plan import Plan
from scoring.batch.worker import follow_parent

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from scoring.batch.plan import Part
    from scoring.batch.settings import JobSettings
    from scoring.storage import Store

_READERS = 16
_log = logging.getLogger("slipway")


@dataclass(frozen=True)
class Slice:
    """A task's share.

    Attributes:
        plan: The job's plan, without its parts.
        parts: What is left to do.
        finished: How many parts are finished.
        items: How many rows or files those had.
        failed: How many of them failed.
        lost: How many of those were rows of an unknown number.
        finished_size: How many bytes those were.
        size: How many bytes all of the task are.
    """

    plan: Plan
    parts: list[Part]
    finished: int
    items: int
    failed: int
    lost: int
    finished_size: int
    size: int


@dataclass(frozen=True)
class Refused:
    """The job cannot be done as it is asked for, or not now."""

    message: str
    is_mistake: bool


def work(job: JobSettings, pipe: Connection) -> None:
    """Be that process.

    Args:
        job: The job.
        pipe: Takes how run() is called, and answers with a Slice or Refused; then takes progress, and answers None.
            None ends it.
    """
    follow_parent()
    # Extras; and slow to import.
    from scoring.batch.places import InputError, StorageError  # noqa: PLC0415

    with contextlib.suppress(EOFError):
        call = pipe.recv()
        if call is None:
            return
        try:
            store = _opened(job.output)
            pipe.send(_slice(job, call, store))
        except InputError as error:
            pipe.send(Refused(str(error), is_mistake=True))
            return
        except ImportError as error:
            message = (
                f"the output {job.output} needs {error.name}, which this image has not: the extra `batch` brings it"
            )
            pipe.send(Refused(message, is_mistake=True))
            return
        except Exception as error:  # noqa: BLE001 - a storage's library may raise anything when it fails
            failed = error if isinstance(error, StorageError) else StorageError("the job cannot be prepared", error)
            pipe.send(Refused(str(failed), is_mistake=failed.is_lasting))
            return
        name = f"job/progress/{job.task}-of-{job.of}.json"
        while (told := pipe.recv()) is not None:
            try:
                store.put(name, orjson.dumps(told, option=orjson.OPT_INDENT_2))
            except Exception as error:  # noqa: BLE001 - the job goes on without
                _log.warning("the progress cannot be written: %s", type(error).__name__)
            pipe.send(None)


def _opened(output: str) -> Store:
    from scoring.batch.places import InputError  # noqa: PLC0415 - as above
    from scoring.storage import open_store  # noqa: PLC0415

    try:
        return open_store(output)
    except ImportError:
        raise
    except ValueError as error:
        raise InputError(f"the output {output} cannot be used: {error}") from None
    except Exception as error:  # noqa: BLE001 - a storage's library may raise anything for a URL that it cannot take
        raise InputError(f"the output {output} cannot be used: {type(error).__name__}: {error}") from None


def _slice(job: JobSettings, call: str, store: Store) -> Slice:
    from scoring.batch.places import Places  # noqa: PLC0415 - as above
    from scoring.batch.plan import done_in, of_task, prepared  # noqa: PLC0415
    from scoring.batch.reading import check_types  # noqa: PLC0415

    check_types(job.types)
    plan = prepared(job, call, store, Places())
    mine = of_task(plan.parts, job.task, job.of)
    names = done_in(store)
    finished = [part for part in mine if part.name in names]
    with ThreadPoolExecutor(_READERS) as pool:
        counts = list(pool.map(lambda part: _counts(store, part), finished))
    return Slice(
        Plan(plan.settings, plan.types, ()),
        [part for part in mine if part.name not in names],
        len(finished),
        sum(count["items"] for count in counts),
        sum(count["failed"] for count in counts),
        sum(count.get("lost", 0) for count in counts),
        sum(part.size for part in finished),
        sum(part.size for part in mine),
    )


def _counts(store: Store, part: Part) -> dict[str, Any]:
    from scoring.batch.places import StorageError  # noqa: PLC0415 - as above

    try:
        counts: dict[str, Any] = orjson.loads(store.get(part.done_name))
    except Exception as error:
        raise StorageError(f"{part.done_name} cannot be read", error) from error
    return counts
