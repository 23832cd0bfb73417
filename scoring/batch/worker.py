"""A process that scores parts: it loads the script, does what it is told to, and calls shutdown() at the end."""

from __future__ import annotations

import contextlib
import ctypes
import inspect
import logging
import multiprocessing
import os
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scoring import failure
from scoring.batch.calling import call_way, caller_of, shutdown_of
from scoring.check import read_sample
from scoring.service import load_scorer, tell_failure
from scoring.telemetry import log

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from scoring.batch.board import Slot
    from scoring.batch.plan import Part, Plan
    from scoring.batch.settings import JobSettings
    from scoring.scorer import Scorer
    from scoring.settings import Settings

OUTPUT_VARIABLE = "AZUREML_BI_OUTPUT_PATH"
WRITTEN = "written"
_END_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_log = logging.getLogger("slipway")


@dataclass(frozen=True)
class Order:
    """What a process is to do.

    Attributes:
        part: The part.
        skip: Mini-batches of it that have ended processes before.
        reason: How.
    """

    part: Part
    skip: frozenset[int]
    reason: str


@dataclass(frozen=True)
class Ready:
    """The script is loaded; its run() is called in this way."""

    call: str


@dataclass(frozen=True)
class LoadFailed:
    """The script could not be loaded; the log has why."""

    details: str


@dataclass(frozen=True)
class StorageFailed:
    """The storage goes on failing; `is_lasting` where trying again later will not help."""

    message: str
    is_lasting: bool


@dataclass(frozen=True)
class GaveUp:
    """The part was left because the job is to stop."""


def work(settings: Settings, job: JobSettings, pipe: Connection, slot: Slot, loaded: Scorer | None) -> None:
    """Be such a process.

    Args:
        settings: The script's surroundings.
        job: The job.
        pipe: Takes a Plan after Ready, then Orders, then None; answers each with what became of it.
        slot: Where it tells what it does.
        loaded: The script, where it was loaded before the fork.
    """
    follow_parent()
    with _own_folder(job) as folder:
        try:
            scorer = loaded if loaded is not None else load_scorer(settings)
            call = call_way(job, scorer.script)
            sample = read_sample(settings.sample) if settings.sample is not None else None
            caller = caller_of(job, call, scorer, sample)
        except BaseException as error:  # noqa: BLE001 - a script may raise anything
            tell_failure(settings, error)
            pipe.send(LoadFailed(failure.one_line(error)))
            return
        _import()
        pipe.send(Ready(call))
        with contextlib.suppress(EOFError):
            plan = pipe.recv()
            if plan is not None:
                _serve(_runner(job, call, plan, caller, slot, folder), pipe)
        shutdown = shutdown_of(scorer.script)
        try:
            result = shutdown() if shutdown is not None else None
            if inspect.isawaitable(result):
                result.close()  # type: ignore[attr-defined]  # a coroutine; Azure's shutdown() is none
        except Exception as error:  # noqa: BLE001 - as above
            _log.error("shutdown() failed: %s", failure.one_line(error))
    log.finish()


def follow_parent() -> None:
    """End when the parent is killed; leave signals to it: it tells when to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL)
    # Killed before it was asked for: nobody tells any more.
    parent = multiprocessing.parent_process()
    if parent is not None and os.getppid() != parent.pid:
        os._exit(1)


@contextlib.contextmanager
def _own_folder(job: JobSettings) -> Any:
    """A folder for what the script writes itself, where the output is a storage; None where it is a folder."""
    if "://" not in job.output:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="written-") as folder:
        os.environ[OUTPUT_VARIABLE] = folder
        yield Path(folder)


def _import() -> None:
    """Import what parts need, while the input is listed: pyarrow is slow to import."""
    import scoring.batch.part  # noqa: F401, PLC0415


def _runner(job: JobSettings, call: str, plan: Plan, caller: Any, slot: Slot, folder: Path | None) -> Any:
    # Only now: pyarrow is an extra, and slow to import.
    from scoring.batch.part import PartRunner  # noqa: PLC0415
    from scoring.storage import open_store  # noqa: PLC0415

    return PartRunner(job, call, plan, caller, open_store(job.output), slot, folder)


def _serve(runner: Any, pipe: Connection) -> None:
    from scoring.batch.calling import Stopped  # noqa: PLC0415
    from scoring.batch.places import InputError, Places, StorageError  # noqa: PLC0415

    places = Places()
    while (order := pipe.recv()) is not None:
        try:
            pipe.send(runner.run(order.part, places, order.skip, order.reason))
        except Stopped:
            pipe.send(GaveUp())
        except StorageError as error:
            pipe.send(StorageFailed(str(error), error.is_lasting))
        except InputError as error:
            # Where the plan was there, nobody looked at the input before.
            pipe.send(StorageFailed(str(error), is_lasting=True))
