"""Log Analytics and Application Insights: typed state, nothing arrives there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from standins.azure_native.arm import ArmError
from standins.azure_native.kinds.kind import Kind, made_up
from standins.azure_native.store import fetch

if TYPE_CHECKING:
    import sqlite3

    from standins.azure_native.store import Record


class LogWorkspace(Kind):
    """A Log Analytics workspace."""

    def compute(
        self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any], old: Record | None
    ) -> dict[str, Any]:
        """Give it the id that agents know it by."""
        return {**super().compute(db, resource, inputs, old), "customerId": made_up("customer", resource)}


class Component(Kind):
    """An Application Insights component, in a workspace."""

    force_new = frozenset({"kind"})

    def compute(
        self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any], old: Record | None
    ) -> dict[str, Any]:
        """Give it what applications send to; the address is one that answers nobody."""
        workspace = inputs.get("workspaceResourceId")
        if inputs.get("ingestionMode", "LogAnalytics") == "LogAnalytics" and not workspace:
            raise ArmError(400, "BadRequest", "workspaceResourceId is required: classic components were retired.")
        if workspace and fetch(db, workspace) is None:
            raise ArmError(404, "ResourceNotFound", f"The workspace '{workspace}' was not found.")
        key = made_up("instrumentation", resource)
        return {
            **super().compute(db, resource, inputs, old),
            "appId": made_up("application", resource),
            "applicationId": resource.rpartition("/")[2],
            "instrumentationKey": key,
            "connectionString": f"InstrumentationKey={key};IngestionEndpoint=https://ingestion.example.invalid/",
            "tenantId": made_up("tenant", "insights"),
        }
