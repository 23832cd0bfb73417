"""Models on a real Kubernetes, by the engine and the stand-in plugin: deployed, asked, changed, broken, removed."""

import json
import os
import socket
import time

import kubernetes
import pytest

from cli.placements.placement import Placement
from cli.placements.port_forward import reached
from cli.placements.service import score
from cli.stack.project import Project as Checkout
from cli.stack.pulumi import Pulumi
from components.dockerfile import PORT
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
# Listens beside the service, and tells whether it reaches a port: that of a drop by silence takes its time.
CURIOUS = """
import json
import socket
import threading

_others = []


def _accept():
    listener = socket.create_server(("", 9999))
    while True:
        _others.append(listener.accept())


def init():
    threading.Thread(target=_accept, daemon=True).start()


def run(data):
    asked = json.loads(data)
    if isinstance(asked, list):
        return {"answer": "first"}
    try:
        socket.create_connection((asked["host"], asked["port"]), timeout=2).close()
    except TimeoutError:
        return {"answer": "silence"}
    return {"answer": "reached"}
"""
MANY = int(os.environ.get("SLIPWAY_MANY_MODELS", "10"))
# The callers ask for at least so many seconds; the roll-outs by themselves take longer.
LOAD_SECONDS = float(os.environ.get("SLIPWAY_LOAD_SECONDS", "60"))


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

    def pods(self, name, *, leaving=False):
        """A model's pods; with those that are about to end only if `leaving`."""
        selector = f"app.kubernetes.io/name={name}"
        found = self.cluster.core.list_namespaced_pod(self.namespace, label_selector=selector).items
        return [one for one in found if leaving or one.metadata.deletion_timestamp is None]

    def nodes(self, name):
        """The node of each of a model's pods."""
        return [one.spec.node_name for one in self.pods(name)]

    def drained(self, node):
        """A node whose models were put out of it; yields what kubectl said."""
        return self.cluster.drained(node, f"app.kubernetes.io/instance={self.namespace}")

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

        models.place("iris", startupSeconds=10)
        models.script("iris").write_text(BROKEN)
        failed = models.run("up", check=False)
        state, error = models.status()["iris"]
        diagnosed = models.run("diagnose", check=False).stdout
        models.wait_for(lambda: time.monotonic() - began >= LOAD_SECONDS, seconds=LOAD_SECONDS + 1)
    assert failed.returncode
    reason = "these weights are of another model"
    assert reason in failed.stdout + failed.stderr
    assert state in {"rolled back", "stuck", "updating"}
    assert reason in error
    assert reason in diagnosed, diagnosed
    assert load.asked > 200
    assert not load.failed, load.failed[:3]
    assert not load.had("broken")
    record_property("requests", load.asked)
    record_property("seconds", round(time.monotonic() - began))


def test_no_request_fails_while_each_node_is_drained_in_turn(models):
    models.wait_for(lambda: models.ready("iris") == 2)
    first, second = models.cluster.nodes
    with models.load("iris") as load:
        with models.drained(first):
            models.wait_for(lambda: models.ready("iris") == 2)
            assert models.nodes("iris") == [second] * 2
        # Both are put out of this one: the second of them not before another one is ready.
        with models.drained(second) as said:
            models.wait_for(lambda: models.ready("iris") == 2)
            assert models.nodes("iris") == [first] * 2
    assert "would violate the pod's disruption budget" in said
    assert load.asked > 100
    assert not load.failed, load.failed[:3]


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
    small = {"replicas": 1, "cpu": 0.04, "memory": "128Mi"}
    for name in names:
        models.place(name, **small)
    models.place("busy", **small | {"replicas": {"min": 1, "max": 2, "cpu": 60}})
    models.place("careful", **small)
    models.place("open", **small, egress="any")
    for name in ("careful", "open"):
        models.script(name).write_text(CURIOUS)
    pods, old = {one.metadata.uid for one in models.pods("iris")}, models.keys("iris")
    models.place("iris", "third", version=2, replicas=2, rotate=1)
    models.up()
    assert {state for state, _ in models.status().values()} == {"ready"}
    new = models.keys("iris")
    assert (new["primary"] == old["primary"], new["secondary"] == old["secondary"]) == (True, False)
    with models.load("busy", callers=2):
        models.wait_for(lambda: models.ready("busy") == 2, seconds=180)
    # What the autoscaler did is no change.
    assert models.operations("preview") == {}
    with (
        models.load("busy", callers=1, pause=0.5) as few,
        Load(models.load("iris").address.geturl(), new["secondary"], callers=1, pause=0.2) as load,
    ):
        # As soon as the kubelets have renewed the file.
        models.wait_for(lambda: 200 in load.statuses, seconds=180)
        # The autoscaler takes a pod away again, and whoever asks meanwhile does not notice.
        models.wait_for(lambda: len(models.pods("busy", leaving=True)) == 1, seconds=240)
    assert not few.failed, few.failed[:3]
    assert {one.metadata.uid for one in models.pods("iris")} == pods
    models.place(names[3], "changed", **small)
    changed = models.operations("preview")
    assert {name for _, name in changed} == {names[3]}
    assert changed["Deployment", names[3]] == {"update"}


def test_a_connection_that_a_network_policy_forbids_meets_silence_and_an_allowed_one_is_made(models):
    ways = {name: models.load(name) for name in ("careful", "open")}

    def reaches(name, host, port):
        body = json.dumps({"host": host, "port": port}).encode()
        key = ways[name].headers["Authorization"].removeprefix("Bearer ")
        return score(ways[name].address.geturl(), body, 60, key).value["answer"] == "reached"

    careful, opened = (models.pods(name)[0].status.pod_ip for name in ("careful", "open"))
    # This machine is no pod: nothing is forbidden to it, so both listen.
    for address in (careful, opened):
        socket.create_connection((address, 9999), timeout=60).close()
    assert reaches("open", careful, PORT)
    assert not reaches("open", careful, 9999)
    # Out of `careful` only the names' server and what is not private are reached.
    assert not reaches("careful", opened, PORT)
    with models.cluster.outside() as (host, port):
        assert reaches("careful", host, port)
    assert reaches("careful", models.cluster.host, 53)
    assert not reaches("careful", models.cluster.host, models.cluster.port)
    assert reaches("open", models.cluster.host, models.cluster.port)


def test_a_removed_stack_leaves_no_object(models):
    assert models.is_left()
    models.run("down")
    models.wait_for(lambda: not models.is_left(), seconds=120)
