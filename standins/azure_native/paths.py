"""Where each type lives in Azure: the form of its ids, which the SDK's classes do not tell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_GROUP = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}"
_SCOPE = "{scope}"
_TABLE = """
applicationinsights:Component Microsoft.Insights/components/{resourceName}
authorization:ManagementLockAtResourceGroupLevel Microsoft.Authorization/locks/{lockName}
authorization:ManagementLockByScope {scope} Microsoft.Authorization/locks/{lockName}
authorization:RoleAssignment {scope} Microsoft.Authorization/roleAssignments/{roleAssignmentName}
batch:Application Microsoft.Batch/batchAccounts/{accountName}/applications/{applicationName}
batch:BatchAccount Microsoft.Batch/batchAccounts/{accountName}
batch:Pool Microsoft.Batch/batchAccounts/{accountName}/pools/{poolName}
containerinstance:ContainerGroup Microsoft.ContainerInstance/containerGroups/{containerGroupName}
containerregistry:CacheRule Microsoft.ContainerRegistry/registries/{registryName}/cacheRules/{cacheRuleName}
containerregistry:Registry Microsoft.ContainerRegistry/registries/{registryName}
containerregistry:Replication Microsoft.ContainerRegistry/registries/{registryName}/replications/{replicationName}
containerregistry:ScopeMap Microsoft.ContainerRegistry/registries/{registryName}/scopeMaps/{scopeMapName}
containerregistry:Token Microsoft.ContainerRegistry/registries/{registryName}/tokens/{tokenName}
containerregistry:Webhook Microsoft.ContainerRegistry/registries/{registryName}/webhooks/{webhookName}
containerservice:AgentPool Microsoft.ContainerService/managedClusters/{resourceName}/agentPools/{agentPoolName}
containerservice:MaintenanceConfiguration \
Microsoft.ContainerService/managedClusters/{resourceName}/maintenanceConfigurations/{configName}
containerservice:ManagedCluster Microsoft.ContainerService/managedClusters/{resourceName}
iothub:Certificate Microsoft.Devices/IotHubs/{resourceName}/certificates/{certificateName}
iothub:IotHubResource Microsoft.Devices/IotHubs/{resourceName}
iothub:IotHubResourceEventHubConsumerGroup \
Microsoft.Devices/IotHubs/{resourceName}/eventHubEndpoints/{eventHubEndpointName}/ConsumerGroups/{name}
keyvault:Key Microsoft.KeyVault/vaults/{vaultName}/keys/{keyName}
keyvault:Secret Microsoft.KeyVault/vaults/{vaultName}/secrets/{secretName}
keyvault:Vault Microsoft.KeyVault/vaults/{vaultName}
machinelearningservices:BatchDeployment \
Microsoft.MachineLearningServices/workspaces/{workspaceName}/batchEndpoints/{endpointName}/deployments/{deploymentName}
machinelearningservices:BatchEndpoint \
Microsoft.MachineLearningServices/workspaces/{workspaceName}/batchEndpoints/{endpointName}
machinelearningservices:Compute Microsoft.MachineLearningServices/workspaces/{workspaceName}/computes/{computeName}
machinelearningservices:Datastore Microsoft.MachineLearningServices/workspaces/{workspaceName}/datastores/{name}
machinelearningservices:EnvironmentContainer \
Microsoft.MachineLearningServices/workspaces/{workspaceName}/environments/{name}
machinelearningservices:EnvironmentVersion \
Microsoft.MachineLearningServices/workspaces/{workspaceName}/environments/{name}/versions/{version}
machinelearningservices:ModelContainer Microsoft.MachineLearningServices/workspaces/{workspaceName}/models/{name}
machinelearningservices:ModelVersion \
Microsoft.MachineLearningServices/workspaces/{workspaceName}/models/{name}/versions/{version}
machinelearningservices:OnlineDeployment \
Microsoft.MachineLearningServices/workspaces/{workspaceName}/onlineEndpoints/{endpointName}/deployments/{deploymentName}
machinelearningservices:OnlineEndpoint \
Microsoft.MachineLearningServices/workspaces/{workspaceName}/onlineEndpoints/{endpointName}
machinelearningservices:Registry Microsoft.MachineLearningServices/registries/{registryName}
machinelearningservices:RegistryModelContainer \
Microsoft.MachineLearningServices/registries/{registryName}/models/{modelName}
machinelearningservices:RegistryModelVersion \
Microsoft.MachineLearningServices/registries/{registryName}/models/{modelName}/versions/{version}
machinelearningservices:Workspace Microsoft.MachineLearningServices/workspaces/{workspaceName}
managedidentity:FederatedIdentityCredential \
Microsoft.ManagedIdentity/userAssignedIdentities/{resourceName}/federatedIdentityCredentials/\
{federatedIdentityCredentialResourceName}
managedidentity:UserAssignedIdentity Microsoft.ManagedIdentity/userAssignedIdentities/{resourceName}
network:NetworkSecurityGroup Microsoft.Network/networkSecurityGroups/{networkSecurityGroupName}
network:PublicIPAddress Microsoft.Network/publicIPAddresses/{publicIpAddressName}
network:Subnet Microsoft.Network/virtualNetworks/{virtualNetworkName}/subnets/{subnetName}
network:VirtualNetwork Microsoft.Network/virtualNetworks/{virtualNetworkName}
operationalinsights:Table Microsoft.OperationalInsights/workspaces/{workspaceName}/tables/{tableName}
operationalinsights:Workspace Microsoft.OperationalInsights/workspaces/{workspaceName}
storage:BlobContainer Microsoft.Storage/storageAccounts/{accountName}/blobServices/default/containers/{containerName}
storage:BlobServiceProperties Microsoft.Storage/storageAccounts/{accountName}/blobServices/{blobServicesName}
storage:FileServiceProperties Microsoft.Storage/storageAccounts/{accountName}/fileServices/{fileServicesName}
storage:FileShare Microsoft.Storage/storageAccounts/{accountName}/fileServices/default/shares/{shareName}
storage:ManagementPolicy Microsoft.Storage/storageAccounts/{accountName}/managementPolicies/{managementPolicyName}
storage:Queue Microsoft.Storage/storageAccounts/{accountName}/queueServices/default/queues/{queueName}
storage:StorageAccount Microsoft.Storage/storageAccounts/{accountName}
storage:Table Microsoft.Storage/storageAccounts/{accountName}/tableServices/default/tables/{tableName}
trafficmanager:Profile Microsoft.Network/trafficManagerProfiles/{profileName}
"""


@dataclass(frozen=True)
class Path:
    """The form of a type's ids.

    Attributes:
        template: With the parameters in braces.
        arm_type: Such as "Microsoft.Storage/storageAccounts".
    """

    template: str
    arm_type: str

    @property
    def parameters(self) -> tuple[str, ...]:
        """The inputs that make up the id."""
        return tuple(name for name in re.findall(r"\{(\w+)\}", self.template) if name != "subscriptionId")

    @property
    def name(self) -> str:
        """The input that is the resource's own name."""
        return self.parameters[-1]

    def id_of(self, subscription: str, inputs: dict[str, Any]) -> str:
        """Put an id together."""
        values = {name: str(inputs[name]).rstrip("/") for name in self.parameters}
        return self.template.format(subscriptionId=subscription, **values)

    def parse(self, resource: str) -> dict[str, str] | None:
        """Take an id apart; None when it is of another form."""
        pattern = re.sub(r"\\\{(\w+)\\\}", _parameter, re.escape(self.template))
        found = re.fullmatch(pattern, resource, re.IGNORECASE)
        return found and {name: value for name, value in found.groupdict().items() if name != "subscriptionId"}


