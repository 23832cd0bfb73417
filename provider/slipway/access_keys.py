"""AccessKeys: two random keys of a service, one of which is replaced while callers use the other.

Inputs: `rotate`, a counter. Adding 1 to it replaces one key: the secondary when it becomes odd, the primary when it
becomes even. Outputs: also `primary` and `secondary`, always secret.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from provider.resource import Diff, Failure, Resource, State, changes
from provider.values import UNKNOWN, Secret, has_unknown

if TYPE_CHECKING:
    from provider.resource import Call

_BYTES = 32
_KEYS = ("primary", "secondary")


class AccessKeys(Resource):
    """Two keys of 64 hexadecimal digits. They are nowhere but in the state, where they are encrypted."""

    def check(
        self, call: Call, old: dict[str, Any] | None, new: dict[str, Any]
    ) -> tuple[dict[str, Any], list[Failure]]:
        """Refuse a counter that goes back, or on by more than 1: both keys would be others at once."""
        del call
        given = new.get("rotate", 0)
        before = old["rotate"] if old else given
        new = {**new, "rotate": given}
        if has_unknown(given) or given in (before, before + 1):
            return new, []
        reason = f"is {before}; set it to {before + 1} to replace the {_replaced(before + 1)} key, not to {given}"
        return new, [Failure("rotate", reason)]

    def diff(self, call: Call, old: State, new: dict[str, Any]) -> Diff:
        """Compare the counters."""
        del call
        return Diff(changes(old.inputs, new, replaces=lambda _: False))

    def preview(self, call: Call, inputs: dict[str, Any], old: State | None) -> dict[str, Any]:
        """Know the key that stays."""
        del call
        if old is None:
            return {**inputs, **dict.fromkeys(_KEYS, UNKNOWN)}
        return {**inputs, **_kept(old), _replaced(inputs["rotate"]): UNKNOWN}

    def create(self, call: Call, inputs: dict[str, Any]) -> State:
        """Make both keys."""
        # The URN: the keys are this stack's own, and nowhere else is there anything to name.
        return State(call.urn, inputs, {**inputs, **{name: _key() for name in _KEYS}})

    def read(self, call: Call, state: State) -> State | None:
        """Tell what the state has: there is nothing else to look at."""
        del call
        return State(state.id, state.inputs, {**state.outputs, **_kept(state)}) if state.outputs else None

    def update(self, call: Call, old: State, new: dict[str, Any]) -> dict[str, Any]:
        """Replace the key whose turn it is."""
        del call
        return {**new, **_kept(old), _replaced(new["rotate"]): _key()}

    def delete(self, call: Call, state: State) -> None:
        """Forget them, which the engine does."""
        del call, state


def _replaced(count: int) -> str:
    return "secondary" if count % 2 else "primary"


def _key() -> Secret:
    return Secret(secrets.token_hex(_BYTES))


def _kept(state: State) -> dict[str, Secret]:
    return {name: Secret(state.outputs[name]) for name in _KEYS}
