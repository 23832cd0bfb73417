"""The log: every event on stdout, what the script prints among them."""

from __future__ import annotations

import atexit
import json
import logging
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from scoring.telemetry import prints
from scoring.telemetry.events import JsonFormatter, Stamp, TextFormatter

if TYPE_CHECKING:
    from types import TracebackType

    from scoring.variables import Reader

_FILE = "logging.json"
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
# The loggers of Azure's server, by which logging.json may name those of this one.
_AZURE_NAMES = {"azmlinfsrv": "slipway", "azmlinfsrv.print": "slipway.print"}
# Libraries that tell each request they send, the runtime's own exports among them.
_TALKATIVE = ("azure", "httpx", "urllib3", "opentelemetry")


@dataclass(frozen=True)
class LogSettings:
    """How to log.

    Attributes:
        json: Whether events are JSON, SLIPWAY_LOG=json, the default outside development; else text.
        level: Events below it are left out: AZUREML_LOG_LEVEL.
        folders: Where logging.json may be: the code's root, then the entry script's folder.
    """

    json: bool
    level: str
    folders: tuple[Path, ...]

    @classmethod
    def from_reader(cls, reader: Reader) -> LogSettings:
        """Read the settings.

        Args:
            reader: The environment variables; takes what is wrong with them.
        """
        form = reader.text("SLIPWAY_LOG", "text" if reader.flag("SLIPWAY_DEVELOPMENT") else "json").lower()
        if form not in {"json", "text"}:
            reader.problems.append(f"environment variable SLIPWAY_LOG is {form!r}; allowed are json, text")
        level = reader.text("AZUREML_LOG_LEVEL", "INFO").upper()
        if level not in _LEVELS:
            allowed = ", ".join(_LEVELS)
            reader.problems.append(f"environment variable AZUREML_LOG_LEVEL is {level!r}; allowed are {allowed}")
            level = "INFO"
        root = Path(reader.text("SLIPWAY_RELOAD") or reader.text("AML_APP_ROOT", "/var/azureml-app"))
        beside_script = (root / reader.text("AZUREML_ENTRY_SCRIPT", "main.py")).parent
        return cls(form == "json", level, tuple(dict.fromkeys((root, beside_script))))


def set_up(reader: Reader) -> None:
    """Log to stdout from now on, and take what is printed into the log.

    Call it once the script's folders are on sys.path: logging.json may name classes of the script.

    Args:
        reader: The environment variables; takes what is wrong with them, and with logging.json.
    """
    settings = LogSettings.from_reader(reader)
    # A closed line is a flushed line, also when stdout is a pipe.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]  # they are text streams
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter() if settings.json else TextFormatter())
    logging.basicConfig(level=settings.level, handlers=[handler], force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    for folder in settings.folders:
        # Before the streams are replaced: a handler for stdout that it makes is for the real one.
        _configure(folder / _FILE, reader)
    for known in _handlers():
        known.addFilter(Stamp())
    logging.captureWarnings(capture=True)
    threading.excepthook = _log_end_of_thread
    sys.excepthook = _log_end
    sys.stdout = prints.replace(sys.stdout, "slipway.print", logging.INFO)
    sys.stderr = prints.replace(sys.stderr, "slipway.stderr", logging.WARNING)
    # Before a fork, else each process would log what is kept.
    os.register_at_fork(before=finish)
    atexit.register(finish)


def finish() -> None:
    """Log what was printed without an end of line; also what the process calls before it ends at once."""
    for stream in (sys.stdout, sys.stderr):
        _finish(stream)


def _finish(stream: TextIO) -> None:
    if isinstance(stream, prints.PrintStream):
        stream.finish()


def _configure(path: Path, reader: Reader) -> None:
    """Apply a logging.json, where there is one."""
    if not path.is_file():
        return
    from logging.config import dictConfig  # noqa: PLC0415 - slow to import, and seldom needed

    try:
        config = _read(path)
        loggers = dict(config.get("loggers") or {})
        for theirs, ours in _AZURE_NAMES.items():
            if theirs in loggers:
                loggers.setdefault(ours, loggers[theirs])
        # Else loggers that exist already, the runtime's among them, fall silent.
        dictConfig({"disable_existing_loggers": False, **config, "loggers": loggers})
    except (OSError, ValueError, TypeError, AttributeError, ImportError, KeyError) as error:
        # dictConfig tells in the cause what is wrong with the part that its message names.
        cause = f": {error.__cause__}" if error.__cause__ else ""
        reader.problems.append(f"{path}: {error}{cause}")


def _read(path: Path) -> dict[str, Any]:
    config = json.loads(path.read_bytes())
    if not isinstance(config, dict):
        raise TypeError("it has to be an object, as logging.config.dictConfig takes it")
    return config


def _handlers() -> list[logging.Handler]:
    found = [logging.getLogger(), *map(logging.getLogger, list(logging.Logger.manager.loggerDict))]
    return list({id(handler): handler for logger in found for handler in logger.handlers}.values())


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    """A thread of the script ended by an exception: one event, instead of a print of many lines."""
    if ended.exc_value is None or issubclass(ended.exc_type, SystemExit):
        return
    name = ended.thread.name if ended.thread is not None else "unknown"
    information = (ended.exc_type, ended.exc_value, ended.exc_traceback)
    logging.getLogger("slipway").error("thread %s ended by an exception", name, exc_info=information)


def _log_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The process ends by an exception."""
    logging.getLogger("slipway").critical("ended by an exception", exc_info=(kind, error, trace))
