"""The objects of models on Kubernetes in all variants: valid for kubeconform, nothing critical for kube-score."""

import json
import os
import subprocess

import pulumi
import pytest
import yaml

from tests.program import object_schemas
from tests.program.azure_mocks import plain
from tests.program.conftest import ROOT
from tests.program.kubernetes_mocks import KUBECONFIG, Kubernetes
from toolchain import gobuild, object_checks
from toolchain.context import context_of
from toolchain.report import Report

EARLIER = {"from": {"version": "0.9", "digest": "sha256:" + "e" * 64}}
GATEWAY = {"gateway": {"name": "public", "namespace": "gateways"}}
HOST = {"host": "iris.example.com"}
CRON = {"cron": {"start": "0 7 * * 1-5", "end": "0 19 * * 1-5", "replicas": 2}}
TRIGGERS = [
    {"prometheus": {"server": "http://prometheus:9090", "query": "sum(rate(requests[1m]))", "threshold": 5}},
    {"serviceBus": {"namespace": "orders-prod", "queue": "to-score"}},
    {"storageQueue": {"account": "orders", "queue": "to-score"}},
    {"other": {"type": "kafka", "metadata": {"topic": "orders"}, "authentication": "kafka"}},
]
# kube-score's lowest grade.
CRITICAL = 1
# Stack's configuration below slipway:, with that of slipway:kubernetes beside, and the target.
VARIANTS = {
    "plain": ({}, {}),
    "one replica": ({"replicas": 1}, {}),
    "autoscaled": ({"replicas": {"min": 2, "max": 9}}, {}),
    "entra": ({"auth": "entra"}, {"entra": {"tenant": "example.com", "audience": "api://iris"}}),
    "without access control": ({"auth": "none", "egress": "none"}, {}),
    "gateway": (HOST, {"kubernetes": GATEWAY}),
    "ingress": (HOST, {"kubernetes": {"ingress": {"class": "nginx", "issuer": "letsencrypt"}}}),
    "load balancer": ({}, {"kubernetes": {"service": "LoadBalancer", "internal": True}}),
    "node port": ({"egress": "any"}, {"kubernetes": {"service": "NodePort", "pullSecret": "pull"}}),
    "canary": ({"replicas": 4, "canary": {**EARLIER, "weight": 25}}, {}),
    "autoscaled canary": ({"replicas": {"min": 4, "max": 8}, "canary": EARLIER}, {}),
    "canary by gateway": ({**HOST, "replicas": 4, "canary": EARLIER}, {"kubernetes": GATEWAY}),
    "canary in steps": (
        {"replicas": {"min": 4, "max": 8}, "canary": {**EARLIER, "steps": [10, 50], "abortOn": {"errorRate": 0.05}}},
        {},
    ),
    "shadow": ({**HOST, "shadow": EARLIER}, {"kubernetes": GATEWAY}),
    "gpu": ({"gpu": 1, "cpu": 0.5}, {}),
    "spot": ({"spot": True, "spread": False}, {"kubernetes": {"nodeSelector": {"kubernetes.io/arch": "amd64"}}}),
    "quota": (
        {"namespace": "team-a"},
        {"kubernetes": {"namespaces": {"team-a": {"quota": {"cpu": 20, "gpu": 0, "pods": 30}}}}},
    ),
    "asleep until a time": ({"replicas": {"min": 0, "max": 3, "triggers": [CRON]}}, {"kubernetes": {"keda": True}}),
    "every trigger": (
        {"replicas": {"min": 1, "max": 9, "triggers": [CRON, *TRIGGERS]}},
        {"kubernetes": {"keda": {"identity": "11111111-2222-3333-4444-555555555555"}}},
    ),
    "monitored": ({}, {"kubernetes": {"monitor": True}}),
}


@pytest.fixture(scope="module")
def context():
    return context_of(ROOT, os.environ, Report())


@pytest.fixture(scope="module")
def programs(context):
    found = object_checks.programs(context)
    assert found, "there is no kubeconform: `make test` provides it"
    return found


