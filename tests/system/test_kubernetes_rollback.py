"""A change that never becomes ready is taken back on a real cluster, and whoever applied it meets no conflict later."""

from types import SimpleNamespace

import pytest

from cli.deployment.rollback import roll_back
from cli.placements.cluster import Cluster
from cli.placements.pods import state_of, taken_back, trouble
from tests.system import kubernetes_cluster
from tests.system.checkout import ROOT
from tests.system.kubernetes_cluster import until
from toolchain.oci import Registry

pytestmark = [pytest.mark.system]

REGISTRY = "localhost:5050"
OWNER = "pulumi-kubernetes-1a2b3c4d"
GOOD = "touch /tmp/ready; sleep 1000"


class Workload:
    """A Deployment as Pulumi's provider applies it, in a namespace of the test's own."""

    def __init__(self, kubeconfig, namespace):
        settings = {"kubeconfig": kubeconfig, "namespace": namespace}
        config = SimpleNamespace(values={"slipway:kubernetes": settings})
        project = SimpleNamespace(name="rollback", root=ROOT)
        self.cluster = Cluster(SimpleNamespace(project=project, stack="dev", config=config))
        self.namespace = namespace
        there = Registry(REGISTRY).digest("library/python", "3.11-slim")
        self.image = f"{REGISTRY}/library/python:3.11-slim" if there else "docker.io/library/python:3.11-slim"

    def apply(self, script):
        labels = {"app.kubernetes.io/name": "iris", "app.kubernetes.io/instance": "rollback-dev"}
        container = {
            "name": "model",
            "image": self.image,
            "command": ["sh", "-c", script],
            # Without one a pod that ends at once is ready for a moment, and may take the place of the one before.
            "readinessProbe": {
                "exec": {"command": ["test", "-e", "/tmp/ready"]},  # noqa: S108 - in the container
                "periodSeconds": 1,
                "timeoutSeconds": 10,
                "failureThreshold": 30,
            },
            "env": [{"name": "B", "value": "1"}, {"name": "A", "value": "2"}],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
        pod = {
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        }
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "iris", "namespace": self.namespace, "labels": labels},
            "spec": {
                "replicas": 1,
                "minReadySeconds": 5,
                "selector": {"matchLabels": labels},
                "progressDeadlineSeconds": 10,
                "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        }
        there = SimpleNamespace(metadata=SimpleNamespace(name="iris", namespace=self.namespace))
        self.cluster.apply(there, OWNER, body)

    def found(self):
        [deployment] = self.cluster.deployments()
        return deployment

    def becomes(self, state):
        until(lambda: state_of(self.found()) == state, f"it is {state}")

    def tells_why(self):
        """Wait until a pod has ended: on a busy machine the change may be given up before one has begun."""
        until(lambda: any(trouble(pod, self.cluster) for pod in self.cluster.pods()), "a pod tells what is wrong")


@pytest.fixture
def workload():
    cluster = kubernetes_cluster.running()
    with cluster.namespace() as name:
        yield Workload(cluster.kubeconfig, name)


def test_a_broken_change_is_taken_back_as_often_as_it_is_tried_and_a_good_one_takes_its_place(workload):
    workload.apply(GOOD)
    workload.becomes("ready")
    said = []
    for code in (3, 4):
        workload.apply(f"echo these weights are of another model; exit {code}")
        workload.tells_why()
        workload.becomes("stuck")
        roll_back(workload.cluster, said.append)
        workload.becomes("rolled back")
        found = workload.found()
        assert "these weights are of another model" in taken_back(found)
        assert found.spec.template.spec.containers[0].command == ["sh", "-c", GOOD]
        assert sorted(one.spec.replicas for one in workload.cluster.replica_sets(found))[-2:] == [0, 1]
    assert len(said) == 2
    workload.apply(f"{GOOD}1")
    workload.becomes("ready")
    assert taken_back(workload.found()) is None
