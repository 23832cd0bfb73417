"""Resource groups, identities, vaults and the Machine Learning workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from standins.azure_native.arm import ArmError
from standins.azure_native.kinds.kind import TENANT, Kind, made_up
from standins.azure_native.store import fetch

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from standins.azure_native.store import Record


class ResourceGroup(Kind):
    """A resource group; with it goes all that is in it."""

    quota = 980
    quota_code = "ResourceGroupQuotaExceeded"

    def compute(
        self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any], old: Record | None
    ) -> dict[str, Any]:
        """Say its state where its outputs have it."""
        return {**super().compute(db, resource, inputs, old), "properties": {"provisioningState": "Succeeded"}}


class Identity(Kind):
    """A user-assigned identity."""

    def compute(
        self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any], old: Record | None
    ) -> dict[str, Any]:
        """Give it its ids."""
        del db, inputs, old
        return {
            "principalId": made_up("principal", resource),
            "clientId": made_up("client", resource),
            "tenantId": TENANT,
        }


class Vault(Kind):
    """A key vault; a deleted one keeps its name until it is purged or recovered."""

    global_name = "vault"
    taken_code = "VaultAlreadyExists"

    def check(self, inputs: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Check what Azure asks of its properties."""
        yield from super().check(inputs)
        properties = inputs.get("properties")
        if not isinstance(properties, dict):
            return
        days = properties.get("softDeleteRetentionInDays")
        if isinstance(days, int) and not 7 <= days <= 90:  # noqa: PLR2004 - Azure's limits
            yield "properties.softDeleteRetentionInDays", f"{days} days; Azure allows 7 to 90"
        if properties.get("enablePurgeProtection") is False:
            yield "properties.enablePurgeProtection", "is true or left out: Azure refuses false"

    def refuse_create(self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any]) -> None:
        """Refuse the name of a deleted one."""
        name = resource.rpartition("/")[2].lower()
        kept = db.execute("SELECT key FROM deleted WHERE token = ? AND name = ?", (self.token, name)).fetchone()
        recover = inputs["properties"].get("createMode") == "recover"
        if kept and (not recover or kept[0] != resource.lower()):
            raise ArmError(
                409,
                "ConflictError",
                f"A vault with the same name {name} already exists in deleted state. You need to either recover or "
                "purge existing key vault.",
            )
        db.execute("DELETE FROM deleted WHERE key = ?", (resource.lower(),))

    def compute(
        self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any], old: Record | None
    ) -> dict[str, Any]:
        """Give it its address, which nothing answers at."""
        del db, old
        uri = f"https://{resource.rpartition('/')[2].lower()}.vault.azure.net/"
        return {"properties": {**inputs["properties"], "vaultUri": uri, "provisioningState": "Succeeded"}}

    def removed(self, db: sqlite3.Connection, record: Record) -> None:
        """Keep its name."""
        db.execute(
            "INSERT OR REPLACE INTO deleted VALUES (?, ?, ?)", (record.id.lower(), self.token, record.name.lower())
        )


class MlWorkspace(Kind):
    """A Machine Learning workspace: it needs the other parts of the platform."""

    def refuse_create(self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any]) -> None:
        """Ask for its parts."""
        del resource
        for name in ("storageAccount", "keyVault", "containerRegistry", "applicationInsights"):
            part = inputs.get(name)
            if part and fetch(db, part) is None:
                raise ArmError(400, "ValidationError", f"{name} '{part}' could not be found.")
        if inputs.get("kind", "Default") == "Default" and not (inputs.get("storageAccount") and inputs.get("keyVault")):
            raise ArmError(400, "ValidationError", "A workspace needs storageAccount and keyVault.")

    def compute(
        self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any], old: Record | None
    ) -> dict[str, Any]:
        """Give it its ids."""
        return {
            **super().compute(db, resource, inputs, old),
            "workspaceId": made_up("workspace", resource),
            "tenantId": TENANT,
        }
