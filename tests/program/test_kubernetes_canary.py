"""What the program makes of a canary's stage: shares, images and weights, without an engine or a cluster."""

import pytest

from tests.program.azure_mocks import PRIMARY, plain, shown
from tests.program.kubernetes_mocks import KUBECONFIG, asking

DEPLOYMENT, HPA = "Deployment", "HorizontalPodAutoscaler"
OLD = "localhost:5050/slipway/models/iris@sha256:" + "e" * 64
NEW = "localhost:5050/slipway/models/iris@sha256:" + "d" * 64
EARLIER = {"version": "0.9", "digest": "sha256:" + "e" * 64}
CANARY = {"from": EARLIER, "steps": [10, 50], "for": "2h", "abortOn": {"errorRate": 0.05}}
GATEWAY = {"gateway": {"name": "public", "namespace": "gateways"}}
ABORTED = {"weight": 0, "phase": "aborted", "reason": "27 of 500 requests failed"}
FINISHED = {"weight": 50, "phase": "finished"}


@pytest.fixture
def aks(declare, project, monkeypatch):
    """Declares the project with an aks target on iris; returns the recorder."""
    with asking(declare, project, monkeypatch) as run:
        yield run


def runs(recorder, name):
    """The image, the version and the number of pods of a Deployment."""
    spec = recorder.manifest(DEPLOYMENT, name)["spec"]
    labels, (container,) = spec["template"]["metadata"]["labels"], spec["template"]["spec"]["containers"]
    return container["image"], labels["app.kubernetes.io/version"], spec.get("replicas")


def told(recorder):
    """What the stack exports of the canary."""
    return recorder.exported["models"]["iris"]["targets"]["aks"]["canary"]


def test_steps_are_a_resource_that_knows_the_pair_the_plan_and_how_its_pods_are_asked(aks, project):
    asked = aks({"replicas": 10, "canary": CANARY}).manifest("Canary")
    assert (asked["from"], asked["to"], asked["fromVersion"], asked["toVersion"]) == (OLD, NEW, "0.9", "1")
    assert (asked["steps"], asked["pods"], asked["seconds"]) == ([10, 50], [1, 5], 7200)
    assert asked["limits"] == {"errorRate": 0.05, "requests": 100}
    assert (asked["namespace"], asked["labels"]["slipway.io/track"]) == ("slipway-prod", "canary")
    assert (asked["primary"], asked["kubeconfig"]) == (PRIMARY, str(project / "kubeconfig"))
    assert not aks({"canary": {"from": EARLIER}}).of("Canary")
    without = aks({"canary": {"from": EARLIER, "steps": [10]}}).manifest("Canary")
    assert not {"primary", "secondary", "limits"} & without.keys()


def test_keys_and_a_kubeconfig_are_given_to_it_as_secrets_only(aks):
    config = {"kubeconfig": KUBECONFIG, "kubernetes": {}}
    recorder = aks({"canary": CANARY}, config=config, secrets=["kubeconfig"])
    asked = recorder.one("Canary").inputs
    assert "canary-token" in plain(asked)["kubeconfig"]
    assert "canary-token" not in shown(asked)
    assert PRIMARY not in shown(asked)


@pytest.mark.parametrize("unknown", [False, True])
def test_each_step_has_its_share_of_the_pods_in_a_preview_too(aks, unknown):
    for weight, numbers in ((10, (9, 1)), (50, (5, 5))):
        recorder = aks({"replicas": 10, "canary": CANARY}, stage={"weight": weight}, unknown=unknown)
        found = [recorder.manifest(DEPLOYMENT, name)["spec"]["replicas"] for name in ("iris", "iris-canary")]
        assert tuple(found) == numbers
    assert unknown or told(recorder) == {
        "version": "1",
        "percent": 50,
        "by": "replicas",
        "phase": "running",
        "since": "now",
        "reason": "",
    }


def test_an_aborted_canary_has_no_pods_and_the_version_before_all_of_them(aks):
    recorder = aks({"replicas": 10, "canary": CANARY}, stage=ABORTED)
    assert runs(recorder, "iris") == (OLD, "0.9", 10)
    assert runs(recorder, "iris-canary") == (NEW, "1", 0)
    assert (told(recorder)["percent"], told(recorder)["reason"]) == (0, "27 of 500 requests failed")


def test_with_an_autoscaler_an_aborted_canarys_number_of_pods_is_taken_from_it(aks):
    target = {"replicas": {"min": 4, "max": 20}, "canary": CANARY}
    aborted, running = aks(target, stage=ABORTED), aks(target)
    # An autoscaler leaves a Deployment with none alone, and takes no bounds below 1.
    assert [runs(one, "iris-canary")[2] for one in (aborted, running)] == [0, None]
    for one in (aborted, running):
        annotations = one.manifest(DEPLOYMENT, "iris-canary")["metadata"]["annotations"]
        assert annotations == {"pulumi.com/patchForce": "true"}
        assert runs(one, "iris")[2] is None
    bounds = [
        (spec["minReplicas"], spec["maxReplicas"])
        for one in (aborted, running)
        for spec in (one.manifest(HPA, name)["spec"] for name in ("iris", "iris-canary"))
    ]
    assert bounds == [(4, 20), (1, 1), (3, 18), (1, 2)]


def test_once_a_canary_has_all_requests_what_serves_is_as_without_it(aks):
    target = {"replicas": 10}
    finished, without = aks({**target, "canary": CANARY}, stage=FINISHED), aks(target)
    assert finished.manifest(DEPLOYMENT, "iris") == without.manifest(DEPLOYMENT, "iris")
    assert runs(finished, "iris") == (NEW, "1", 10)
    assert runs(finished, "iris-canary") == (NEW, "1", 5)
    assert told(finished)["percent"] == 100


@pytest.mark.parametrize(("stage", "weights"), [({}, [90, 10]), ({"weight": 50}, [50, 50]), (ABORTED, [100, 0])])
def test_a_gateways_weights_are_those_of_the_step(aks, stage, weights):
    target = {"host": "iris.example.com", "replicas": 4, "canary": CANARY}
    recorder = aks(target, stage=stage, **GATEWAY)
    (rule,) = recorder.manifest("HTTPRoute")["spec"]["rules"]
    assert [one["weight"] for one in rule["backendRefs"]] == weights
    assert runs(recorder, "iris")[2] == 4


def test_every_stage_has_the_same_resources_so_that_none_comes_or_goes_with_a_step(aks):
    target = {"replicas": {"min": 1, "max": 5}, "canary": CANARY}
    found = [aks(target, stage=stage).objects for stage in ({}, {"weight": 50}, ABORTED, FINISHED)]
    assert all(one == found[0] for one in found)
    assert aks(target, unknown=True).objects == found[0]
