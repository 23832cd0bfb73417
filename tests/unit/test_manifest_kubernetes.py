"""The target `aks` and the stack's `kubernetes`, `azure.aks` and `entra`: what is taken, and what is refused."""

import pytest
from pydantic import ValidationError

from manifest import AksTarget, ManifestError, load_environment
from manifest.kubernetes import EntraSettings

CLUSTER = (
    "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/theirs/providers/"
    "Microsoft.ContainerService/managedClusters/theirs"
)

EARLIER = {"version": "1", "digest": "sha256:" + "a" * 64}


def load(**keys):
    return load_environment({"targets": ["aks"], **keys}, source="prod")


def said(**keys):
    with pytest.raises(ManifestError) as refused:
        load(**keys)
    (problem,) = refused.value.problems
    return str(problem)


def test_a_target_is_safe_by_default():
    target = AksTarget()
    assert (target.auth, target.egress, target.spread, target.rollout) == ("key", "internet", True, "rolling")
    assert (target.replicas.min, target.replicas.autoscaled, target.memory_mib) == (2, False, 1024)


@pytest.mark.parametrize(
    ("given", "least", "most", "autoscaled"),
    [
        (3, 3, None, False),
        ({"min": 3}, 3, None, False),
        ({"min": 2, "max": 20}, 2, 20, True),
        ({"min": 2, "max": 2}, 2, 2, False),
        ({"max": 5, "cpu": 50}, 2, 5, True),
    ],
)
def test_replicas_are_a_number_or_its_bounds(given, least, most, autoscaled):
    replicas = AksTarget.model_validate({"replicas": given}).replicas
    assert (replicas.min, replicas.max, replicas.autoscaled) == (least, most, autoscaled)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"replicas": 0}, "from 1 to 1000, not 0; a service that is not wanted is removed"),
        ({"replicas": "3"}, "valid dictionary"),
        ({"replicas": True}, "valid dictionary"),
        ({"replicas": {"min": 3, "max": 2}}, "must be at least `min`, 3, not 2"),
        ({"replicas": {"min": -1, "max": 2}}, "greater than or equal to 0"),
        ({"replicas": {"cpu": 101}}, "less than or equal to 100"),
        ({"cpu": 0}, "greater than or equal to 0.01"),
        ({"gpu": 0}, "greater than 0"),
        ({"namespace": "Team"}, "at most 63 lower-case letters"),
        ({"host": "https://iris.example.com"}, "a host's name"),
        ({"host": "iris"}, "a host's name"),
        ({"auth": "password"}, "'key', 'entra' or 'none'"),
        ({"startupSeconds": 5}, "greater than or equal to 10"),
        ({"canary": {"weight": 10}}, "canary.from"),
        ({"canary": {"from": EARLIER, "weight": 100}}, "less than or equal to 99"),
        ({"canary": {"from": EARLIER, "steps": [10, 50], "weight": 10}}, "has `weight` and `steps`; keep"),
        ({"canary": {"from": EARLIER, "steps": []}}, "has `steps` without a step"),
        ({"canary": {"from": EARLIER, "steps": [10, 10]}}, "must be above the one before"),
        ({"canary": {"from": EARLIER, "steps": [50, 100]}}, "less than or equal to 99"),
        ({"canary": {"from": EARLIER, "for": "10m"}}, "has `for` without `steps`"),
        ({"canary": {"from": EARLIER, "steps": [10], "for": "10 minutes"}}, 'a time as in "90s"'),
        ({"canary": {"from": EARLIER, "abortOn": {}}}, "has no limit; give `errorRate`"),
        ({"canary": {"from": EARLIER, "abortOn": {"errorRate": 5}}}, "less than 1"),
        ({"canary": {"from": EARLIER, "abortOn": {"p99": "2m"}}}, 'a time as in "250ms"'),
        ({"canary": {"from": EARLIER, "abortOn": {"p99": "90s"}}}, "must be below 60 s"),
        ({"auth": "entra", "canary": {"from": EARLIER, "abortOn": {"p99": "1s"}}}, "want a token that `up` has not"),
        ({"canary": {"from": {**EARLIER, "digest": "latest"}}}, "an image's digest"),
        ({"shadow": True}, "valid dictionary"),
        ({"shadow": {"from": EARLIER}}, "needs `host`"),
        ({"host": "a.example.com", "canary": {"from": EARLIER}, "shadow": {"from": EARLIER}}, "exclude each other"),
        ({"rollout": "canary"}, "Input should be 'rolling'"),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_allowed(keys, message):
    with pytest.raises(ValidationError) as refused:
        AksTarget.model_validate(keys)
    assert message in str(refused.value)


