"""The kubernetes stand-in under the real engine and on a real cluster: objects made, changed, found again, removed."""

import kubernetes
import pytest
from kubernetes.client.exceptions import ApiException

from tests.system import kubernetes_cluster
from toolchain.oci import Registry

pytestmark = [pytest.mark.engine, pytest.mark.system]

BEGIN = """
import pulumi_kubernetes as k8s
cluster = k8s.Provider("cluster", kubeconfig=kubeconfig, namespace=namespace)
on = pulumi.ResourceOptions(provider=cluster)
"""
SETTINGS = """
settings = k8s.core.v1.ConfigMap("settings", metadata=metadata, data=data, opts=on)
pulumi.export("name", settings.metadata.name)
"""
BOX = """
Container, Template = k8s.core.v1.ContainerArgs, k8s.core.v1.PodTemplateSpecArgs
labels = {"app": "box"}
k8s.apps.v1.Deployment("box", metadata={"name": "box"}, spec=k8s.apps.v1.DeploymentSpecArgs(
    replicas=replicas,
    selector=k8s.meta.v1.LabelSelectorArgs(match_labels=labels),
    progress_deadline_seconds=15,
    template=Template(metadata=k8s.meta.v1.ObjectMetaArgs(labels=labels), spec=k8s.core.v1.PodSpecArgs(
        termination_grace_period_seconds=1,
        security_context=k8s.core.v1.PodSecurityContextArgs(run_as_non_root=True, run_as_user=65532,
            seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault")),
        containers=[Container(name="box", image=image, command=["sh", "-c", script],
            security_context=k8s.core.v1.SecurityContextArgs(allow_privilege_escalation=False,
                capabilities=k8s.core.v1.CapabilitiesArgs(drop=["ALL"])))]))), opts=on)
"""
CONFIG_MAP, DEPLOYMENT = ("ConfigMap", "settings"), ("Deployment", "box")
FORCED = "pulumi.com/patchForce"
REGISTRY = "localhost:5050"


class Program:
    """A stack whose objects are in a namespace of the test's own."""

    def __init__(self, stack, cluster, namespace):
        self.stack, self.cluster, self.namespace = stack, cluster, namespace

    def settings(self, *, name="settings", labels=None, annotations=None, **data):
        metadata = {key: value for key, value in (("name", name), ("labels", labels)) if value}
        metadata["annotations"] = annotations or {}
        self._write(SETTINGS, metadata=metadata, data=data)

    def box(self, script, *, image=None, replicas=1):
        self._write(BOX, script=script, image=image or base(), replicas=replicas)

    def nothing(self):
        self._write("")

    def _write(self, text, **values):
        self.stack.program(BEGIN + text, kubeconfig=self.cluster.kubeconfig, namespace=self.namespace, **values)

    def found(self, name="settings"):
        """The ConfigMap as the cluster has it; None where there is none."""
        try:
            return self.cluster.core.read_namespaced_config_map(name, self.namespace)
        except ApiException as error:
            if error.status != 404:
                raise
            return None

    def change(self, **data):
        """Do as somebody with kubectl would."""
        self.cluster.core.patch_namespaced_config_map("settings", self.namespace, {"data": data})

    def deployment(self):
        apps = kubernetes.client.AppsV1Api(self.cluster.client)
        return apps.read_namespaced_deployment("box", self.namespace)


def base():
    """An image with a shell that the nodes can pull: ours where the machine made one, else the official one."""
    there = Registry(REGISTRY).digest("library/python", "3.11-slim")
    return f"{REGISTRY}/library/python:3.11-slim" if there else "docker.io/library/python:3.11-slim"


@pytest.fixture(scope="module")
def cluster():
    return kubernetes_cluster.running()


@pytest.fixture
def namespace(cluster):
    with cluster.namespace() as name:
        yield name


@pytest.fixture
def program(cluster, namespace, stack):
    return Program(stack, cluster, namespace)


