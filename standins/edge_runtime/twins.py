"""Module twins, as the device's hub keeps them: desired, reported, versions, and IoT Hub's rules for reported ones."""

from __future__ import annotations

import contextlib
import json
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LARGEST = 32 * 1024
_DEEPEST = 10
_LONGEST_TEXT = 4096


class Twins:
    """The twins of all modules of a device, kept in a file."""

    def __init__(self, path: Path) -> None:
        """Read them, or begin without any."""
        self._path = path
        self._lock = threading.RLock()
        self._twins: dict[str, dict[str, Any]] = {}
        with contextlib.suppress(FileNotFoundError):
            self._twins = json.loads(path.read_text(encoding="utf-8"))

    def get(self, module: str) -> dict[str, Any]:
        """Return a twin: `desired` and `reported`, each with its `$version`."""
        with self._lock:
            twin = self._twins.setdefault(module, {"desired": {"$version": 1}, "reported": {"$version": 1}})
            return json.loads(json.dumps(twin))  # type: ignore[no-any-return]  # it is what was just written

    def set_desired(self, module: str, desired: Mapping[str, Any]) -> dict[str, Any] | None:
        """Set all desired properties.

        Returns:
            What has changed, with the new version; None where nothing has.
        """
        with self._lock:
            before = self.get(module)["desired"]
            version = before.pop("$version")
            wanted = {name: value for name, value in desired.items() if not name.startswith("$")}
            if wanted == before:
                return None
            version = max(version + 1, int(desired.get("$version", 0)))
            changed = {name: value for name, value in wanted.items() if before.get(name) != value}
            changed |= dict.fromkeys(before.keys() - wanted.keys())
            self._twins[module]["desired"] = {**wanted, "$version": version}
            self._save()
            return {**changed, "$version": version}

    def report(self, module: str, patch: Any) -> int:
        """Merge reported properties.

        Returns:
            The new version.

        Raises:
            ValueError: IoT Hub would refuse them; the message says why.
        """
        _check(patch)
        with self._lock:
            self.get(module)
            reported = self._twins[module]["reported"]
            version = reported["$version"] + 1
            merged = merge(reported, patch)
            if len(json.dumps(merged)) > _LARGEST:
                raise ValueError(f"reported properties are larger than {_LARGEST} bytes")
            self._twins[module]["reported"] = {**merged, "$version": version}
            self._save()
            return int(version)

    def _save(self) -> None:
        unfinished = self._path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(self._twins), encoding="utf-8")
        unfinished.replace(self._path)


def merge(old: Any, patch: Any) -> Any:
    """Merge a patch: null takes away, objects are merged, anything else takes the place."""
    if not isinstance(patch, dict) or not isinstance(old, dict):
        return patch
    merged = dict(old)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name, {}), value)
    return merged


def _check(patch: Any, depth: int = 0) -> None:
    if depth == 0 and not isinstance(patch, dict):
        raise ValueError("reported properties have to be an object")
    if depth > _DEEPEST:
        raise ValueError(f"properties are nested deeper than {_DEEPEST}")
    if isinstance(patch, str) and len(patch.encode()) > _LONGEST_TEXT:
        raise ValueError(f"a text is longer than {_LONGEST_TEXT} bytes")
    if isinstance(patch, list):
        for one in patch:
            _check(one, depth + 1)
    if isinstance(patch, dict):
        for name, value in patch.items():
            if not name or any(character in name for character in ".$#") or any(ord(one) <= 0x20 for one in name):  # noqa: PLR2004 - control characters and space
                raise ValueError(f"{name!r} is no name of a property: . $ # and spaces are not allowed")
            _check(value, depth + 1)