@pytest.fixture(scope="module")
def schemas(context, tmp_path_factory):
    found = object_checks.definitions(context)
    assert found, "there are no definitions of Kubernetes' kinds: `make test` provides them"
    folder = tmp_path_factory.mktemp("schemas")
    object_schemas.write(found, folder)
    return folder


@pytest.fixture
def objects(declare, project, monkeypatch):
    """Declares the project with an aks target on iris; returns its objects as they would be applied."""
    (project / "kubeconfig").write_text(KUBECONFIG)
    monkeypatch.delenv("SLIPWAY_REGISTRY", raising=False)

    def run(variant):
        target, config = VARIANTS[variant]
        path = project / "models.yaml"
        data = yaml.safe_load(path.read_text())
        for one in data["models"]:
            one["targets"] = [{"aks": target}] if one["name"] == "iris" else []
        path.write_text(yaml.safe_dump(data, sort_keys=False))
        settings = {"kubeconfig": "kubeconfig", **config.get("kubernetes", {})}
        recorder = Kubernetes()
        declare(stack="prod", recorder=recorder, **{**config, "targets": ["aks"], "kubernetes": settings})
        found = [plain(one.inputs) for one in recorder.registered if one.type.startswith("kubernetes:")]
        assert {"Deployment", "Service"} <= {one["kind"] for one in found}
        return found

    yield run
    pulumi.runtime.set_all_config({}, secret_keys=[])


def _conforms(programs, schemas, objects):
    """What kubeconform says against objects."""
    location = f"{schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    command = [str(programs / "kubeconform"), "-strict", "-output", "json", "-schema-location", location]
    given = yaml.safe_dump_all(objects)
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)["resources"]


def _criticals(programs, objects, context):
    """What kube-score calls critical."""
    version = gobuild.KUBERNETES.version(context).rpartition(".")[0]
    # By its digest an image is the same each time. Asking for it at each start would keep pods down with the registry.
    options = ["--kubernetes-version", version, "--ignore-test", "container-image-pull-policy"]
    command = [str(programs / "kube-score"), "score", *options, "--output-format", "json", "-"]
    given = yaml.safe_dump_all(objects)
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    scored = json.loads(done.stdout)
    assert scored, done.stderr
    return {
        (one["type_meta"]["kind"], check["check"]["id"])
        for one in scored
        for check in one["checks"]
        if check["grade"] == CRITICAL and not check["skipped"]
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_object_is_as_the_api_server_wants_it_and_nothing_is_critical(
    objects, programs, schemas, context, variant
):
    found = objects(variant)
    assert _conforms(programs, schemas, found) == []
    assert _criticals(programs, found, context) == set()


def test_an_unknown_field_a_wrong_type_an_unknown_kind_and_what_is_critical_are_found(
    objects, programs, schemas, context
):
    found = {one["kind"]: one for one in objects("gateway")}
    container = found["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    container["lifeCycle"] = {}
    found["Service"]["spec"]["ports"][0]["port"] = "eighty"
    found["Namespace"]["apiVersion"] = "v2"
    found["HTTPRoute"]["spec"]["rules"][0]["backends"] = []
    extended = {one["kind"]: one for one in objects("every trigger")}
    extended["ScaledObject"]["spec"]["triggers"][0]["metadata"]["desiredReplicas"] = 2
    extended["TriggerAuthentication"]["spec"]["podIdentity"]["clientId"] = "me"
    wrong = [*found.values(), extended["ScaledObject"], extended["TriggerAuthentication"]]
    said = {one["kind"]: one["msg"] for one in _conforms(programs, schemas, wrong)}
    assert said.keys() == {
        "Deployment",
        "Service",
        "Namespace",
        "HTTPRoute",
        "ScaledObject",
        "TriggerAuthentication",
    }
    assert "lifeCycle" in said["Deployment"]
    del container["resources"], container["lifeCycle"]
    assert ("Deployment", "container-resources") in _criticals(programs, [found["Deployment"]], context)