def test_an_object_is_made_left_alone_changed_in_place_replaced_and_removed(program):
    program.settings(mode="fast")
    foreseen = program.stack.preview()
    assert foreseen.operations[CONFIG_MAP] == {"create"}
    assert program.found() is None
    program.stack.up()
    made = program.found()
    assert made.data == {"mode": "fast"}
    assert program.stack.up().operations == {}

    program.settings(mode="fast", labels={"team": "a"})
    assert program.stack.preview().operations == {CONFIG_MAP: {"update"}}
    assert not program.found().metadata.labels
    assert program.stack.up().operations == {CONFIG_MAP: {"update"}}
    assert (program.found().metadata.labels, program.found().metadata.uid) == ({"team": "a"}, made.metadata.uid)

    # By default the content of a ConfigMap is another ConfigMap, as in the official plugin.
    program.settings(mode="slow")
    assert "replace" in program.stack.up().operations[CONFIG_MAP]
    assert program.found().data == {"mode": "slow"}
    assert program.found().metadata.uid != made.metadata.uid

    program.nothing()
    assert program.stack.up().operations == {CONFIG_MAP: {"delete"}}
    assert program.found() is None


def test_an_object_without_a_name_has_one_that_lasts_until_it_is_replaced(program):
    program.settings(name=None, mode="fast")
    program.stack.up()
    first = program.stack.outputs()["name"]
    assert first.startswith("settings-")
    program.settings(name=None, mode="fast", labels={"team": "a"})
    program.stack.up()
    assert program.stack.outputs()["name"] == first
    program.settings(name=None, mode="slow")
    program.stack.up()
    assert program.stack.outputs()["name"] != first
    assert program.found(first) is None


def test_what_somebody_else_changed_is_found_and_taken_back_only_when_the_program_insists(program):
    program.settings(mode="fast", labels={"team": "a"})
    program.stack.up()
    patch = {"metadata": {"labels": {"team": "b"}}}
    program.cluster.core.patch_namespaced_config_map("settings", program.namespace, patch)
    refused = program.stack.preview("--refresh", check=False)
    assert refused.code
    assert "Somebody else set these fields" in refused.output
    program.settings(mode="fast", labels={"team": "a"}, annotations={FORCED: "true"})
    program.stack.up("--refresh")
    assert program.found().metadata.labels == {"team": "a"}

    program.cluster.core.delete_namespaced_config_map("settings", program.namespace)
    assert program.stack.up("--refresh").operations == {CONFIG_MAP: {"create"}}
    assert program.found().data == {"mode": "fast"}


def test_a_preview_refuses_what_the_api_server_would(program):
    program.settings(mode="fast", labels={"team": "no spaces, please"})
    refused = program.stack.preview(check=False)
    assert refused.code
    assert "ConfigMap settings" in refused.output
    assert "a valid label must be" in refused.output
    assert program.found() is None


def test_pods_that_do_not_work_fail_the_update_with_their_events_and_last_lines_and_the_next_one_mends_it(program):
    program.box("sleep 1000", image=f"{REGISTRY}/none-such:1")
    unpulled = program.stack.up(check=False)
    assert unpulled.code
    assert "do not become ready in time" in unpulled.output
    assert "Failed to pull image" in unpulled.output

    program.box("echo the weights are missing; exit 3")
    crashed = program.stack.up(check=False)
    assert crashed.code
    assert crashed.operations == {DEPLOYMENT: {"update"}}
    assert "ended with exit code 3" in crashed.output
    assert "the weights are missing" in crashed.output
    assert program.stack.resources()[DEPLOYMENT]["initErrors"]

    program.box("sleep 1000", replicas=2)
    program.stack.up()
    assert program.deployment().status.available_replicas == 2
    assert "initErrors" not in program.stack.resources()[DEPLOYMENT]
    assert program.stack.preview().operations == {}

    program.stack.destroy()
    assert program.cluster.core.list_namespaced_pod(program.namespace).items == []
