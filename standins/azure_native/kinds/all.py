"""Which types have something particular to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from standins.azure_native.kinds.batch import BatchAccount, Pool
from standins.azure_native.kinds.cluster import AgentPool, ManagedCluster
from standins.azure_native.kinds.container_group import ContainerGroup
from standins.azure_native.kinds.iot_hub import IotHub
from standins.azure_native.kinds.kind import Kind
from standins.azure_native.kinds.monitoring import Component, LogWorkspace
from standins.azure_native.kinds.plain import MlEndpoint, ModelVersion
from standins.azure_native.kinds.platform import Identity, MlWorkspace, ResourceGroup, Vault
from standins.azure_native.kinds.registry import Registry
from standins.azure_native.kinds.role_assignment import RoleAssignment
from standins.azure_native.kinds.storage import BlobContainer, BlobService, StorageAccount
from standins.azure_native.kinds.traffic_manager import Profile

if TYPE_CHECKING:
    from standins.azure_native.store import Store

_KINDS: dict[str, type[Kind]] = {
    "applicationinsights:Component": Component,
    "authorization:RoleAssignment": RoleAssignment,
    "batch:BatchAccount": BatchAccount,
    "batch:Pool": Pool,
    "containerinstance:ContainerGroup": ContainerGroup,
    "containerregistry:Registry": Registry,
    "containerservice:AgentPool": AgentPool,
    "containerservice:ManagedCluster": ManagedCluster,
    "iothub:IotHubResource": IotHub,
    "keyvault:Vault": Vault,
    "machinelearningservices:BatchEndpoint": MlEndpoint,
    "machinelearningservices:ModelVersion": ModelVersion,
    "machinelearningservices:OnlineEndpoint": MlEndpoint,
    "machinelearningservices:Workspace": MlWorkspace,
    "managedidentity:UserAssignedIdentity": Identity,
    "operationalinsights:Workspace": LogWorkspace,
    "resources:ResourceGroup": ResourceGroup,
    "storage:BlobContainer": BlobContainer,
    "storage:BlobServiceProperties": BlobService,
    "storage:FileServiceProperties": BlobService,
    "storage:StorageAccount": StorageAccount,
    "trafficmanager:Profile": Profile,
}


def kind_of(token: str, store: Store) -> Kind:
    """Make a type.

    Args:
        token: Such as "storage:StorageAccount".
        store: What there is.

    Returns:
        Its own class, or the one that is typed state only.
    """
    return _KINDS.get(token, Kind)(token, store)
