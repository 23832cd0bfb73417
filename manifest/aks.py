"""The stack's configuration `slipway:azure.aks`: the cluster that Azure runs, created or attached by its id."""

from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import Field, ValidationInfo, field_validator

from manifest.arm import arm_id, nothing_beside_id
from manifest.fields import AsTuple, Checked, matching, refusal
from manifest.problems import shown

_GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
Guid = Annotated[str, matching(_GUID, "an object's id: a GUID")]
VmSize = Annotated[str, matching(r"Standard_[A-Za-z0-9_-]{2,40}", 'a size as in "Standard_D4ds_v5"')]
PoolName = Annotated[
    str, matching("[a-z][a-z0-9]{0,11}", "1 to 12 lower-case letters and digits, beginning with a letter")
]
Range = Annotated[str, matching(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}/[0-9]{1,2}", 'a range as in "203.0.113.0/24"')]
_Zones = Annotated[tuple[Literal["1", "2", "3"], ...], AsTuple]


class _Nodes(Checked):
    """Nodes of one size, whose number follows what is asked for."""

    vm_size: VmSize = "Standard_D4ds_v5"
    min: Annotated[int, Ge(0), Le(1000)] = 1
    # Checked even where it is not given: `min` may be above it.
    max: Annotated[int, Ge(1), Le(1000)] = Field(default=5, validate_default=True)
    zones: _Zones = Field(default=("1", "2", "3"), description="Availability zones; [] where the region has none.")

    @field_validator("max", mode="after")
    @classmethod
    def _not_below_min(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("min", 0):
            raise refusal(f"must be at least `min`, {info.data['min']}, not {value}")
        return value


class SystemPool(_Nodes):
    """The nodes of the cluster's own parts; models run elsewhere."""

    min: Annotated[int, Ge(1), Le(1000)] = 3
    max: Annotated[int, Ge(1), Le(1000)] = Field(default=6, validate_default=True)


class Pool(_Nodes):
    """Nodes for models. Another `vmSize` is another pool: give it another name."""

    name: PoolName
    spot: bool = Field(default=False, description="At a lower price, and taken away at any time.")
    gpu: bool = Field(default=False, description="The size has NVIDIA processors: only models with `gpu` run there.")


class AksSettings(Checked):
    """The Kubernetes cluster."""

    version: Annotated[str, matching(r"1\.[0-9]{2}(?:\.[0-9]{1,2})?", 'a version as in "1.33"')] | None = Field(
        default=None, description="Kubernetes' version. Default: Azure's."
    )
    tier: Literal["Free", "Standard", "Premium"] = Field(default="Standard", description="Free has no SLA.")
    system: SystemPool = SystemPool()
    pools: Annotated[tuple[Pool, ...], AsTuple] = Field(
        default=(Pool(name="models"),), description="The nodes for models."
    )
    monitoring: bool = Field(default=True, description="Pods' logs go to Log Analytics.")
    authorized_ranges: Annotated[tuple[Range, ...], AsTuple] = Field(
        default=(), description="Who reaches the API server. Default: everybody, with an identity."
    )
    admin_groups: Annotated[tuple[Guid, ...], AsTuple] = Field(
        default=(), description="Entra groups that may do everything in the cluster."
    )
    login: Literal["azurecli", "workloadidentity", "spn"] = Field(
        default="azurecli", description="How kubelogin gets whoever deploys in."
    )
    id: Annotated[str, arm_id("Microsoft.ContainerService/managedClusters")] | None = Field(
        default=None, description="Attach this cluster instead of creating one."
    )

    @field_validator("pools", mode="after")
    @classmethod
    def _names_differ(cls, value: tuple[Pool, ...]) -> tuple[Pool, ...]:
        if not value:
            raise refusal("must have at least one pool: models do not run on the cluster's own nodes")
        names = [pool.name for pool in value]
        for index, name in enumerate(names):
            if name in names[:index] or name == "system":
                raise refusal(f'has {shown(name)} twice; the cluster\'s own nodes are the pool "system"')
        return value

    @field_validator("id", mode="after")
    @classmethod
    def _nothing_else_beside_an_id(cls, value: str | None, info: ValidationInfo) -> str | None:
        # How to log in is the deployer's matter, not the cluster's.
        return nothing_beside_id(cls, value, {key: one for key, one in info.data.items() if key != "login"})
