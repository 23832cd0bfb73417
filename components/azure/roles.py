"""Identities and their role assignments: the least that each needs, on the one resource that it needs it for."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi
from pulumi_azure_native import authorization, managedidentity

if TYPE_CHECKING:
    from components.azure.scope import Scope

# Azure's built-in roles, which have the same ids everywhere.
ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
BLOB_DATA_CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
BLOB_DATA_READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
BATCH_JOB_SUBMITTER = "48e5e92e-a480-4e71-aa9c-2778f4c13781"


@dataclass(frozen=True)
class Identity:
    """A managed identity and what it may do.

    Attributes:
        id: Its Azure id.
        client_id: What programs that run as it call it.
        roles: What has to be there before it can do what it is for.
    """

    id: pulumi.Output[str]
    client_id: pulumi.Output[str]
    roles: list[pulumi.Resource] = field(default_factory=list)


def granted(
    scope: Scope, name: str, identity: managedidentity.UserAssignedIdentity, *, role: str, on: pulumi.Input[str]
) -> Identity:
    """Give an identity a role, as `grant` does, and return it with that."""
    may = grant(scope, name, role=role, on=on, to=identity.principal_id)
    return Identity(identity.id, identity.client_id, [may] if may else [])


def grant(
    scope: Scope, name: str, *, role: str, on: pulumi.Input[str], to: pulumi.Input[str]
) -> authorization.RoleAssignment | None:
    """Give an identity a role; None where somebody else does.

    Args:
        scope: Of the stack.
        name: The resource's name in the program.
        role: The role's id.
        on: The id of the resource that it holds for.
        to: The identity's principal.
    """
    if not scope.settings.assign_roles:
        return None
    # The same assignment has the same name: one that is there already is found, not made twice.
    unique = pulumi.Output.all(on, to).apply(
        lambda known: str(uuid.uuid5(uuid.NAMESPACE_URL, f"{known[0]}|{known[1]}|{role}".lower()))
    )
    return authorization.RoleAssignment(
        name,
        scope=on,
        principal_id=to,
        principal_type=authorization.PrincipalType.SERVICE_PRINCIPAL,
        role_assignment_name=unique,
        role_definition_id=f"/subscriptions/{scope.subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}",
        # The name holds what it is made from, so the two never meet; without a gap in between, nothing fails.
        opts=pulumi.ResourceOptions.merge(scope.options(), pulumi.ResourceOptions(delete_before_replace=False)),
    )
