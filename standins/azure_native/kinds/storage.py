"""Storage: all accounts are served by one Azurite on this machine, where that can be had."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from standins.azure_native.arm import ArmError
from standins.azure_native.kinds.kind import Kind
from standins.azure_native.store import fetch

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from provider.resource import Call
    from standins.azure_native.store import Record, Store


def account_key(store: Store, account: str, name: str = "key1") -> str:
    """Make an account's key: it is not stored, and the same each time.

    Args:
        store: Whose mark goes into it: another store's keys are others.
        account: The account's id.
        name: key1 or key2.

    Returns:
        64 bytes in base64, as Azure's are.
    """
    text = f"{store.mark}|{account.lower()}|{name}"
    return base64.b64encode(hashlib.sha512(text.encode()).digest()).decode()


class StorageAccount(Kind):
    """A storage account."""

    force_new = frozenset({"isHnsEnabled"})
    global_name = "storage"
    taken_code = "StorageAccountAlreadyTaken"
    quota = 250
    quota_code = "SubscriptionMaxAccountsReached"
    runs = True

    def taken_message(self, name: str) -> str:
        """Say it as Azure does."""
        return f"The storage account named {name} is already taken."

    def refuse_update(self, db: sqlite3.Connection, old: Record, inputs: dict[str, Any]) -> None:
        """Allow only the changes of redundancy that Azure makes in place."""
        del db
        before, after = old.body["sku"]["name"].split("_"), inputs["sku"]["name"].split("_")
        if before[0] != after[0]:
            raise ArmError(
                409,
                "StorageAccountTypeChangeNotAllowed",
                f"Storage account {old.name} cannot change from {before[0]} to {after[0]}.",
            )

    def compute(
        self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any], old: Record | None
    ) -> dict[str, Any]:
        """Give it its tier; its addresses come when it runs."""
        sku = inputs["sku"]["name"]
        return {
            **super().compute(db, resource, inputs, old),
            "sku": {"name": sku, "tier": sku.split("_")[0]},
            "primaryLocation": inputs["location"],
            "statusOfPrimary": "available",
        }

    def provision(self, call: Call, record: Record, inputs: dict[str, Any]) -> dict[str, Any]:
        """Have Azurite serve it."""
        del inputs
        from standins.azure_native import azurite  # noqa: PLC0415 - only accounts need it

        return {"primaryEndpoints": azurite.serve(call, self.store, record.name)}

    def remove(self, call: Call, record: Record) -> None:
        """Have Azurite serve it no longer."""
        from standins.azure_native import azurite  # noqa: PLC0415 - only accounts need it

        azurite.withdraw(call, self.store, record.name)


class BlobService(Kind):
    """An account's settings for blobs or files: they are there from the first."""

    exists_by_default = True


class BlobContainer(Kind):
    """A container for blobs."""

    runs = True

    def check(self, inputs: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Leave `$web` and the like alone."""
        if not str(inputs.get("containerName", "")).startswith("$"):
            yield from super().check(inputs)

    def refuse_create(self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any]) -> None:
        """Ask the account whether it may be public."""
        account = fetch(db, resource.partition("/blobServices/")[0])
        if account and inputs.get("publicAccess", "None") != "None" and not account.body.get("allowBlobPublicAccess"):
            raise ArmError(409, "PublicAccessNotPermitted", "Public access is not permitted on this storage account.")

    def refuse_update(self, db: sqlite3.Connection, old: Record, inputs: dict[str, Any]) -> None:
        """Ask again."""
        self.refuse_create(db, old.id, inputs)

    def compute(
        self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any], old: Record | None
    ) -> dict[str, Any]:
        """Say what it is from the first."""
        del db, resource, inputs
        return dict(old.computed) if old else {"hasImmutabilityPolicy": False, "hasLegalHold": False, "deleted": False}

    def provision(self, call: Call, record: Record, inputs: dict[str, Any]) -> dict[str, Any]:
        """Make it in Azurite."""
        del inputs
        from standins.azure_native import azurite  # noqa: PLC0415 - only accounts need it

        azurite.make_container(call, self.store, record.id)
        return {}

    def remove(self, call: Call, record: Record) -> None:
        """Remove it from Azurite, with its blobs."""
        from standins.azure_native import azurite  # noqa: PLC0415 - only accounts need it

        azurite.delete_container(call, self.store, record.id)
