"""Loading the model before the workers are forked, so that they share its memory."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
from functools import partial
from typing import TYPE_CHECKING

from scoring.check import answer_of, read_sample
from scoring.process import exit_at_once
from scoring.service import load_scorer, tell_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scoring.scorer import Scorer
    from scoring.server.features import Features
    from scoring.settings import Settings

_log = logging.getLogger("slipway")


class LoadError(Exception):
    """The model could not be loaded; the message is what the service's status is to show."""


def is_wanted(settings: Settings) -> bool:
    """Return whether to load before the fork.

    What a fork loses, threads above all, shows when a forked copy answers the sample; without one it has to be asked
    for.
    """
    wanted = settings.sample is not None if settings.preload is None else settings.preload
    return wanted and settings.workers > 1 and not settings.reload


def load(settings: Settings, features: Features) -> Callable[[], Scorer] | None:
    """Load the model in this process.

    Returns:
        What gives a worker its copy of the scorer, proven by the sample; None where the script cannot be shared.

    Raises:
        LoadError: It could not be loaded; the log has why.
    """
    try:
        scorer = load_scorer(settings, features.tracing)
    except BaseException as error:  # noqa: BLE001 - a script may raise anything
        raise LoadError(tell_failure(settings, error)) from None
    if scorer.loop is not None:
        _log.info("an async script cannot be shared: each worker loads its own")
        return None
    # What never changes is never copied: the collector would write to every object that it looks at.
    gc.collect()
    gc.freeze()
    return partial(_proven, scorer, settings)


def _proven(scorer: Scorer, settings: Settings) -> Scorer:
    """Return the scorer when this fork of it answers the sample."""
    if settings.sample is not None:
        answer_of(scorer, read_sample(settings.sample))
    return scorer


@contextlib.contextmanager
def interruptible(front: int) -> Iterator[None]:
    """Have SIGTERM end this process and the front at once: nothing was accepted that could be lost.

    Args:
        front: The process that tells the state meanwhile.
    """

    def end(_number: int, _frame: object) -> None:
        with contextlib.suppress(OSError):
            os.kill(front, signal.SIGTERM)
            os.waitpid(front, 0)
        exit_at_once(0)

    earlier = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
