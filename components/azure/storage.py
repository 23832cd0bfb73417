"""The storage account: tokens only, no keys; what is deleted or overwritten can be had back for two weeks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi
from pulumi_azure_native import storage

from components.azure import names
from components.azure.scope import group_in, name_in

if TYPE_CHECKING:
    from components.azure.scope import Scope

_UNDELETE_DAYS = 14
_COOL_AFTER_DAYS = 30


@dataclass
class Storage:
    """The account, and its containers by name.

    Attributes:
        scope: Of the stack.
        id: The account's id.
        name: The account's name.
        group: The resource group that it is in.
    """

    scope: Scope
    id: pulumi.Output[str]
    name: pulumi.Output[str]
    group: pulumi.Input[str]
    _containers: dict[str, storage.BlobContainer] = field(default_factory=dict)

    def container(self, name: str) -> storage.BlobContainer:
        """Create a container, once."""
        if name not in self._containers:
            self._containers[name] = storage.BlobContainer(
                f"storage-{name}",
                resource_group_name=self.group,
                account_name=self.name,
                container_name=name,
                public_access=storage.PublicAccess.NONE,
                opts=self.scope.options(protect=True),
            )
        return self._containers[name]


def storage_account(scope: Scope, collected: str | None) -> Storage:
    """Create the account with its rules, or attach the one that is configured, whose rules are its owner's.

    Args:
        scope: Of the stack.
        collected: The container with what is collected, which goes after a time.
    """
    settings = scope.settings.storage
    if settings.id:
        there = storage.StorageAccount.get("storage", settings.id, opts=pulumi.ResourceOptions(parent=scope.parent))
        return Storage(scope, there.id, pulumi.Output.from_input(name_in(settings.id)), group_in(settings.id))
    account = storage.StorageAccount(
        "storage",
        resource_group_name=scope.group,
        account_name=scope.names.of(names.STORAGE),
        location=scope.settings.location,
        kind=storage.Kind.STORAGE_V2,
        sku=storage.SkuArgs(name=settings.sku),
        allow_blob_public_access=False,
        allow_shared_key_access=False,
        allow_cross_tenant_replication=False,
        default_to_o_auth_authentication=True,
        enable_https_traffic_only=True,
        minimum_tls_version=storage.MinimumTlsVersion.TLS1_2,
        tags=scope.tags,
        opts=scope.options(protect=True),
    )
    days = storage.DeleteRetentionPolicyArgs(enabled=True, days=_UNDELETE_DAYS)
    storage.BlobServiceProperties(
        "storage-undelete",
        resource_group_name=scope.group,
        account_name=account.name,
        blob_services_name="default",
        is_versioning_enabled=True,
        delete_retention_policy=days,
        container_delete_retention_policy=days,
        opts=scope.options(),
    )
    if collected:
        storage.ManagementPolicy(
            "storage-lifecycle",
            resource_group_name=scope.group,
            account_name=account.name,
            management_policy_name="default",
            policy=storage.ManagementPolicySchemaArgs(rules=[_lifecycle(collected, settings.keep_days)]),
            opts=scope.options(),
        )
    return Storage(scope, account.id, account.name, scope.group)


def _lifecycle(container: str, keep_days: int) -> storage.ManagementPolicyRuleArgs:
    """What was collected becomes cheaper after a month, and goes when its time is over; so do replaced versions."""
    cool = storage.DateAfterModificationArgs(days_after_modification_greater_than=_COOL_AFTER_DAYS)
    return storage.ManagementPolicyRuleArgs(
        name="collected",
        type=storage.RuleType.LIFECYCLE,
        enabled=True,
        definition=storage.ManagementPolicyDefinitionArgs(
            filters=storage.ManagementPolicyFilterArgs(blob_types=["blockBlob"], prefix_match=[f"{container}/"]),
            actions=storage.ManagementPolicyActionArgs(
                base_blob=storage.ManagementPolicyBaseBlobArgs(
                    # One that is deleted sooner than it would become cool needs no such step.
                    tier_to_cool=cool if keep_days > _COOL_AFTER_DAYS else None,
                    delete=storage.DateAfterModificationArgs(days_after_modification_greater_than=keep_days),
                ),
                version=storage.ManagementPolicyVersionArgs(
                    delete=storage.DateAfterCreationArgs(days_after_creation_greater_than=_UNDELETE_DAYS)
                ),
            ),
        ),
    )
