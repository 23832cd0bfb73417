"""Models on a real Kubernetes, by the engine and the stand-in plugin: deployed, asked, changed, broken, removed."""

import json
import os
import time
from http import HTTPStatus

import kubernetes
import pytest

from cli.deployed import Placement
from cli.port_forward import reached
from cli.project import Project as Checkout
from cli.pulumi import Pulumi
from cli.service import score
from tests.system import kubernetes_cluster
from tests.system.checkout import ROOT, Project
from tests.system.kubernetes_load import Load

pytestmark = [pytest.mark.engine, pytest.mark.system]
TARGET = {"cpu": 0.1, "memory": "256Mi", "startupSeconds": 60, "replicas": 2}
# The check in a build passes; what fails does so where it serves.
BROKEN = """
import os


def init():
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        raise ValueError("these weights are of another model")


def run(data):
    return {"answer": "broken"}
"""
MANY = 10
# A longer trial of the same: the callers ask for at least so many seconds.
LOAD_SECONDS = float(os.environ.get("SLIPWAY_LOAD_SECONDS", "0"))


class Models(Project):
    """A checkout whose models are on the cluster."""

    def __init__(self, folder, cluster):
        super().__init__(folder)
        self.cluster = cluster
        self.apps = kubernetes.client.AppsV1Api(cluster.client)
        self.scaling = kubernetes.client.AutoscalingV2Api(cluster.client)
        self.namespace = f"{self.stack}-{self.stack}"
        self.env["PATH"] = f"{ROOT / 'standins/bin'}{os.pathsep}{self.env['PATH']}"
        self.configure()

    def configure(self, **settings):
        """Write the stack's configuration."""
        given = {"kubeconfig": self.cluster.kubeconfig, "service": "NodePort", "node": "127.0.0.1", **settings}
        config = {"slipway:targets": ["aks"], "slipway:kubernetes": given}
        (self.folder / f"Pulumi.{self.stack}.yaml").write_text(json.dumps({"config": config}))

    def place(self, name, answer="first", version=1, **target):
        """Write a model that is on the cluster."""
        self.model(name, answer)
        self._entries[name] |= {"version": version, "targets": [{"aks": {**TARGET, **target}}]}
        self.write_manifest()

    def up(self, *options):
        """Deploy, without the preview that a person would look at."""
        return self.operations("up", "--yes", "--skip-preview", *options)

    def deployed(self, name):
        """What the stack exports of a model."""
        return json.loads(self.pulumi("stack", "output", "--json").stdout)["models"][name]

    def keys(self, name):
        (found,) = json.loads(self.run("keys", name, "--json").stdout)["keys"]
        return found

    def load(self, name, **options):
        """Callers of a model."""
        return Load(self.deployed(name)["targets"]["aks"]["endpoint"], self.keys(name)["primary"], **options)

    def status(self):
        """State and error of each model, as the command shows them."""
        found = json.loads(self.run("status", "--json").stdout)["models"]
        return {one["model"]: (one["state"], one["error"]) for one in found}

    def pods(self, name):
        selector = f"app.kubernetes.io/name={name}"
        found = self.cluster.core.list_namespaced_pod(self.namespace, label_selector=selector).items
        return [one for one in found if one.metadata.deletion_timestamp is None]

    def evict(self, pod):
        """Have a pod put out; False while the disruption budget, which learns of ready pods late, forbids it."""
        eviction = {"metadata": {"name": pod, "namespace": self.namespace}}
        try:
            self.cluster.core.create_namespaced_pod_eviction(pod, self.namespace, eviction)
        except kubernetes.client.ApiException as error:
            if error.status != HTTPStatus.TOO_MANY_REQUESTS:
                raise
            return False
        return True

    def ready(self, name):
        """How many pods of a model serve."""
        return self.apps.read_namespaced_deployment_status(name, self.namespace).status.available_replicas or 0

    def is_left(self):
        return any(one.metadata.name == self.namespace for one in self.cluster.core.list_namespace().items)

    def close(self):
        self.run("down", check=False)
        if self.is_left():
            self.cluster.core.delete_namespace(self.namespace)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A checkout with the model iris on the cluster; its tests are one story, since each deployment takes its time."""
    if not (ROOT / ".slipway/toolchain.json").exists():
        pytest.fail("the toolchain is not set up: run `make setup`")
    made = Models(tmp_path_factory.mktemp("kubernetes") / "checkout", kubernetes_cluster.running())
    try:
        made.place("iris")
        made.run("up")
        yield made
    finally:
        made.close()


def test_a_model_answers_whoever_has_its_key_and_an_unchanged_manifest_is_no_operation(models):
    assert json.loads(models.run("score", "iris").stdout)["answer"] == "first"
    with Load(models.load("iris").address.geturl(), "another key" * 4, callers=1, pause=0.05) as without:
        models.wait_for(lambda: without.asked > 3)
    assert without.statuses == {401}
    assert models.status() == {"iris": ("ready", None)}
    assert models.operations("preview") == {}


def test_logs_of_all_pods_are_shown_together(models):
    lines = [json.loads(line) for line in models.run("logs", "iris", "--json").stdout.splitlines()]
    assert {one["container"] for one in lines} >= {one.metadata.name for one in models.pods("iris")}
    assert any("ready" in one["line"] for one in lines)


def test_a_model_that_only_its_cluster_reaches_is_asked_through_the_api_server(models):
    inside = f"http://iris.{models.namespace}.svc.cluster.local"
    placement = Placement("iris", "1", "aks", endpoint=inside, namespace=models.namespace, workload="iris", auth="key")
    key = models.keys("iris")["primary"]
    with reached(Pulumi(Checkout(models.folder, models.stack), models.stack, models.env), [placement]) as [found]:
        answers = [score(found.endpoint, b"[1, 2]", 20, key).value["answer"] for _ in range(3)]
        long = score(found.endpoint, b"[" + b"1," * 200_000 + b"2]", 20, key)
    assert answers == ["first"] * 3
    assert long.value["sum"] == 200_002


def test_no_request_fails_while_pods_are_killed_and_versions_change_and_one_of_them_is_broken(models, record_property):
    with models.load("iris") as load:
        began = time.monotonic()
        models.place("iris", "second")
        models.up()
        models.wait_for(lambda: load.had("second"))

        killed = models.pods("iris")[0].metadata
        models.cluster.core.delete_namespaced_pod(killed.name, models.namespace)
        models.wait_for(lambda: killed.name not in {one.metadata.name for one in models.pods("iris")})
        models.wait_for(lambda: models.ready("iris") == 2, seconds=120)
        evicted = models.pods("iris")[0].metadata
        models.wait_for(lambda: models.evict(evicted.name))
        models.wait_for(lambda: evicted.name not in {one.metadata.name for one in models.pods("iris")})

        models.place("iris", startupSeconds=10)
        models.script("iris").write_text(BROKEN)
        failed = models.run("up", check=False)
        state, error = models.status()["iris"]
        diagnosed = models.run("diagnose", check=False).stdout
        models.wait_for(lambda: time.monotonic() - began >= LOAD_SECONDS, seconds=LOAD_SECONDS + 1)
    assert failed.returncode
    reason = "these weights are of another model"
    assert reason in failed.stdout + failed.stderr
    assert (state in {"rolled back", "stuck", "updating"}, reason in error, reason in diagnosed) == (True, True, True)
    assert load.asked > 200
    assert not load.failed, load.failed[:3]
    assert not load.had("broken")
    record_property("requests", load.asked)
    record_property("seconds", round(time.monotonic() - began))


def test_a_canary_answers_its_share_beside_the_earlier_version(models):
    models.place("iris", "second", replicas=4)
    models.up()
    before = {one.metadata.uid for one in models.pods("iris")}
    earlier = {"version": 1, "digest": models.deployed("iris")["image"].partition("@")[2]}
    models.place("iris", "third", version=2, replicas=4, canary={"from": earlier, "weight": 25})
    assert "25 % of the requests by its share of the pods (1 of 4)" in models.run("preview").stdout
    with models.load("iris", callers=2, pause=0.02) as load:
        models.up()
        models.wait_for(lambda: load.had("third"))
    assert not load.failed, load.failed[:3]
    after = {one.metadata.uid for one in models.pods("iris")}
    assert (len(after), len(before & after)) == (4, 3)
    # Callers who open a connection for each request come to any of the pods.
    with models.load("iris", keeps=False) as load:
        models.wait_for(lambda: load.asked >= 400, seconds=60)
    share = sum(count for (_, text), count in load.answers.items() if "third" in text) / load.asked
    assert 0.1 < share < 0.45, load.answers
    models.place("iris", "third", version=2, replicas=2)
    models.up()
    assert json.loads(models.run("score", "iris").stdout)["answer"] == "third"


def test_what_somebody_removed_is_told_and_restored(models):
    models.apps.delete_namespaced_deployment("iris", models.namespace)
    assert models.status()["iris"][0] == "missing"
    assert "The Deployment iris is gone" in models.run("diagnose", check=False).stdout
    models.run("up", "--", "--refresh")
    assert models.status()["iris"][0] == "ready"


def test_many_models_come_with_the_load_and_with_new_keys_and_a_change_to_one_touches_one(models):
    names = [f"model-{number}" for number in range(MANY)]
    small = {"replicas": 1, "cpu": 0.02, "memory": "128Mi"}
    for name in names:
        models.place(name, **small)
    models.place("busy", **small | {"replicas": {"min": 1, "max": 2, "cpu": 10}})
    pods, old = {one.metadata.uid for one in models.pods("iris")}, models.keys("iris")
    models.place("iris", "third", version=2, replicas=2, rotate=1)
    models.up()
    assert {state for state, _ in models.status().values()} == {"ready"}
    new = models.keys("iris")
    assert (new["primary"] == old["primary"], new["secondary"] == old["secondary"]) == (True, False)
    with models.load("busy", callers=2):
        models.wait_for(lambda: models.ready("busy") == 2, seconds=180)
    with Load(models.load("iris").address.geturl(), new["secondary"], callers=1, pause=0.2) as load:
        # As soon as the kubelets have renewed the file.
        models.wait_for(lambda: 200 in load.statuses, seconds=180)
    assert {one.metadata.uid for one in models.pods("iris")} == pods
    # What the autoscaler did is no change.
    assert models.operations("preview") == {}
    models.place(names[3], "changed", **small)
    changed = models.operations("preview")
    assert {name for _, name in changed} == {names[3]}
    assert changed["Deployment", names[3]] == {"update"}


def test_a_removed_stack_leaves_no_object(models):
    assert models.is_left()
    models.run("down")
    models.wait_for(lambda: not models.is_left(), seconds=120)
