"""What Slipway deploys by default passes every rule of the policy pack; what its options open does not."""

import pulumi
import pytest
import yaml

from policies.rules import RULES, JointRule, Resource
from tests.program.azure_mocks import Azure, plain, settings
from tests.program.conftest import Recorder
from tests.program.kubernetes_mocks import KUBECONFIG, Kubernetes

OPTIONS = {"regions": ["westeurope"], "sizes": ["Standard_D2s_v5", "Standard_D4ds_v5"]}
CLUSTER = {"kubernetes": {"kubeconfig": "kubeconfig"}}
SCHEDULED = {"input": "abfs://in/day", "output": "abfs://out/iris/", "schedule": "0 3 * * *"}


def violations(recorder):
    """Rule and resource of everything that is refused; numbers are as the engine gives them."""
    resources = [Resource(one.type, one.name, plain(one.inputs)) for one in recorder.registered]
    found = []
    for rule in RULES:
        if isinstance(rule, JointRule):
            found += [(rule.name, one.name) for n, one in enumerate(resources) for _ in rule.check(one, resources[:n])]
        else:
            found += [(rule.name, one.name) for one in resources for _ in rule.check(one, OPTIONS)]
    return found


@pytest.fixture
def deployed(declare, project, monkeypatch):
    """Declares the sample project with a target on each model that is named."""
    (project / "kubeconfig").write_text(KUBECONFIG)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.delenv("SLIPWAY_REGISTRY", raising=False)

    def run(kind, target, recorder, **config):
        path = project / "models.yaml"
        data = yaml.safe_load(path.read_text())
        for one in data["models"]:
            one["targets"] = [{kind: target}] if one["name"] == "iris" else []
        path.write_text(yaml.safe_dump(data, sort_keys=False))
        return declare(stack="prod", recorder=recorder, **{**config, "targets": [kind]})

    yield run
    pulumi.runtime.set_all_config({}, secret_keys=[])


DEFAULTS = [
    ("local-docker", {}, Recorder, {}),
    ("aci", {"https": False}, Azure, settings()),
    ("aks", {}, Kubernetes, settings()),
    (
        "aks",
        {"host": "iris.example.com"},
        Kubernetes,
        {"kubernetes": {"kubeconfig": "kubeconfig", "ingress": {"class": "nginx"}}},
    ),
    ("aks", {}, Kubernetes, {"kubernetes": {"kubeconfig": "kubeconfig", "service": "LoadBalancer"}}),
    ("batch", {}, Azure, settings()),
    ("batch", SCHEDULED, Azure, settings()),
    ("batch", {**SCHEDULED, "engine": "kubernetes", "cpu": 1, "memory": "1Gi"}, Kubernetes, CLUSTER),
    ("iot-edge", {"device": "line-4"}, Azure, settings()),
]


@pytest.mark.parametrize(("kind", "target", "recorder", "config"), DEFAULTS)
def test_what_slipway_deploys_passes_every_rule(deployed, kind, target, recorder, config):
    found = deployed(kind, target, recorder(), **config)
    assert violations(found) == []
    assert len(found.registered) > 3


OPENED = [
    (
        "iot-edge",
        {"device": "line-4", "createOptions": {"HostConfig": {"Privileged": True}}},
        Azure,
        settings(),
        [("least-privilege", "iris")],
    ),
    (
        "iot-edge",
        {"device": "line-4", "modules": [{"name": "filter", "image": "example.com/filter:1"}]},
        Azure,
        settings(),
        [("images-by-digest", "iris"), ("container-limits", "iris")],
    ),
    ("batch", {"vmSize": "Standard_D64s_v5"}, Azure, settings(), [("allowed-sizes", "iris")]),
    (
        "batch",
        {**SCHEDULED, "engine": "kubernetes"},
        Kubernetes,
        CLUSTER,
        [("container-limits", "iris")],
    ),
]


@pytest.mark.parametrize(("kind", "target", "recorder", "config", "expected"), OPENED)
def test_what_the_manifest_asks_beyond_is_refused(deployed, kind, target, recorder, config, expected):
    assert violations(deployed(kind, target, recorder(), **config)) == expected


def test_another_region_is_refused_for_everything_that_is_in_it(deployed):
    config = settings()
    config["azure"]["location"] = "eastus"
    found = violations(deployed("aci", {"https": False}, Azure(), **config))
    assert {name for _, name in found} >= {"group", "registry", "iris"}
    assert {rule for rule, _ in found} == {"allowed-regions"}
