"""The policy pack on the real engine: what breaks a rule is refused by the preview, and what Slipway deploys is not."""

import json
import subprocess
import sys

import pytest

from tests.engine.aci_harness import models as models  # noqa: PLC0414 - a fixture
from tests.engine.aci_harness import store as store  # noqa: PLC0414 - as above
from tests.engine.aci_harness import versions as versions  # noqa: PLC0414 - as above
from tests.engine.conftest import ROOT, Stack

pytestmark = pytest.mark.engine

REGION, SIZE = "westeurope", "Standard_D2s_v5"
OPTIONS = {
    "all": "mandatory",
    "allowed-regions": {"enforcementLevel": "mandatory", "regions": [REGION]},
    "allowed-sizes": {"enforcementLevel": "mandatory", "sizes": [SIZE]},
}
# One violation in each resource; its name is the rule's.
BROKEN = """
from pulumi_azure_native import batch, containerinstance as aci, containerregistry, resources, storage

DIGEST = "registry.example.com/iris@sha256:" + "a" * 64

def named(name, **changes):
    docker.Container(
        name, **{"name": container, "image": DIGEST, "memory": 64, "cpus": "1", "must_run": False, **changes}
    )

named("images-by-digest", image="nginx:latest")
named("container-limits", memory=None)
named("least-privilege", privileged=True)
aci.ContainerGroup(
    "authenticated-endpoints", resource_group_name="theirs", location=region, os_type="Linux",
    ip_address={"type": "Public", "ports": [{"port": 8080}]},
    containers=[{
        "name": "model", "image": DIGEST, "ports": [{"port": 8080}],
        "resources": {"requests": {"cpu": 1, "memory_in_gb": 1}},
        "environment_variables": [{"name": "SLIPWAY_AUTH", "value": "none"}],
    }],
)
containerregistry.Registry(
    "no-anonymous-access", resource_group_name="theirs", location=region, sku={"name": "Basic"}, admin_user_enabled=True
)
resources.ResourceGroup("allowed-regions", location="eastus")
batch.Pool(
    "allowed-sizes", resource_group_name="theirs", account_name="theirs", vm_size="Standard_D64s_v5",
    scale_settings={"fixed_scale": {"target_dedicated_nodes": 1}},
    deployment_configuration={"virtual_machine_configuration": {
        "image_reference": {"publisher": "microsoft-dsvm", "offer": "ubuntu-hpc", "sku": "2204", "version": "latest"},
        "node_agent_sku_id": "batch.node.ubuntu 22.04",
    }},
)
"""
# The same of objects together, of which none by itself breaks a rule.
OPEN_SERVICE = """
import pulumi_kubernetes as kubernetes

DIGEST = "registry.example.com/iris@sha256:" + "a" * 64
cluster = pulumi.ResourceOptions(provider=kubernetes.Provider("cluster", kubeconfig=kubeconfig))
labels = {"app": "iris"}
kubernetes.apps.v1.Deployment(
    "pods", metadata={"name": "iris", "namespace": "ml"}, opts=cluster,
    spec={"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
        "securityContext": {"runAsNonRoot": True},
        "containers": [{
            "name": "model", "image": DIGEST, "env": [{"name": "SLIPWAY_AUTH", "value": "none"}],
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
        }],
    }}},
)
kubernetes.core.v1.Service(
    "authenticated-services", metadata={"name": "iris", "namespace": "ml"}, opts=cluster,
    spec={"type": "LoadBalancer", "selector": labels, "ports": [{"port": 80}]},
)
"""
# Of a cluster that nobody can reach: a preview does without it.
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: me}}]
clusters: [{name: here, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: me, user: {}}]
"""


@pytest.fixture(scope="module", autouse=True)
def _packages():
    """The pack's own packages, as `slipway preview` installs them."""
    subprocess.run([sys.executable, "-m", "toolchain", "policies"], cwd=ROOT, check=True, timeout=600)


