"""The pure parts of the stand-in for the kubernetes plugin: what differs, is replaced, drifted, and is waited for."""

import pytest

from provider.values import UNKNOWN
from standins.kubernetes.awaiting import _state
from standins.kubernetes.comparing import differences, drifted, forecast
from standins.kubernetes.immutable import replaces
from standins.kubernetes.plugin import KubernetesPackage


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        ("Deployment", "spec.replicas", False),
        ("Deployment", "spec.selector.matchLabels.app", True),
        ("Deployment", "spec.template.spec.containers[0].image", False),
        ("Deployment", "metadata.namespace", True),
        ("Deployment", "metadata.labels.name", False),
        ("Pod", "spec.containers[0].image", False),
        ("Pod", "spec.containers[0].env[1].value", True),
        ("ConfigMap", "data.key", True),
        ("Secret", 'stringData["a.b"]', True),
        ("Job", "spec.template.spec.containers[0].image", True),
    ],
)
def test_what_cannot_change_in_place_is_replaced(kind, path, expected):
    assert replaces(kind, path) is expected


def test_a_secrets_content_changes_in_place_where_the_provider_says_so():
    assert not replaces("Secret", "stringData.primary", mutable=True)
    assert replaces("Secret", "type", mutable=True)


def test_a_difference_is_told_at_its_deepest_path():
    old = {"metadata": {"labels": {"a.b/c": "1"}}, "spec": {"ports": [{"port": 80}, {"port": 81}]}}
    new = {"metadata": {"labels": {"a.b/c": "2"}}, "spec": {"ports": [{"port": 80}]}, "__own": 1}
    found = {one.path: one.kind for one in differences(old, new, lambda _: False)}
    assert found == {'metadata.labels["a.b/c"]': "UPDATE", "spec.ports[1]": "DELETE"}
    assert [one.path for one in differences(new, {**new, "spec": UNKNOWN}, lambda _: False)] == ["spec"]


def test_inputs_stay_where_the_server_only_writes_them_in_its_own_form():
    inputs = {"spec": {"cpu": "0.5", "env": [{"name": "A", "value": ""}]}}
    applied = {"spec": {"cpu": "500m", "env": [{"name": "A"}], "defaulted": 1}}
    assert drifted(inputs, applied, applied) is inputs
    live = {"spec": {"cpu": "1", "env": [{"name": "A"}], "defaulted": 1}}
    assert drifted(inputs, applied, live) == {"spec": {"cpu": "1", "env": [{"name": "A", "value": ""}]}}


def test_of_a_service_that_is_still_to_be_made_no_port_is_foretold():
    found = forecast({"kind": "Service", "metadata": {"name": "a"}, "spec": {"type": "NodePort"}}, "Service")
    assert (found["spec"], found["status"], found["metadata"]) == (UNKNOWN, UNKNOWN, {"name": "a"})


def _deployment(**status):
    return {
        "kind": "Deployment",
        "metadata": {"name": "a", "generation": 2},
        "spec": {"replicas": 2},
        "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, **status},
    }


@pytest.mark.parametrize(
    ("status", "waits"),
    [
        ({}, ""),
        ({"observedGeneration": 1}, "waiting until the change is seen"),
        ({"updatedReplicas": 1}, "1 of 2 pods are updated"),
        ({"replicas": 3}, "1 pods of before are still there"),
        ({"availableReplicas": 1}, "1 of 2 pods are ready"),
    ],
)
def test_a_deployment_is_waited_for_until_all_its_pods_are_new_and_ready(status, waits):
    assert _state(None, _deployment(**status)) == (waits, "")


def test_a_deployment_that_makes_no_progress_has_failed():
    stuck = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
    waits, fails = _state(None, _deployment(conditions=stuck, availableReplicas=1))
    assert not waits
    assert "do not become ready in time" in fails


def test_a_deployment_is_not_held_to_what_was_given_up_before_its_change_until_it_has_new_pods():
    before = {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "lastUpdateTime": "2026-01-01T00:00:00Z"}
    untouched = _deployment(conditions=[before], updatedReplicas=0)
    waits, fails = _state(None, untouched, before["lastUpdateTime"])
    assert (waits, fails) == ("waiting until the change is taken up", "")
    again = {**before, "lastUpdateTime": "2026-01-01T00:01:00Z"}
    for given_up in (_deployment(conditions=[again], updatedReplicas=0), _deployment(conditions=[before])):
        assert _state(None, given_up, before["lastUpdateTime"])[1]


def test_parts_of_others_objects_and_what_is_no_single_object_are_refused():
    package = KubernetesPackage()
    assert "kubernetes:apps/v1:Deployment" in package.resources
    assert "kubernetes:gateway.networking.k8s.io/v1:HTTPRoute" in package.resources
    for token in ("kubernetes:apps/v1:DeploymentPatch", "kubernetes:core/v1:PodList", "kubernetes:yaml/v2:ConfigFile"):
        assert "does not serve" in package.refusal(token)
        assert token not in package.resources


def test_options_that_are_not_served_are_refused():
    found = KubernetesPackage().check_config({"renderYamlToDirectory": "x", "enableServerSideApply": "false"})
    assert {one.property for one in found} == {"renderYamlToDirectory", "enableServerSideApply"}