def test_a_canary_has_one_share_or_steps_of_some_length_and_limits():
    def canary(**keys):
        return AksTarget.model_validate({"canary": {"from": EARLIER, **keys}}).canary

    one, stays = canary(), canary(weight=20, abortOn={"p99": "250ms"})
    assert (one.shares, one.seconds, one.is_staged) == ((10,), None, False)
    assert (stays.shares, stays.seconds, stays.is_staged) == ((20,), None, True)
    assert stays.limits == {"requests": 100, "p99": 0.25}
    staged = canary(steps=[5, 50], abortOn={"errorRate": 0.05, "requests": 500}, **{"for": "2h"})
    assert (staged.shares, staged.seconds, staged.limits) == ((5, 50), 7200, {"requests": 500, "errorRate": 0.05})
    assert canary(steps=[5]).seconds == 600


def test_two_models_cannot_ask_for_the_same_host():
    assert AksTarget(host="iris.example.com").claims("iris") == {"host": "iris.example.com"}
    assert AksTarget().claims("iris") == {}


@pytest.mark.parametrize(
    "keys",
    [
        {"kubernetes": {"context": "mine"}},
        {"kubernetes": {"kubeconfig": "~/.kube/config"}},
        {"kubeconfig": "clusters: []"},
    ],
)
def test_a_cluster_is_named_by_a_kubeconfig_or_its_context(keys):
    assert load(**keys).has_own_cluster


def test_a_cluster_of_azures_needs_a_region_alone():
    environment = load(azure={"location": "westeurope"})
    assert not environment.has_own_cluster
    (pool,) = environment.azure.aks.pools
    assert (pool.name, pool.min, pool.max, pool.spot) == ("models", 1, 5, False)


def test_a_target_without_a_cluster_is_refused_with_what_to_write():
    assert "slipway:kubernetes with `kubeconfig` or `context`, or slipway:azure" in said()
    assert "slipway:kubernetes with" in said(kubernetes={"service": "NodePort"})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"service": "Ingress"}, "'ClusterIP', 'NodePort' or 'LoadBalancer'"),
        ({"gateway": {"name": "a", "namespace": "b"}, "ingress": {"class": "nginx"}}, "exclude each other"),
        ({"ingress": {"class": "nginx", "issuer": "a", "tlsSecret": "b"}}, "exclude each other"),
        ({"ingress": {}}, "class: is missing"),
        ({"nodeSelector": {"a b": "c"}}, "a label's name"),
        ({"namespaces": {"team-a": {"quota": {"memory": "lots"}}}}, 'an amount such as "40Gi"'),
        ({"kubeconfg": "x"}, 'did you mean "kubeconfig"?'),
    ],
)
def test_settings_that_cannot_be_are_refused_with_what_is_allowed(keys, message):
    assert message in said(kubernetes={"context": "mine", **keys})


def test_a_kubeconfig_that_is_none_is_refused_without_being_shown():
    message = said(kubeconfig="canary-token")
    assert "the content of a kubeconfig" in message
    assert "canary" not in message


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"id": "theirs"}, "Microsoft.ContainerService/managedClusters/NAME"),
        ({"id": CLUSTER, "tier": "Free"}, 'remove "tier", or the id to create one'),
        ({"pools": []}, "at least one pool"),
        ({"pools": [{"name": "a"}, {"name": "a"}]}, 'has "a" twice'),
        ({"pools": [{"name": "system"}]}, 'the cluster\'s own nodes are the pool "system"'),
        ({"pools": [{"name": "a", "min": 5, "max": 2}]}, "must be at least `min`, 5, not 2"),
        ({"pools": [{"name": "a", "min": 9}]}, "max: must be at least `min`, 9, not 5"),
        ({"system": {"min": 8}}, "max: must be at least `min`, 8, not 6"),
        ({"pools": [{"name": "my-pool"}]}, "1 to 12 lower-case letters"),
        ({"system": {"vmSize": "big"}}, "a size as in"),
        ({"authorizedRanges": ["everybody"]}, "a range as in"),
        ({"login": "devicecode"}, "'azurecli', 'workloadidentity' or 'spn'"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused_with_what_is_allowed(keys, message):
    assert message in said(azure={"location": "westeurope", "aks": keys})


def test_a_cluster_that_is_attached_says_how_to_log_in():
    aks = load(azure={"location": "westeurope", "aks": {"id": CLUSTER, "login": "spn"}}).azure.aks
    assert (aks.id, aks.login) == (CLUSTER, "spn")


def test_whose_tokens_are_taken_is_told_to_the_service():
    entra = EntraSettings(tenant="example.com", audience="api://iris", roles="Score")
    assert entra.variables == {
        "SLIPWAY_ENTRA_TENANT": "example.com",
        "SLIPWAY_ENTRA_AUDIENCE": "api://iris",
        "SLIPWAY_ENTRA_ROLES": "Score",
    }
