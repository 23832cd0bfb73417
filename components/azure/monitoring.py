"""Log Analytics, which takes containers' logs, and Application Insights, which takes traces into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_azure_native import applicationinsights, operationalinsights

from components.azure import names
from components.azure.scope import group_in, name_in

if TYPE_CHECKING:
    from components.azure.scope import Scope


@dataclass(frozen=True)
class Logs:
    """A Log Analytics workspace.

    Attributes:
        id: Its Azure id.
        customer_id: What those that send logs call it.
        key: What they send them with; a secret.
    """

    id: pulumi.Output[str]
    customer_id: pulumi.Output[str]
    key: pulumi.Output[str]


def logs(scope: Scope) -> Logs:
    """Create the workspace, or attach the one that is configured."""
    settings = scope.settings.logs
    if settings.id:
        there = operationalinsights.Workspace.get("logs", settings.id, opts=pulumi.ResourceOptions(parent=scope.parent))
        return _with_key(there, group_in(settings.id), name_in(settings.id))
    workspace = operationalinsights.Workspace(
        "logs",
        resource_group_name=scope.group,
        workspace_name=scope.names.of(names.LOGS),
        location=scope.settings.location,
        sku=operationalinsights.WorkspaceSkuArgs(name=operationalinsights.WorkspaceSkuNameEnum.PER_GB2018),
        retention_in_days=settings.retention_days,
        workspace_capping=operationalinsights.WorkspaceCappingArgs(daily_quota_gb=settings.daily_gb),
        tags=scope.tags,
        opts=scope.options(protect=True),
    )
    return _with_key(workspace, scope.group, workspace.name)


def _with_key(workspace: operationalinsights.Workspace, group: pulumi.Input[str], name: pulumi.Input[str]) -> Logs:
    keys = operationalinsights.get_shared_keys_output(
        resource_group_name=group,
        workspace_name=name,
        # Asked for once the workspace is there.
        opts=pulumi.InvokeOutputOptions(depends_on=[workspace]),
    )
    # The provider does not mark it.
    key: pulumi.Output[str] = pulumi.Output.secret(keys.apply(lambda found: found.primary_shared_key or ""))
    return Logs(workspace.id, workspace.customer_id, key)


def insights(scope: Scope, logs_id: pulumi.Input[str]) -> applicationinsights.Component:
    """Create Application Insights, whose data is in the workspace."""
    return applicationinsights.Component(
        "insights",
        resource_group_name=scope.group,
        resource_name_=scope.names.of(names.INSIGHTS),
        location=scope.settings.location,
        kind="web",
        application_type=applicationinsights.ApplicationType.WEB,
        ingestion_mode=applicationinsights.IngestionMode.LOG_ANALYTICS,
        workspace_resource_id=logs_id,
        tags=scope.tags,
        opts=scope.options(),
    )