def _parameter(found: re.Match[str]) -> str:
    name = found[1]
    return f"(?P<{name}>.+)" if name == "scope" else f"(?P<{name}>[^/]+)"


def _read() -> dict[str, Path]:
    paths = {"resources:ResourceGroup": Path(_GROUP, "Microsoft.Resources/resourceGroups")}
    for line in _TABLE.strip().splitlines():
        token, *rest = line.split()
        base = rest[0] if len(rest) > 1 else _GROUP
        provider, *steps = rest[-1].split("/")
        paths[token] = Path(f"{base}/providers/{rest[-1]}", "/".join([provider, *steps[::2]]))
    return paths


PATHS = _read()
"""By token without the package, such as "storage:StorageAccount"."""


def parents(resource: str) -> list[str]:
    """Name what has to be there before a resource can be.

    Args:
        resource: Its id.

    Returns:
        The ids of its parents, the nearest first; services named "default" and a hub's endpoints are part of theirs.
    """
    found = []
    scope, _, tail = resource.rpartition("/providers/")
    steps = tail.split("/")
    while len(steps) > 3:  # noqa: PLR2004 - the namespace, and one pair of type and name
        steps = steps[:-2]
        if steps[-1].lower() != "default" and steps[-2].lower() != "eventhubendpoints":
            found.append(f"{scope}/providers/{'/'.join(steps)}")
    if scope:
        found.append(scope)
    return found
