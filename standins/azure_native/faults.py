"""Failures on demand and other settings: settings.json in the store's folder, or SLIPWAY_AZURE_SETTINGS.

    {"faults": [{"do": "throttle" | "conflict" | "quota" | "timeout" | "fail",
                 "type": "containerinstance:ContainerGroup", "name": "scoring-*",
                 "on": "create" | "update" | "read" | "delete", "times": 1, "after": 0}],
     "quotas": {"containerinstance:ContainerGroup": 100}, "taken": ["anacrname"], "latency": 0}

`throttle`, `conflict` and `quota` refuse before anything is done. `timeout` and `fail` come after Azure has taken the
request: the resource is there, still being made or failed.
"""

from __future__ import annotations

import fnmatch
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provider.resource import ProviderError

if TYPE_CHECKING:
    from standins.azure_native.store import Store

KINDS = ("throttle", "conflict", "quota", "timeout", "fail")
_OPERATIONS = ("create", "update", "read", "delete")
_KEYS = {"faults", "quotas", "taken", "latency"}
_FAULT_KEYS = {"do", "type", "name", "on", "times", "after"}


def settings(store: Store) -> dict[str, Any]:
    """Read the settings.

    Args:
        store: Where the file may lie.

    Returns:
        Those that were given.

    Raises:
        ProviderError: They cannot be read, or say what there is not.
    """
    given = os.environ.get("SLIPWAY_AZURE_SETTINGS", "")
    where = "SLIPWAY_AZURE_SETTINGS"
    try:
        if not given.lstrip().startswith("{"):
            path = Path(given).expanduser() if given else store.folder / "settings.json"
            where, given = str(path), path.read_text(encoding="utf-8") if path.is_file() else "{}"
        values: dict[str, Any] = json.loads(given)
        _checked(values)
    except (OSError, ValueError, TypeError) as error:
        raise ProviderError(f"{where}: the stand-in's settings cannot be read: {error}") from error
    return values


def _checked(values: dict[str, Any]) -> None:
    if unknown := values.keys() - _KEYS:
        raise ValueError(f"there is no setting {', '.join(sorted(unknown))}; there are {', '.join(sorted(_KEYS))}")
    for fault in values.get("faults", ()):
        if unknown := fault.keys() - _FAULT_KEYS:
            raise ValueError(f"a fault has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(_FAULT_KEYS))}")
        if fault.get("do") not in KINDS:
            raise ValueError(f"`do` is one of {', '.join(KINDS)}; it is {fault.get('do')!r}")
        if fault.get("on", "create") not in _OPERATIONS:
            raise ValueError(f"`on` is one of {', '.join(_OPERATIONS)}; it is {fault['on']!r}")


def struck(store: Store, kinds: tuple[str, ...], token: str, name: str, operation: str) -> str | None:
    """Tell whether a failure was asked for here, and count it.

    Args:
        store: Where the count is kept, over all processes.
        kinds: The failures that can happen at this point.
        token: The resource's type.
        name: Its name.
        operation: create, update, read or delete.

    Returns:
        The failure, or None.
    """
    for index, fault in enumerate(settings(store).get("faults", ())):
        fits = (
            fault["do"] in kinds
            and fault.get("type", token) == token
            and fnmatch.fnmatchcase(name, fault.get("name", "*"))
            and fault.get("on", "create") == operation
        )
        if not fits:
            continue
        key = f"{index}:{json.dumps(fault, sort_keys=True)}"
        with store.transaction() as db:
            db.execute("INSERT OR IGNORE INTO faults VALUES (?, 0)", (key,))
            seen = db.execute("SELECT seen FROM faults WHERE fault = ?", (key,)).fetchone()[0]
            db.execute("UPDATE faults SET seen = seen + 1 WHERE fault = ?", (key,))
        after = int(fault.get("after", 0))
        if after <= seen < after + int(fault.get("times", 1)):
            return str(fault["do"])
    return None
