"""The service: the state that health tells, the script that answers, and its replacement while serving."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from typing import TYPE_CHECKING, Any, Literal

from scoring import failure
from scoring.interrupts import Interrupted
from scoring.lane import Lane
from scoring.refused import RefusedError
from scoring.scorer import Scorer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scoring.job import Job
    from scoring.request import Request
    from scoring.scorer import Outcome
    from scoring.script import Script
    from scoring.server.board import Board
    from scoring.settings import Settings
    from scoring.telemetry.tracing import Tracing

State = Literal["starting", "ready", "busy", "failed", "draining"]
# In these a request to /score is answered by the script.
ANSWERING = ("ready", "busy")

_TREE_LINES = 200
_STARTING = "The model is still starting."
_LATER = ((b"retry-after", b"1"),)
_log = logging.getLogger("slipway")


def load_scorer(settings: Settings, tracing: Tracing | None = None) -> Scorer:
    """Import the script of some settings and call its init().

    Args:
        settings: The settings.
        tracing: Makes a request's span the current one while run() works for it.

    Raises:
        ScriptError: The script does not keep the contract.
        BaseException: What the script raised.
    """
    return Scorer.load(
        settings.script,
        settings.root,
        max_body_bytes=settings.max_body_bytes,
        batching=settings.batching,
        tracing=tracing,
    )


class Service:
    """One model, served.

    Attributes:
        error: Why the model could not be loaded; None when it was, or is being.
        reload_error: Why the latest edit was not taken over.
        generation: How many loads of the script have succeeded.
        attempts: How many have ended, well or not.
        init_seconds: How long the last successful load took.
        edge_status: Tells of the link to a device's hub; None without one.
    """

    def __init__(self, settings: Settings, board: Board, slot: int, *, holds: bool = False) -> None:
        """Make a service that has not started to load.

        Args:
            settings: What to load.
            board: What the processes of the service tell each other.
            slot: This process's place on it.
            holds: Whether requests wait until the script is loaded, instead of being refused: this process
                takes the place of one that answered.
        """
        self._settings = settings
        self._board = board
        self._slot = slot
        self._holds = holds
        self._lane: Lane | None = None
        self._loading: Lane | None = None
        self._retired: list[Lane] = []
        self._draining = False
        self.error: str | None = None
        self.reload_error: str | None = None
        self.generation = 0
        self.attempts = 0
        self.init_seconds = 0.0
        self.edge_status: Callable[[], dict[str, Any]] | None = None

    @property
    def own_state(self) -> State:
        """What this process is doing."""
        if self._draining:
            return "draining"
        if self.is_stuck:
            return "failed"
        if self._lane is not None:
            return "busy" if self._lane.is_busy else "ready"
        return "failed" if self.error is not None else "starting"

    @property
    def state(self) -> State:
        """What the service is doing, all of its processes together."""
        own = self.own_state
        if own in {"draining", "ready"}:
            return own
        return self._board.summary(self._slot, own)

    @property
    def is_draining(self) -> bool:
        """Whether the service finishes what it accepted, and nothing else."""
        return self._draining

    def status(self) -> dict[str, Any]:
        """Return what /status tells."""
        reload = {
            "enabled": self._settings.reload,
            "generation": self.generation,
            "attempts": self.attempts,
            "error": self.reload_error,
        }
        model = {"name": self._settings.name, "version": self._settings.version}
        error = self.error or self._board.error_of_others(self._slot)
        workers = [state for state in self._board.states() if state is not None]
        edge = {"edge": self.edge_status()} if self.edge_status is not None else {}
        return {"state": self.state, "model": model, "error": error, "workers": workers, "reload": reload, **edge}

    async def load(self, load: Callable[[], Scorer]) -> bool:
        """Load the script and have it answer from now on; when it fails, the one before goes on answering.

        Args:
            load: Imports the script and calls its init(), or gives what was loaded before this process was forked.

        Returns:
            Whether it was loaded.
        """
        settings = self._settings
        started = time.perf_counter()
        lane = self._loading = Lane(load, settings.threads)
        try:
            error = await lane.loaded
        except asyncio.CancelledError:
            # Its thread may never come back; if it does it ends.
            lane.close()
            self._retired.append(lane)
            raise
        finally:
            self._loading = None
            self.attempts += 1
        if isinstance(error, Interrupted):
            _log.info("loading was broken off: the code was edited again")
            return False
        if error is not None:
            lane.give_up()
            self._report(error)
            return False
        self.generation += 1
        self.error = self.reload_error = None
        if self._lane is not None:
            self._lane.close()
            self._retired = [lane for lane in self._retired if not lane.is_idle] + [self._lane]
        self._lane = lane
        self.init_seconds = time.perf_counter() - started
        which = f", generation {self.generation}" if settings.reload else ""
        _log.info("ready: %s loaded in %.2f s%s", settings.script.name, self.init_seconds, which)
        return True

    def interrupt_load(self) -> None:
        """Break off a load that is under way: what it loads has been edited again."""
        if self._loading is not None:
            self._loading.interrupt_load()

    @property
    def methods(self) -> tuple[str, ...]:
        """The HTTP methods that the script's run() is called for."""
        script = self.script
        return script.calling.methods if script is not None else ("GET", "POST")

    @property
    def script(self) -> Script | None:
        """The script that answers; None while there is none."""
        return self._lane.script if self._lane is not None else None

    @property
    def is_stuck(self) -> bool:
        """Whether a thread of the script will never come back."""
        return any(lane.is_stuck for lane in self._lanes())

    @property
    def unanswered(self) -> int:
        """How many calls wait or are under way."""
        return sum(lane.unanswered for lane in self._lanes())

    def submit(self, request: Request, tell: Callable[[Job, Outcome], None]) -> tuple[Job, Lane]:
        """Have the current script answer a request.

        Args:
            request: The request.
            tell: Called with what became of it.

        Returns:
            The job, and the lane that has it.

        Raises:
            RefusedError: No script is loaded (503), or too much waits already (503).
        """
        lane = self._lane
        if lane is None:
            lane = self._loading if self._holds else None
            if lane is None:
                failed = self.error is not None
                what = "The model failed to start. Check the logs for more info." if failed else _STARTING
                raise RefusedError(503, what, _LATER)
        settings = self._settings
        if lane.unanswered >= settings.queue + settings.threads:
            raise RefusedError(503, f"The service is busy: {settings.queue} requests are waiting already.", _LATER)
        if lane.held_bytes and lane.held_bytes + len(request.body) > settings.max_waiting_bytes:
            raise RefusedError(503, "The service is busy: the requests that wait already are too large.", _LATER)
        return lane.submit(request, tell, settings.timeout_seconds), lane

    def begin_drain(self) -> None:
        """Tell by the state that no new requests are wanted."""
        self._draining = True

    async def finish(self, deadline: float) -> int:
        """Wait until every accepted request is answered, and answer for the script when it takes too long.

        Args:
            deadline: When to give up, on the event loop's clock.

        Returns:
            How many requests were given up.
        """
        loop = asyncio.get_running_loop()
        # An event instead would have to be kept up on every request.
        while self.unanswered and loop.time() < deadline:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.02)
        given_up = self.unanswered
        for lane in self._lanes():
            lane.give_up()
        return given_up

    @property
    def is_idle(self) -> bool:
        """Whether no thread is in the script's code."""
        return all(lane.is_idle for lane in self._lanes())

    def _lanes(self) -> list[Lane]:
        return [*self._retired, *filter(None, (self._lane, self._loading))]

    def _report(self, error: BaseException) -> None:
        settings = self._settings
        if self._lane is None:
            shown = tell_failure(settings, error)
            self.error = shown
        else:
            details, trace = failure.one_line(error), failure.trace(error)
            shown = trace if settings.development else details
            _log_with_trace(error, "edit not taken over, generation %d goes on serving: %s", self.generation, details)
        if settings.reload:
            self.reload_error = shown


