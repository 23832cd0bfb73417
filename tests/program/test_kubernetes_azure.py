"""What the program asks of Azure for models with the target aks: the cluster, its nodes and its identities."""

import pulumi
import pytest
import yaml

from tests.program.azure_mocks import ARM, plain, settings, shown, wrong
from tests.program.kubernetes_mocks import KUBECONFIG, Kubernetes

THEIRS = f"{ARM}/providers/Microsoft.ContainerService/managedClusters/theirs"
COLLECT = {"collect": {"to": "abfs://collected/prod"}}


@pytest.fixture
def aks(declare, project, monkeypatch):
    """Declares the project with an aks target on iris, and a stack in Azure; returns the recorder."""

    def run(target=None, *, scoring=None, unknown=False, config=None, **azure):
        path = project / "models.yaml"
        data = yaml.safe_load(path.read_text())
        for one in data["models"]:
            one["targets"] = [{"aks": target or {}}] if one["name"] == "iris" else []
            if one["name"] == "iris":
                one["scoring"] = {**one.get("scoring", {}), **(scoring or {})}
        path.write_text(yaml.safe_dump(data, sort_keys=False))
        recorder = Kubernetes(unknown=unknown)
        monkeypatch.setattr(pulumi, "export", recorder.export)
        keys = {**settings(**azure), "targets": ["aks"], **(config or {})}
        return declare(stack="prod", recorder=recorder, preview=unknown, **keys)

    yield run
    pulumi.runtime.set_all_config({}, secret_keys=[])


def test_a_stack_in_azure_has_a_cluster_with_a_pool_of_nodes_for_models(aks):
    recorder = aks()
    assert recorder.azure == {
        ("ResourceGroup", "group"),
        ("Registry", "registry"),
        ("Workspace", "logs"),
        ("ManagedCluster", "aks"),
        ("AgentPool", "aks-models"),
        ("RoleAssignment", "aks-pull"),
    }
    assert ("Deployment", "iris") in recorder.objects
    assert wrong(recorder) == []


def test_the_cluster_has_keda_where_the_stack_says_so(aks):
    recorder = aks(config={"kubernetes": {"keda": True}})
    assert plain(recorder.one("ManagedCluster").inputs)["workloadAutoScalerProfile"] == {"keda": {"enabled": True}}
    assert wrong(recorder) == []
    assert "workloadAutoScalerProfile" not in aks().one("ManagedCluster").inputs


def test_the_cluster_has_no_passwords_and_is_protected(aks):
    cluster = aks().one("ManagedCluster")
    given = plain(cluster.inputs)
    assert given["disableLocalAccounts"] is True
    assert given["aadProfile"] == {"managed": True, "enableAzureRBAC": True}
    assert given["oidcIssuerProfile"] == {"enabled": True}
    assert given["networkProfile"]["networkPolicy"] == "cilium"
    assert cluster.options.protect is True
    assert cluster.options.ignore_changes == ["agentPoolProfiles[*].count"]
    (system,) = given["agentPoolProfiles"]
    assert (system["mode"], system["nodeTaints"]) == ("System", ["CriticalAddonsOnly=true:NoSchedule"])


def test_each_pool_is_a_resource_of_its_own_whose_number_is_the_autoscalers(aks):
    pools = [
        {"name": "models", "min": 2, "max": 9},
        {"name": "cheap", "spot": True, "min": 0},
        {"name": "gpu", "gpu": True, "vmSize": "Standard_NC4as_T4_v3", "zones": []},
    ]
    recorder = aks(aks={"pools": pools})
    assert wrong(recorder) == []
    found = {name: plain(one.inputs) for name, one in recorder.of("AgentPool").items()}
    assert set(found) == {"aks-models", "aks-cheap", "aks-gpu"}
    assert (found["aks-models"]["minCount"], found["aks-models"]["maxCount"]) == (2, 9)
    assert (found["aks-cheap"]["scaleSetPriority"], found["aks-cheap"]["spotMaxPrice"]) == ("Spot", -1)
    assert found["aks-gpu"]["nodeTaints"] == ["nvidia.com/gpu=present:NoSchedule"]
    assert "availabilityZones" not in found["aks-gpu"]
    for one in recorder.of("AgentPool").values():
        assert one.options.ignore_changes == ["count"]


def test_nodes_may_pull_from_the_stacks_registry_and_models_wait_for_it(aks):
    recorder = aks()
    role = recorder.one("RoleAssignment")
    assert role.inputs["principalId"] == "principal-kubelet"
    assert role.inputs["scope"].endswith("containerregistry:Registry/registry")
    waits = {one.__class__.__name__ for one in recorder.of("Namespace")["slipway-prod"].options.depends_on}
    assert waits == {"AgentPool", "RoleAssignment"}


def test_who_deploys_gets_in_by_kubelogin_and_the_kubeconfig_is_a_secret(aks):
    recorder = aks(aks={"login": "workloadidentity"})
    (provider,) = [one for one in recorder.registered if one.type == "pulumi:providers:kubernetes"]
    assert shown(provider.inputs["kubeconfig"]) == ""
    user = yaml.safe_load(plain(provider.inputs["kubeconfig"]))["users"][0]["user"]["exec"]
    assert user["command"] == "kubelogin"
    pairs = dict(zip(user["args"][1::2], user["args"][2::2], strict=True))
    assert pairs == {
        "--login": "workloadidentity",
        "--server-id": "theserver",
        "--environment": "AzurePublicCloud",
        "--tenant-id": "thetenant",
    }


def test_a_cluster_that_is_attached_is_not_made_and_not_changed(aks):
    recorder = aks(aks={"id": THEIRS})
    assert not recorder.of("ManagedCluster")
    assert not recorder.of("AgentPool")
    assert recorder.one("RoleAssignment").inputs["principalId"] == "principal-kubelet"
    (provider,) = [one for one in recorder.registered if one.type == "pulumi:providers:kubernetes"]
    assert provider.inputs["clusterIdentifier"] == THEIRS


def test_a_cluster_of_the_configuration_goes_before_one_of_azures(aks, project):
    (project / "kubeconfig").write_text(KUBECONFIG)
    recorder = aks(config={"kubernetes": {"kubeconfig": "kubeconfig"}})
    assert recorder.azure == set()


def test_a_model_that_collects_is_an_identity_that_may_write_there_alone(aks):
    recorder = aks(scoring={"collect": True}, config=COLLECT)
    credential = recorder.one("FederatedIdentityCredential").inputs
    assert credential["subject"] == "system:serviceaccount:slipway-prod:collect"
    assert credential["issuer"] == "https://issuer.example/"
    account = recorder.manifest("ServiceAccount", "slipway-prod-collect")["metadata"]
    assert account["annotations"]["azure.workload.identity/client-id"] == "client-collect"
    pods = recorder.manifest("Deployment")["spec"]["template"]
    assert pods["spec"]["serviceAccountName"] == "collect"
    assert pods["metadata"]["labels"]["azure.workload.identity/use"] == "true"
    assert wrong(recorder) == []
    assert not recorder.of("Secret").keys() - {"iris-keys"}


def test_where_nobody_monitors_there_is_no_workspace(aks):
    assert not aks(aks={"monitoring": False}).of("Workspace")


def test_a_preview_of_an_empty_subscription_registers_everything(aks):
    foreseen, made = aks(unknown=True), aks()
    assert foreseen.azure == made.azure
    assert foreseen.objects == made.objects