class Held:
    """A stack, each of whose previews and updates is held to the policies."""

    def __init__(self, stack):
        self.stack = stack
        file = stack.folder / "Pulumi.yaml"
        project = json.loads(file.read_text())
        analyzers = [{"name": "policy-slipway", "path": str(ROOT / "policies")}]
        project.setdefault("plugins", {})["analyzers"] = analyzers
        file.write_text(json.dumps(project))

    def run(self, command, options=OPTIONS, *, check=True):
        """Return the run, and what was found: rule, resource and severity to the message."""
        config = self.stack.folder / "policies.json"
        config.write_text(json.dumps(options))
        given = ("--policy-pack", str(ROOT / "policies"), "--policy-pack-config", str(config))
        # The preview too: it is what refuses.
        done = self.stack._run(command, *(["--yes"] if command == "up" else []), *given, check=check)
        found = {}
        for event in (one["policyEvent"] for one in done.events if "policyEvent" in one):
            name = event["resourceUrn"].rpartition("::")[2]
            found[event["policyName"], name, event["enforcementLevel"]] = event["message"]
        return done, found


@pytest.fixture
def broken(engine_env, tmp_path, store, name):
    env = engine_env | {"SLIPWAY_AZURE_STORE": str(store.folder), "SLIPWAY_AZURE": "stand-in"}
    stack = Stack(tmp_path / "program", env)
    stack.program(BROKEN, container=name, region=REGION)
    yield Held(stack)
    stack.destroy(check=False)


def test_each_rule_refuses_what_breaks_it_before_anything_is_made(broken, engine, name):
    for command in ("preview", "up"):
        done, found = broken.run(command, check=False)
        assert done.code != 0, done.output
        rules = {rule for rule, _, _ in found}
        assert rules == {
            "images-by-digest",
            "container-limits",
            "least-privilege",
            "authenticated-endpoints",
            "no-anonymous-access",
            "allowed-regions",
            "allowed-sizes",
        }, done.output
        assert {(rule, severity) for rule, _, severity in found} == {(rule, "mandatory") for rule in rules}
        # Each in the resource that breaks it, and in no other.
        assert {where for _, where, _ in found} == rules
        assert all("Allowed: " in message for message in found.values())
    assert "the image nginx:latest" in found["images-by-digest", "images-by-digest", "mandatory"]
    assert broken.stack.export().get("resources", []) == []
    assert engine.containers.list(all=True, filters={"name": name}, ignore_removed=True) == []


def test_a_service_that_leads_to_pods_that_ask_nobody_is_refused_before_anything_is_made(broken):
    broken.stack.program(OPEN_SERVICE, kubeconfig=KUBECONFIG)
    done, found = broken.run("up", check=False)
    assert done.code != 0, done.output
    # Said of the one that came last.
    [((rule, _, severity), message)] = found.items()
    assert (rule, severity) == ("authenticated-services", "mandatory")
    assert (
        "kubernetes:Service authenticated-services leads an address of its own (LoadBalancer) to the pods of "
        in message
    )
    assert "SLIPWAY_AUTH none" in message
    assert broken.stack.export().get("resources", []) == []


def test_advisory_rules_are_told_and_stop_nothing(broken):
    done, found = broken.run("preview", {"all": "advisory", "images-by-digest": {"enforcementLevel": "disabled"}})
    assert done.code == 0
    assert {severity for _, _, severity in found} == {"advisory"}
    # Without regions and sizes all are allowed.
    assert {rule for rule, _, _ in found}.isdisjoint({"images-by-digest", "allowed-regions", "allowed-sizes"})


def test_an_option_of_the_wrong_type_is_refused_by_the_engine_too(broken):
    wrong = {"allowed-regions": {"enforcementLevel": "mandatory", "regions": "westeurope"}}
    done, found = broken.run("preview", wrong, check=False)
    assert done.code != 0
    assert "allowed-regions: regions: Invalid type" in done.output
    assert found == {}


def test_a_model_on_container_instances_is_deployed_under_the_policies(models):
    models.models()
    done, found = Held(models).run("up")
    assert done.code == 0
    assert found == {}
    assert models.ask()[0] == 200
    # Another region is refused, and what runs goes on.
    models.models(config={"azure": {"location": "eastus", "protect": False}})
    done, found = Held(models).run("up", check=False)
    assert done.code != 0
    assert {rule for rule, _, _ in found} == {"allowed-regions"}
    assert models.ask()[0] == 200