def tell_failure(settings: Settings, error: BaseException) -> str:
    """Log why a model could not be loaded, and what there is in its folder.

    Returns:
        What the service's status is to show.
    """
    details, trace = failure.one_line(error), failure.trace(error)
    _log_with_trace(error, "failed: %s", details)
    if settings.model_dir is not None:
        lines = list(itertools.islice(_tree(settings.model_dir), _TREE_LINES))
        _log.info("the model folder holds:\n%s", "\n".join(lines))
    return trace if settings.development else details


def _log_with_trace(error: BaseException, message: str, *arguments: object) -> None:
    """Log a failure in one event, with the traceback where that tells more than the message's line."""
    tells_more = failure.trace(error) != failure.one_line(error)
    _log.error(message, *arguments, exc_info=error if tells_more else None)


def _tree(folder: Path, indent: str = "") -> Iterator[str]:
    """The files of a folder, for whoever looks for the one that was not found."""
    if not folder.is_dir():
        yield f"{indent}{folder}{'' if folder.exists() else ' (does not exist)'}"
        return
    yield f"{indent}{folder if not indent else folder.name}/"
    try:
        children = sorted(folder.iterdir())
    except OSError as error:
        yield f"{indent}  ({error.strerror})"
        return
    for child in children:
        if child.is_dir() and not child.is_symlink():
            yield from _tree(child, indent + "  ")
        else:
            yield f"{indent}  {child.name}"
