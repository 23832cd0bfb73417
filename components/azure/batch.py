"""The Batch account: by identities only; nobody has a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_azure_native import batch

from components.azure import names
from components.azure.scope import group_in, name_in

if TYPE_CHECKING:
    from components.azure.machine_learning import Vault
    from components.azure.roles import Identity
    from components.azure.scope import Scope
    from components.azure.storage import Storage


@dataclass(frozen=True)
class BatchAccount:
    """A Batch account.

    Attributes:
        id: Its Azure id.
        name: Its name.
        group: The resource group that it is in.
        url: Where jobs are sent to.
    """

    id: pulumi.Output[str]
    name: pulumi.Input[str]
    group: pulumi.Input[str]
    url: pulumi.Output[str]


def batch_account(
    scope: Scope, *, storage: Storage, owner: Identity, worker: Identity, vault: Vault | None
) -> BatchAccount:
    """Create the account.

    Args:
        scope: Of the stack.
        storage: What Batch keeps its own files in.
        owner: The account's identity, which may write there.
        worker: The nodes' identity.
        vault: What Batch keeps its nodes' secrets in, where these are machines of the subscription.
    """
    account = batch.BatchAccount(
        "batch",
        resource_group_name=scope.group,
        # Azure changes the mode of no account, so each mode has one of its own.
        account_name=scope.names.of(names.BATCH_ACCOUNT, *(["spot"] if vault else [])),
        location=scope.settings.location,
        allowed_authentication_modes=[batch.AuthenticationMode.AAD],
        auto_storage=batch.AutoStorageBasePropertiesArgs(
            storage_account_id=storage.id,
            authentication_mode=batch.AutoStorageAuthenticationMode.BATCH_ACCOUNT_MANAGED_IDENTITY,
            node_identity_reference=batch.ComputeNodeIdentityReferenceArgs(resource_id=worker.id),
        ),
        identity=batch.BatchAccountIdentityArgs(
            type=batch.ResourceIdentityType.USER_ASSIGNED, user_assigned_identities=[owner.id]
        ),
        pool_allocation_mode=batch.PoolAllocationMode.USER_SUBSCRIPTION
        if vault
        else batch.PoolAllocationMode.BATCH_SERVICE,
        key_vault_reference=batch.KeyVaultReferenceArgs(id=vault.id, url=vault.url) if vault else None,
        public_network_access=batch.PublicNetworkAccessType.ENABLED,
        tags=scope.tags,
        opts=pulumi.ResourceOptions.merge(
            scope.options(), pulumi.ResourceOptions(depends_on=owner.roles, delete_before_replace=False)
        ),
    )
    return BatchAccount(account.id, account.name, scope.group, account.account_endpoint.apply(_url))


def attached(scope: Scope, arm_id: str) -> BatchAccount:
    """Take the account that is configured, which stays as it is."""
    there = batch.BatchAccount.get("batch", arm_id, opts=pulumi.ResourceOptions(parent=scope.parent))
    return BatchAccount(there.id, name_in(arm_id), group_in(arm_id), there.account_endpoint.apply(_url))


def _url(endpoint: str) -> str:
    """Azure gives a host; the stand-in, which is not at a host of its own, an address of this machine."""
    return endpoint if "://" in endpoint else f"https://{endpoint}"
