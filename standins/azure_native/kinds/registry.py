"""Container registries: all of them are the local registry."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from standins.azure_native.kinds.kind import Kind

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from standins.azure_native.store import Record

_DEFAULT_PORT = "5050"


def login_server() -> str:
    """Name the local registry, as images' names begin."""
    return f"localhost:{os.environ.get('SLIPWAY_REGISTRY_PORT') or _DEFAULT_PORT}"


class Registry(Kind):
    """A container registry. Its loginServer is the local registry, so that a push really arrives."""

    global_name = "registry"
    taken_code = "AlreadyInUse"

    def taken_message(self, name: str) -> str:
        """Say it as Azure does."""
        return (
            f"The registry DNS name {name}.azurecr.io is already in use. You can check if the name is already claimed."
        )

    def check(self, inputs: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Check what only a Premium registry has."""
        yield from super().check(inputs)
        sku = inputs.get("sku")
        if not isinstance(sku, dict) or sku.get("name") not in {"Basic", "Standard"}:
            return
        for name, asked in (
            ("zoneRedundancy", "Enabled"),
            ("dataEndpointEnabled", True),
            ("publicNetworkAccess", "Disabled"),
        ):
            if inputs.get(name) == asked:
                yield name, f"{asked} needs the sku Premium"
        if (inputs.get("policies") or {}).get("retentionPolicy", {}).get("status") == "enabled":
            yield "policies.retentionPolicy", "needs the sku Premium"

    def compute(
        self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any], old: Record | None
    ) -> dict[str, Any]:
        """Give it its address."""
        sku = inputs["sku"]["name"]
        return {
            **super().compute(db, resource, inputs, old),
            "loginServer": login_server(),
            "sku": {"name": sku, "tier": sku},
            "dataEndpointHostNames": [],
        }
