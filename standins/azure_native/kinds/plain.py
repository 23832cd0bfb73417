"""Types that are typed state here, with the few rules that their names and changes have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from standins.azure_native.arm import ArmError
from standins.azure_native.kinds.kind import Kind

if TYPE_CHECKING:
    import sqlite3

    from standins.azure_native.store import Record


class MlEndpoint(Kind):
    """An endpoint of Azure Machine Learning: nothing answers there."""

    def compute(
        self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any], old: Record | None
    ) -> dict[str, Any]:
        """Give it its address."""
        name, location = resource.rpartition("/")[2], inputs.get("location", "westeurope")
        shown = {
            "provisioningState": "Succeeded",
            "scoringUri": f"https://{name}.{location}.inference.ml.azure.com/score",
            "swaggerUri": f"https://{name}.{location}.inference.ml.azure.com/swagger.json",
        }
        return {**super().compute(db, resource, inputs, old), "properties": {**inputs["properties"], **shown}}


class ModelVersion(Kind):
    """A registered version of a model: its bytes cannot be changed."""

    def refuse_update(self, db: sqlite3.Connection, old: Record, inputs: dict[str, Any]) -> None:
        """Allow no other address or type of model."""
        del db
        for name in ("modelUri", "modelType"):
            if old.body["properties"].get(name) != inputs["properties"].get(name):
                raise ArmError(
                    400, "UserError", f"A model version is immutable: {name} of {old.name} cannot be changed."
                )
