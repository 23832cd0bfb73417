"""A model that sleeps, on a real Kubernetes with KEDA's definitions.

KEDA's operator does not run: the test plays its part, in `as_keda` alone. The operator reads the subresource `scale` of
a Deployment, and writes it back with another number.
"""

import json
import os
from http import HTTPStatus

import kubernetes
import pytest
import yaml

from tests.system import kubernetes_cluster
from tests.system.checkout import ROOT
from tests.system.test_kubernetes_service import Models
from toolchain import object_checks
from toolchain.context import context_of
from toolchain.report import Report

pytestmark = [pytest.mark.engine, pytest.mark.system]
CRON = {"cron": {"start": "0 7 * * 1-5", "end": "0 19 * * 1-5", "timezone": "Europe/Berlin"}}
SLEEPS = {"replicas": {"min": 0, "max": 3, "triggers": [CRON]}}
GROUP = ("keda.sh", "v1alpha1")


class Sleeping(Models):
    """A checkout whose stack says that the cluster has KEDA."""

    def configure(self, **settings):
        super().configure(keda=True, **settings)

    def as_keda(self, name, pods):
        """Set a model's number of pods as KEDA does, and wait until there are so many."""
        self.wait_for(lambda: self._scale(name, pods))
        self.wait_for(lambda: (self.ready(name), len(self.pods(name))) == (pods, pods))

    def _scale(self, name, pods):
        scale = self.apps.read_namespaced_deployment_scale(name, self.namespace)
        scale.spec.replicas = pods
        try:
            self.apps.replace_namespaced_deployment_scale(name, self.namespace, scale)
        except kubernetes.client.ApiException as error:
            # The cluster's own controllers have written to it in between.
            if error.status != HTTPStatus.CONFLICT:
                raise
            return False
        return True

    def scaled(self):
        """What KEDA is told of each model."""
        objects = kubernetes.client.CustomObjectsApi(self.cluster.client)
        found = objects.list_namespaced_custom_object(*GROUP, self.namespace, "scaledobjects")["items"]
        return {one["metadata"]["name"]: one["spec"] for one in found}


def _defined(cluster):
    """Give the cluster KEDA's definition of what is applied; returns what takes it away again."""
    folder = object_checks.definitions(context_of(ROOT, os.environ, Report()))
    if folder is None:
        pytest.fail("there are no definitions of KEDA's kinds: `make test` provides them")
    definition = yaml.safe_load((folder / "scaledobjects.yaml").read_text())
    name, api = definition["metadata"]["name"], kubernetes.client.ApiextensionsV1Api(cluster.client)

    def established():
        conditions = api.read_custom_resource_definition(name).status.conditions or []
        return any(one.type == "Established" and one.status == "True" for one in conditions)

    try:
        api.create_custom_resource_definition(definition)
    except kubernetes.client.ApiException as error:
        # A run that was killed has left it.
        if error.status != HTTPStatus.CONFLICT:
            raise
    kubernetes_cluster.until(established, "the API server knows ScaledObjects")
    return lambda: api.delete_custom_resource_definition(name)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A checkout with the model iris, which may sleep; its tests are one story: each deployment takes its time."""
    if not (ROOT / ".slipway/toolchain.json").exists():
        pytest.fail("the toolchain is not set up: run `make setup`")
    cluster = kubernetes_cluster.running()
    undefine = _defined(cluster)
    try:
        made = Sleeping(tmp_path_factory.mktemp("keda") / "checkout", cluster)
        try:
            made.place("iris", **SLEEPS)
            made.run("up")
            yield made
        finally:
            made.close()
    finally:
        undefine()


def test_a_first_version_is_ready_before_anything_may_put_it_to_sleep(models):
    assert json.loads(models.run("score", "iris").stdout)["answer"] == "first"
    spec = models.scaled()["iris"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (0, 3)
    assert [one["type"] for one in spec["triggers"]] == ["cron", "cpu"]
    assert not models.scaling.list_namespaced_horizontal_pod_autoscaler(models.namespace).items


def test_asleep_is_no_difference_and_no_fault_and_is_said(models):
    models.as_keda("iris", 0)
    assert models.operations("up", "--yes", "--skip-preview") == {}
    assert models.apps.read_namespaced_deployment("iris", models.namespace).spec.replicas == 0
    assert models.status() == {"iris": ("asleep", None)}
    asked = models.run("score", "iris", check=False)
    assert (asked.returncode, "iris is asleep" in asked.stderr) == (1, True)
    assert "iris is asleep" in models.run("score").stdout
    assert "iris is asleep: 0 of 0 pods serve." in models.run("diagnose", check=False).stdout


def test_a_new_version_of_what_sleeps_is_taken_over_without_a_pod_and_answers_once_it_is_awake(models):
    models.place("iris", "second", version=2, **SLEEPS)
    changed = models.up()
    assert changed["Deployment", "iris"] == {"update"}
    assert ("ScaledObject", "iris") not in changed
    assert (models.pods("iris"), models.status()) == ([], {"iris": ("asleep", None)})
    models.as_keda("iris", 1)
    assert models.status() == {"iris": ("ready", None)}
    assert json.loads(models.run("score", "iris").stdout)["answer"] == "second"
    assert models.operations("up", "--yes", "--skip-preview") == {}
    assert models.ready("iris") == 1


def test_without_triggers_the_manifests_number_holds_again_whatever_keda_has_set(models):
    models.as_keda("iris", 3)
    models.place("iris", "second", version=2, replicas=2)
    models.up()
    assert models.scaled() == {}
    assert models.apps.read_namespaced_deployment("iris", models.namespace).spec.replicas == 2
    assert models.status() == {"iris": ("ready", None)}


def test_a_removed_stack_leaves_no_object(models):
    assert models.is_left()
    models.run("down")
    models.wait_for(lambda: not models.is_left(), seconds=120)
