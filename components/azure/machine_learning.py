"""The Key Vault and the Machine Learning workspace, which needs one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_azure_native import keyvault, machinelearningservices

from components.azure import names
from components.azure.scope import group_in, name_in

if TYPE_CHECKING:
    from components.azure.scope import Scope

_UNDELETE_DAYS = 90


@dataclass(frozen=True)
class Vault:
    """A Key Vault.

    Attributes:
        id: Its Azure id.
        url: Its address.
    """

    id: pulumi.Output[str]
    url: pulumi.Output[str]


def vault(scope: Scope) -> Vault:
    """Create the vault, or attach the one that is configured."""
    settings = scope.settings.key_vault
    if settings.id:
        url = f"https://{name_in(settings.id).lower()}.vault.azure.net/"
        return Vault(pulumi.Output.from_input(settings.id), pulumi.Output.from_input(url))
    made = keyvault.Vault(
        "vault",
        resource_group_name=scope.group,
        vault_name=scope.names.of(names.VAULT),
        location=scope.settings.location,
        properties=keyvault.VaultPropertiesArgs(
            tenant_id=scope.tenant,
            sku=keyvault.SkuArgs(family=keyvault.SkuFamily.A, name=keyvault.SkuName.STANDARD),
            enable_rbac_authorization=True,
            # Azure takes only true: false is how it is without.
            enable_purge_protection=True if settings.purge_protection else None,
            soft_delete_retention_in_days=_UNDELETE_DAYS,
            public_network_access="Enabled",
        ),
        tags=scope.tags,
        opts=scope.options(protect=True),
    )
    return Vault(made.id, made.properties.apply(lambda found: found.vault_uri or ""))


@dataclass(frozen=True)
class Workspace:
    """A Machine Learning workspace.

    Attributes:
        id: Its Azure id.
        subscription: The id of the subscription that it is in.
        group: The resource group that it is in.
        name: Its name.
        principal: Who it is itself; None where it is attached, and its rights are its owner's matter.
    """

    id: pulumi.Output[str]
    subscription: str
    group: pulumi.Input[str]
    name: pulumi.Input[str]
    principal: pulumi.Output[str] | None = None


def attached(resource: str) -> Workspace:
    """Take a workspace by its id."""
    subscription = resource.split("/")[2]
    return Workspace(pulumi.Output.from_input(resource), subscription, group_in(resource), name_in(resource))


def workspace(
    scope: Scope,
    *,
    storage: pulumi.Input[str],
    key_vault: pulumi.Input[str],
    registry: pulumi.Input[str] | None,
    insights: pulumi.Input[str],
) -> Workspace:
    """Create the workspace over what the stack has, each given by its id."""
    made = machinelearningservices.Workspace(
        "machine-learning",
        resource_group_name=scope.group,
        workspace_name=scope.names.of(names.MACHINE_LEARNING),
        location=scope.settings.location,
        kind="Default",
        sku=machinelearningservices.SkuArgs(name="Basic", tier=machinelearningservices.SkuTier.BASIC),
        identity=machinelearningservices.ManagedServiceIdentityArgs(
            type=machinelearningservices.ManagedServiceIdentityType.SYSTEM_ASSIGNED
        ),
        storage_account=storage,
        key_vault=key_vault,
        container_registry=registry,
        application_insights=insights,
        system_datastores_auth_mode=machinelearningservices.SystemDatastoresAuthMode.IDENTITY,
        public_network_access=machinelearningservices.PublicNetworkAccessType.ENABLED,
        v1_legacy_mode=False,
        tags=scope.tags,
        opts=scope.options(protect=True),
    )
    principal = made.identity.apply(lambda found: (found.principal_id if found else None) or "")
    return Workspace(made.id, scope.subscription, scope.group, made.name, principal)
