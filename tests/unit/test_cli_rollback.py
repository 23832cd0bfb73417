"""A change that was given up is taken back: to which pods, and what is applied in whose name."""

from types import SimpleNamespace

import pytest

from cli.deployment.rollback import restored, roll_back, serving
from cli.errors import CliError
from cli.placements.pods import ROLLED_BACK

REVISION = "deployment.kubernetes.io/revision"
SELECTOR = {"app.kubernetes.io/name": "iris", "slipway.io/track": "stable"}


def a_set(revision, available, image="good"):
    template = {
        "metadata": {"labels": {**SELECTOR, "pod-template-hash": "5d4"}},
        "spec": {"containers": [{"name": "model", "image": image}]},
    }
    return SimpleNamespace(
        metadata=SimpleNamespace(annotations={REVISION: str(revision)}),
        status=SimpleNamespace(available_replicas=available),
        spec=SimpleNamespace(template=template),
    )


def a_deployment(revision=3, *, stuck=True, operation="Apply"):
    progressing = SimpleNamespace(type="Progressing", status=str(not stuck), message="")
    owned = {
        "f:metadata": {"f:labels": {"f:app.kubernetes.io/name": {}}},
        "f:spec": {"f:selector": {}, "f:template": {"f:spec": {}}},
    }
    plain = {
        "metadata": {
            "name": "iris",
            "namespace": "shop-dev",
            "labels": {"app.kubernetes.io/name": "iris", "theirs": "1"},
            "annotations": {REVISION: str(revision)},
            "managedFields": [
                {"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {"f:status": {}}},
                {"manager": "pulumi-kubernetes-1a2b", "operation": operation, "fieldsV1": owned},
            ],
        },
        "spec": {"replicas": 7, "selector": {"matchLabels": SELECTOR}, "template": {"spec": "broken"}},
    }
    return SimpleNamespace(
        metadata=SimpleNamespace(annotations={REVISION: str(revision)}, name="iris", namespace="shop-dev"),
        spec=SimpleNamespace(selector=SimpleNamespace(match_labels=SELECTOR)),
        status=SimpleNamespace(conditions=[progressing]),
        plain=plain,
    )


class Cluster:
    """Has one Deployment; what is applied is taken up unless it is deaf."""

    def __init__(self, deployment, sets, pods=(), *, hears=True):
        self.found, self.sets, self.waiting, self.hears = deployment, sets, list(pods), hears
        self.applied = []

    def deployments(self):
        return [self.found]

    def replica_sets(self, _deployment):
        return self.sets

    def pods(self):
        return self.waiting

    def plain(self, found):
        return getattr(found, "plain", found)

    def apply(self, deployment, manager, body):
        self.applied.append((manager, body))
        if self.hears:
            self.found = a_deployment(stuck=False)


def test_the_latest_pods_that_serve_are_gone_back_to_and_never_those_that_were_given_up():
    sets = [a_set(1, 1), a_set(2, 2), a_set(3, 1, "broken")]
    assert serving(a_deployment(), sets) is sets[1]
    assert serving(a_deployment(), [a_set(1, 0), a_set(2, None), sets[2]]) is None


def test_it_is_applied_in_the_name_of_who_applied_the_template_and_takes_nothing_else():
    manager, body = restored(a_deployment().plain, a_set(2, 2).spec.template, "exit code 1")
    assert manager == "pulumi-kubernetes-1a2b"
    assert body["metadata"] == {
        "name": "iris",
        "namespace": "shop-dev",
        "labels": {"app.kubernetes.io/name": "iris"},
        "annotations": {ROLLED_BACK: "exit code 1"},
    }
    # The number of pods is the autoscaler's.
    assert body["spec"].keys() == {"selector", "template"}
    assert body["spec"]["template"]["spec"]["containers"][0]["image"] == "good"
    assert body["spec"]["template"]["metadata"]["labels"] == SELECTOR


def test_what_is_rolled_back_is_told_with_what_to_do():
    cluster, said = Cluster(a_deployment(), [a_set(2, 2), a_set(3, 0, "broken")]), []
    roll_back(cluster, said.append)
    [(_, body)] = cluster.applied
    assert body["metadata"]["annotations"][ROLLED_BACK] == "its pods did not become ready in time"
    assert said == [
        "iris is rolled back to the pods that serve. The next `slipway up` tries again what models.yaml says."
    ]


@pytest.mark.parametrize(
    ("deployment", "sets"),
    [
        (a_deployment(stuck=False), [a_set(2, 2), a_set(3, 1)]),
        (a_deployment(), [a_set(3, 0, "broken")]),
    ],
    ids=["nothing was given up", "there is nothing to go back to"],
)
def test_what_need_not_or_cannot_be_rolled_back_stays_as_it_is(deployment, sets):
    cluster, said = Cluster(deployment, sets), []
    roll_back(cluster, said.append)
    assert (cluster.applied, said) == ([], [])


def test_a_deployment_that_nobody_applied_on_the_server_is_left_and_told():
    cluster, said = Cluster(a_deployment(operation="Update"), [a_set(2, 2)]), []
    roll_back(cluster, said.append)
    assert not cluster.applied
    assert "cannot be rolled back" in said[0]


def test_a_cluster_that_does_not_take_it_up_is_told(monkeypatch):
    monkeypatch.setattr("cli.deployment.rollback._SEEN_SECONDS", 0.0)
    with pytest.raises(CliError, match="has not taken up"):
        roll_back(Cluster(a_deployment(), [a_set(2, 2)], hears=False), lambda _: None)
