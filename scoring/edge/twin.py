"""What the twin's desired properties set, and what is reported of them: applied, or refused and why."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LEVELS = ("debug", "info", "warning", "error")
_DAY = 86_400
# In bytes; IoT Hub takes 4096, and 32 KiB for all properties together.
_LONGEST_TEXT = 2000
_ROOM_FOR_UNKNOWN = 8000


@dataclass(frozen=True)
class Tuning:
    """How the module works, as the twin's desired properties say.

    Attributes:
        threshold: A score that is at least this is an alert; None where nothing is.
        batch_size: How many messages are scored at once, at most.
        batch_wait_ms: How long the first of them waits for others.
        sampling: The share of results that are sent; alerts always are.
        log_level: debug, info, warning or error.
        store_max_bytes: How much the store may hold.
        store_max_age_seconds: How old what it holds may be.
    """

    threshold: float | None = None
    batch_size: int = 64
    batch_wait_ms: int = 0
    sampling: float = 1.0
    log_level: str = "info"
    store_max_bytes: int = 256 * 1024 * 1024
    store_max_age_seconds: int = 7 * _DAY


class Twin:
    """The desired properties, as far as they are known here.

    Attributes:
        tuning: What holds.
    """

    def __init__(self, defaults: Tuning) -> None:
        """Start with what holds where the twin says nothing."""
        self._defaults = defaults
        self._desired: dict[str, Any] = {}
        self._reported: set[str] = set()
        self.tuning = defaults

    @property
    def desired(self) -> dict[str, Any]:
        """The desired properties as they came."""
        return dict(self._desired)

    def replace(self, desired: Mapping[str, Any]) -> dict[str, Any]:
        """Take the whole of the desired properties.

        Returns:
            What to report: for each property its value, code, version and a word on it, as IoT Plug and Play has it;
            None for those that are to be forgotten.
        """
        self._desired = {}
        return self.patch(desired)

    def patch(self, desired: Mapping[str, Any]) -> dict[str, Any]:
        """Take what has changed of the desired properties; null takes one away.

        Returns:
            What to report, as `replace` does.
        """
        for name, value in desired.items():
            if value is None:
                self._desired.pop(name, None)
            else:
                self._desired[name] = value
        return self._apply()

    def _apply(self) -> dict[str, Any]:
        version = self._desired.get("$version", 0)
        given = {name: value for name, value in self._desired.items() if not name.startswith("$")}
        tuning, report = self._defaults, dict.fromkeys(self._reported)
        for name, (field, check) in _PROPERTIES.items():
            # What was refused leaves alone what held before.
            held = getattr(self.tuning, field)
            if name not in given:
                report[name] = _acknowledged(getattr(self._defaults, field), 200, version, "default")
                continue
            try:
                value = check(given[name])
            except ValueError as error:
                tuning = replace(tuning, **{field: held})
                report[name] = _acknowledged(held, 400, version, f"{error}; {held!r} goes on holding")
            else:
                tuning = replace(tuning, **{field: value})
                report[name] = _acknowledged(value, 200, version, "applied")
        room = _ROOM_FOR_UNKNOWN
        for name in sorted(given.keys() - _PROPERTIES.keys()):
            told = _acknowledged(None, 404, version, f"unknown; known are {', '.join(_PROPERTIES)}")
            room -= len(name.encode()) + len(str(told))
            if room < 0:
                break
            report[name] = told
        self.tuning = tuning
        self._reported = {name for name, value in report.items() if value is not None}
        return report


def _acknowledged(value: Any, code: int, version: int, text: str) -> dict[str, Any]:
    return {"value": value, "ac": code, "av": version, "ad": as_property(text)}


def as_property(text: str) -> str:
    """Return as much of a text as a property may have: IoT Hub refuses a whole report for a longer one.

    Of a longer one that is the beginning and the end: which of them says most depends.
    """
    encoded, half = text.encode("utf-8", "replace"), _LONGEST_TEXT // 2
    if len(encoded) <= _LONGEST_TEXT:
        return encoded.decode()
    return f"{encoded[:half].decode('utf-8', 'ignore')} … {encoded[-half:].decode('utf-8', 'ignore')}"


def _number(least: float, most: float, allowed: str) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            raise ValueError(f"{value!r} is not {allowed}")
        return value

    return check


def _whole(least: int, most: int) -> Callable[[Any], int]:
    in_range = _number(least, most, f"a whole number from {least} to {most}")

    def check(value: Any) -> int:
        # The twin's JSON may come with 16.0 for 16.
        number = in_range(value)
        if number != int(number):
            raise ValueError(f"{value!r} is not a whole number from {least} to {most}")
        return int(number)

    return check


def _level(value: Any) -> str:
    if not isinstance(value, str) or value.lower() not in _LEVELS:
        raise ValueError(f"{value!r} is not one of {', '.join(_LEVELS)}")
    return value.lower()


_FINITE = math.nextafter(math.inf, 0)
_PROPERTIES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "threshold": ("threshold", _number(-_FINITE, _FINITE, "a number")),
    "batchSize": ("batch_size", _whole(1, 1024)),
    "batchWaitMs": ("batch_wait_ms", _whole(0, 60_000)),
    "sampling": ("sampling", _number(0, 1, "a number from 0 to 1")),
    "logLevel": ("log_level", _level),
    "storeMaxBytes": ("store_max_bytes", _whole(64 * 1024, 2**50)),
    "storeMaxAgeSeconds": ("store_max_age_seconds", _whole(1, 3650 * _DAY)),
}
