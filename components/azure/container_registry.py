"""The container registry: images come by identity only; nobody has a password."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_azure_native import containerregistry

from components.azure import names
from manifest.azure import RegistrySettings

if TYPE_CHECKING:
    from components.azure.scope import Scope

_UNTAGGED_DAYS = 30


def container_registry(scope: Scope) -> containerregistry.Registry:
    """Create the registry, or attach the one that is configured."""
    settings = scope.settings.registry or RegistrySettings()
    if settings.id:
        return containerregistry.Registry.get("registry", settings.id, opts=pulumi.ResourceOptions(parent=scope.parent))
    premium = settings.sku == "Premium"
    return containerregistry.Registry(
        "registry",
        resource_group_name=scope.group,
        registry_name=scope.names.of(names.REGISTRY),
        location=scope.settings.location,
        sku=containerregistry.SkuArgs(name=settings.sku),
        admin_user_enabled=False,
        anonymous_pull_enabled=False,
        network_rule_bypass_options=containerregistry.NetworkRuleBypassOptions.AZURE_SERVICES,
        public_network_access=containerregistry.PublicNetworkAccess.ENABLED,
        policies=containerregistry.PoliciesArgs(
            retention_policy=containerregistry.RetentionPolicyArgs(
                days=_UNTAGGED_DAYS, status=containerregistry.PolicyStatus.ENABLED
            )
        )
        if premium
        else None,
        tags=scope.tags,
        opts=scope.options(protect=True),
    )
