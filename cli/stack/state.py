"""A stack's state as Pulumi exports it: its resources, and the secrets among their values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def resources(exported: Mapping[str, Any] | None, *types: str, with_replaced: bool = False) -> list[dict[str, Any]]:
    """Return resources of a state.

    Args:
        exported: As `Pulumi.state` returns it.
        types: Only of these types; by default of any.
        with_replaced: Also what is still to be deleted. It has a successor of the same name.
    """
    found = ((exported or {}).get("deployment") or {}).get("resources") or []
    return [
        one
        for one in found
        if (with_replaced or not one.get("delete")) and (not types or str(one.get("type")) in types)
    ]


def plain_secret(value: Any) -> str | None:
    """Return a value's text; None where it is none, or where it was not decrypted.

    Args:
        value: As it is in a state, exported with its secrets: there a secret is JSON in JSON.
    """
    if isinstance(value, dict):
        try:
            value = json.loads(value["plaintext"])
        except (TypeError, KeyError, ValueError):
            return None
    return value if isinstance(value, str) else None
