"""Kubernetes clusters on the stand-in for azure-native: what Azure refuses, and what a cluster's credentials are."""

import base64

import pytest

from provider.resource import ProviderError
from tests.unit.azure_harness import azure, call, check, group, make

__all__ = ["azure", "group"]
SYSTEM = {"name": "system", "mode": "System", "vmSize": "Standard_D4ds_v5", "count": 3}
CLUSTER = {
    "resourceGroupName": "rg",
    "resourceName": "aks",
    "location": "westeurope",
    "dnsPrefix": "aks",
    "identity": {"type": "SystemAssigned"},
    "oidcIssuerProfile": {"enabled": True},
    "agentPoolProfiles": [SYSTEM],
}
POOL = {"resourceGroupName": "rg", "resourceName": "aks", "agentPoolName": "models", "mode": "User", "vmSize": "x"}


def test_a_cluster_has_an_identity_of_its_nodes_and_an_address_of_its_tokens(azure, group):
    made = make(azure, "containerservice:ManagedCluster", CLUSTER)
    assert made.outputs["identityProfile"]["kubeletidentity"]["objectId"]
    assert made.outputs["oidcIssuerProfile"]["issuerURL"].startswith("https://")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"dnsPrefix": "a" * 55}, "dnsPrefix"),
        ({"agentPoolProfiles": []}, "agentPoolProfiles"),
        ({"agentPoolProfiles": [{**SYSTEM, "mode": "User"}]}, "agentPoolProfiles"),
        ({"agentPoolProfiles": [{**SYSTEM, "scaleSetPriority": "Spot"}]}, "agentPoolProfiles[0].scaleSetPriority"),
        ({"agentPoolProfiles": [{**SYSTEM, "enableAutoScaling": True}]}, "agentPoolProfiles[0].minCount"),
        ({"disableLocalAccounts": True}, "disableLocalAccounts"),
    ],
)
def test_what_azure_refuses_of_a_cluster_is_refused(azure, change, path):
    assert check(azure, "containerservice:ManagedCluster", CLUSTER)[1] == {}
    assert path in check(azure, "containerservice:ManagedCluster", {**CLUSTER, **change})[1]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"enableAutoScaling": True, "minCount": 3, "maxCount": 2}, "minCount"),
        ({"enableAutoScaling": True, "minCount": 1, "maxCount": 2, "count": 5}, "count"),
        ({"minCount": 1, "maxCount": 2}, "minCount"),
        ({"spotMaxPrice": -1.0}, "scaleSetEvictionPolicy"),
        ({"scaleSetPriority": "Spot", "upgradeSettings": {"maxSurge": "33%"}}, "upgradeSettings.maxSurge"),
        ({"agentPoolName": "with-hyphen"}, "agentPoolName"),
    ],
)
def test_what_azure_refuses_of_a_pool_is_refused(azure, change, path):
    assert check(azure, "containerservice:AgentPool", POOL)[1] == {}
    assert path in check(azure, "containerservice:AgentPool", {**POOL, **change})[1]


def test_a_pool_cannot_have_the_name_of_one_in_the_clusters_own_list(azure, group):
    make(azure, "containerservice:ManagedCluster", CLUSTER)
    with pytest.raises(ProviderError, match="has a pool system already"):
        make(azure, "containerservice:AgentPool", {**POOL, "agentPoolName": "system"})


def test_a_clusters_credentials_lead_to_the_kubernetes_of_this_machine(azure, group, tmp_path, monkeypatch):
    make(azure, "containerservice:ManagedCluster", CLUSTER)
    function = azure.functions["azure-native:containerservice:listManagedClusterUserCredentials"]
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    asked = {"resourceGroupName": "rg", "resourceName": "aks"}
    with pytest.raises(ProviderError, match="make kubernetes"):
        function(call(), asked)
    (tmp_path / "kubeconfig").write_text("clusters: []")
    (found,) = function(call(), asked)["kubeconfigs"]
    assert base64.b64decode(found["value"]) == b"clusters: []"
    with pytest.raises(ProviderError, match="was not found"):
        function(call(), {**asked, "resourceName": "another"})
