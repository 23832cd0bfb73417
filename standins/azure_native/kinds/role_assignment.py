"""Role assignments: who may do what, where; container groups ask them before they pull."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from standins.azure_native.arm import ArmError
from standins.azure_native.kinds.kind import Kind
from standins.azure_native.store import listed

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from standins.azure_native.store import Record

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# AcrPull, AcrPush, Contributor, Owner.
MAY_PULL = frozenset(
    {
        "7f951dda-4ed3-4680-a7ca-43fe172d538d",
        "8311e382-0749-4cb8-b61a-304f252e45ec",
        "b24988ac-6180-42a0-ab88-20f7382dd24c",
        "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    }
)
# Reader, Contributor, Owner.
MAY_READ = frozenset(
    {
        "acdd72a7-3385-48ef-bd42-f606fba81ae7",
        "b24988ac-6180-42a0-ab88-20f7382dd24c",
        "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    }
)
# Storage Blob Data Owner, Contributor; Reader. Roles on the account itself, Owner's too, are none on its data.
MAY_WRITE_BLOBS = frozenset({"b7e6dc6d-f1e8-4753-8033-0f276bb0955b", "ba92f5b4-2d11-453d-a403-e96b0029c9fe"})
MAY_READ_BLOBS = MAY_WRITE_BLOBS | {"2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"}


class RoleAssignment(Kind):
    """One role of one principal at one scope."""

    force_new = frozenset({"principalId"})

    def check(self, inputs: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Check the ids."""
        yield from super().check(inputs)
        principal, role, scope = (inputs.get(name) for name in ("principalId", "roleDefinitionId", "scope"))
        if isinstance(principal, str) and not _UUID.fullmatch(principal):
            yield "principalId", f"{principal!r} is no object id: it has to be a UUID"
        if isinstance(role, str) and not re.search(r"/roleDefinitions/[0-9a-f-]{36}$", role, re.IGNORECASE):
            yield (
                "roleDefinitionId",
                f"{role!r} is no id of a role: .../providers/Microsoft.Authorization/roleDefinitions/UUID",
            )
        if isinstance(scope, str) and not scope.lower().startswith(("/subscriptions/", "/providers/")):
            yield "scope", f"{scope!r} is no scope: it is the id of a subscription, group or resource"

    def refuse_create(self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any]) -> None:
        """Refuse a second one that says the same."""
        for other in listed(db, self.token):
            if other.id.lower() != resource.lower() and _said(other.body) == _said(inputs):
                raise ArmError(
                    409,
                    "RoleAssignmentExists",
                    f"The role assignment already exists. Its ID is {other.name.replace('-', '')}.",
                )

    def refuse_update(self, db: sqlite3.Connection, old: Record, inputs: dict[str, Any]) -> None:
        """Allow no other role."""
        del db
        if _said(old.body) != _said(inputs):
            raise ArmError(
                400,
                "RoleAssignmentUpdateNotPermitted",
                "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
            )


def _said(values: dict[str, Any]) -> tuple[str, str, str]:
    role = str(values["roleDefinitionId"]).rpartition("/")[2]
    return str(values["scope"]).rstrip("/").lower(), str(values["principalId"]).lower(), role.lower()


def may_pull(assignments: list[Record], principal: str, registry: str) -> bool:
    """Tell whether a principal may pull from a registry.

    Args:
        assignments: All that there are.
        principal: Its object id.
        registry: The registry's id.

    Returns:
        Whether one of them allows it, at the registry or above.
    """
    return has_role(assignments, principal, MAY_PULL, registry)


def has_role(assignments: list[Record], principal: str, roles: frozenset[str], on: str) -> bool:
    """Tell whether a principal has one of some roles.

    Args:
        assignments: All that there are.
        principal: Its object id.
        roles: The roles' ids.
        on: The id of what it is to have it on.

    Returns:
        Whether it has, there or above.
    """
    said = [_said(one.body) for one in assignments]
    return any(
        who == principal.lower() and role in roles and f"{on.lower()}/".startswith(f"{scope}/")
        for scope, who, role in said
    )
