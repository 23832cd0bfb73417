"""A type of resource in Azure, as far as its types do not say it: the base, which is all that most of them need."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, ClassVar

from provider.values import UNKNOWN
from standins.azure_native.names import LOCATIONS, NAMES
from standins.azure_native.paths import PATHS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from provider.resource import Call
    from standins.azure_native.store import Record, Store

TENANT = "00000000-0000-0000-0000-00000000000a"
_NAMESPACE = uuid.UUID("5f0c1c0e-6f2e-4a4f-9d52-8f5d3d2f0a11")


def made_up(*parts: str) -> str:
    """Make the UUID that Azure would make: the same each time for the same parts."""
    return str(uuid.uuid5(_NAMESPACE, "|".join(parts).lower()))


class Kind:
    """One type of resource."""

    force_new: ClassVar[frozenset[str]] = frozenset()
    """Inputs, beside those of the id and the location, whose change the official plugin answers by a replacement."""
    write_only: ClassVar[tuple[str, ...]] = ()
    """Inputs that Azure never gives back, by path; "[]" stands for each item of a list."""
    global_name: ClassVar[str] = ""
    """What its name is unique in, over all of Azure: names of one such kind are never given twice."""
    taken_code: ClassVar[str] = "Conflict"
    quota: ClassVar[int | None] = None
    """How many there may be in a region."""
    quota_code: ClassVar[str] = "QuotaExceeded"
    runs: ClassVar[bool] = False
    """Whether something on this machine is made for it."""
    exists_by_default: ClassVar[bool] = False
    """Part of its parent: making it is changing it, deleting it puts nothing else in its place."""

    def __init__(self, token: str, store: Store) -> None:
        """Be a type.

        Args:
            token: Such as "storage:StorageAccount".
            store: What there is.
        """
        self.token = token
        self.store = store
        self.path = PATHS[token]

    # Checks of the inputs; unknown parts pass.

    def check(self, inputs: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Find what Azure would refuse although its type is right: the path, and why."""
        name, rule = inputs.get(self.path.name), NAMES.get(self.token)
        if isinstance(name, str) and rule and (refusal := rule.refusal(name)):
            yield self.path.name, refusal
        elif isinstance(name, str) and self.path.name != "scope" and "/" in name:
            yield self.path.name, f"{name!r} has a slash"
        location = inputs.get("location")
        if isinstance(location, str) and location.replace(" ", "").lower() not in LOCATIONS:
            yield "location", f"there is no region {location!r}"

    def prepare(self, call: Call, inputs: dict[str, Any]) -> None:
        """Refuse, before the request is taken, what takes long to find out."""

    # What Azure does with a request. All of it happens in one transaction.

    def stored(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Leave out what Azure never gives back, and what is only the plugin's."""
        body = {name: value for name, value in inputs.items() if not name.startswith("__")}
        for path in self.write_only:
            body = _without(body, path.replace("[]", ".[]").split("."))
        if isinstance(body.get("location"), str):
            body["location"] = body["location"].replace(" ", "").lower()
        return body

    def refuse_create(self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any]) -> None:
        """Raise what Azure would refuse to make."""

    def refuse_update(self, db: sqlite3.Connection, old: Record, inputs: dict[str, Any]) -> None:
        """Raise what Azure would refuse to change."""

    def global_names(self, resource: str, body: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Name what has to be unique: in what, and the name."""
        del body
        if self.global_name:
            yield self.global_name, resource.rpartition("/")[2]

    def taken_message(self, name: str) -> str:
        """Say that a name is taken."""
        return f"The name '{name}' is already taken: names of {self.path.arm_type} are unique in all of Azure."

    def compute(
        self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any], old: Record | None
    ) -> dict[str, Any]:
        """Give what Azure adds to what was asked for."""
        del db
        computed = dict(old.computed) if old else {}
        if inputs.get("identity"):
            computed["identity"] = self.identity(resource, inputs["identity"])
        return computed

    def identity(self, resource: str, given: dict[str, Any]) -> dict[str, Any]:
        """Give a resource its identities: a list of ids on the way in, a map of them on the way out."""
        found: dict[str, Any] = {name: value for name, value in given.items() if name != "userAssignedIdentities"}
        if "SystemAssigned" in str(given.get("type", "")):
            found |= {"principalId": made_up("principal", resource), "tenantId": TENANT}
        if given.get("userAssignedIdentities"):
            found["userAssignedIdentities"] = {
                one: {"clientId": made_up("client", one), "principalId": made_up("principal", one)}
                for one in given["userAssignedIdentities"]
            }
        return found

    def provision(self, call: Call, record: Record, inputs: dict[str, Any]) -> dict[str, Any]:
        """Make it work, outside the transaction; returns what Azure adds then."""
        del call, record, inputs
        return {}

    def observe(self, record: Record) -> Record | None:
        """Look at what was made for it; None when that is gone."""
        return record

    def remove(self, call: Call, record: Record) -> None:
        """Take away what was made for it; it may be gone already."""

    def removed(self, db: sqlite3.Connection, record: Record) -> None:
        """Keep what Azure keeps of a deleted one."""


def _without(value: Any, steps: list[str]) -> Any:
    if value is UNKNOWN or value is None:
        return value
    if steps[0] == "[]":
        return [_without(item, steps[1:]) for item in value]
    if not isinstance(value, dict) or steps[0] not in value:
        return value
    if len(steps) == 1:
        return {name: item for name, item in value.items() if name != steps[0]}
    return {**value, steps[0]: _without(value[steps[0]], steps[1:])}
