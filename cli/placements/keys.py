"""The keys that callers of a model show: read from the stack's state when a command needs them, and kept nowhere."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cli.errors import CliError
from cli.stack.state import plain_secret, resources

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cli.placements.placement import Placement
    from cli.stack.pulumi import Pulumi

AUTH = "key"
_TYPE = "slipway:index:AccessKeys"


@dataclass(frozen=True)
class KeyPair:
    """The keys of one model on one target.

    Attributes:
        primary: The one that callers use.
        secondary: The one that they use while the primary is replaced.
    """

    primary: str = field(repr=False)
    secondary: str = field(repr=False)


class Keys:
    """The keys of a stack's models. The state is read when the first one is asked for, and only then."""

    def __init__(self, pulumi: Pulumi) -> None:
        """Take the stack; nothing is read yet."""
        self._pulumi = pulumi
        self._lock = threading.Lock()
        self._found: dict[str, KeyPair] | CliError | None = None

    def pair(self, placement: Placement) -> KeyPair | None:
        """Return both keys of a model on a target; None where it has none.

        Raises:
            CliError: The state cannot be read, or not be decrypted.
        """
        if placement.auth != AUTH:
            return None
        with self._lock:
            if self._found is None:
                try:
                    self._found = _pairs(self._pulumi.state(show_secrets=True))
                except CliError as error:
                    self._found = error
        if isinstance(self._found, CliError):
            raise self._found
        return self._found.get(f"{placement.model}-{placement.target}")

    def of(self, placement: Placement) -> str | None:
        """Return the key to show to a model; None where it wants none, or has none.

        Raises:
            CliError: As `pair`.
        """
        pair = self.pair(placement)
        return pair.primary if pair else None

    def by_endpoint(self, placements: Iterable[Placement]) -> dict[str, str]:
        """Return the keys to show, by endpoint.

        Raises:
            CliError: As `pair`.
        """
        return {one.endpoint: key for one in placements if one.endpoint and (key := self.of(one))}


def _pairs(state: dict[str, Any] | None) -> dict[str, KeyPair]:
    """The keys in a state, by the resource's name."""
    found = {}
    for one in resources(state, _TYPE):
        outputs = one.get("outputs") or {}
        primary, secondary = plain_secret(outputs.get("primary")), plain_secret(outputs.get("secondary"))
        if primary and secondary:
            found[str(one["urn"]).rpartition("::")[2]] = KeyPair(primary, secondary)
    return found
