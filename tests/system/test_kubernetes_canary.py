"""A canary in steps on a real Kubernetes: taken over by those that are due, and taken back by its errors."""

import pytest

from tests.system import kubernetes_cluster
from tests.system.checkout import ROOT
from tests.system.test_kubernetes_service import Models

pytestmark = [pytest.mark.engine, pytest.mark.system]
LIMIT = {"errorRate": 0.2, "requests": 20}
# Passes the check in its build; where it serves, every answer is a 500.
FAILS = """
import os


def init():
    pass


def run(data):
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        raise ValueError("these weights are of another model")
    return {"answer": "third"}
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A checkout with the model iris on the cluster; its tests are one story, since each deployment takes its time."""
    if not (ROOT / ".slipway/toolchain.json").exists():
        pytest.fail("the toolchain is not set up: run `make setup`")
    made = Models(tmp_path_factory.mktemp("canary") / "checkout", kubernetes_cluster.running())
    try:
        made.place("iris", replicas=3)
        made.run("up")
        yield made
    finally:
        made.close()


def _pods(models):
    """How many pods each version is to have."""
    found = models.apps.list_namespaced_deployment(models.namespace).items
    return {one.metadata.name: one.spec.replicas for one in found}


def _canary(models, version, **given):
    """What an entry says of a canary beside the version that is deployed."""
    return {"from": {"version": version, "digest": models.deployed("iris")["image"].partition("@")[2]}, **given}


def test_a_canary_takes_the_steps_that_are_due_until_it_has_all_requests(models):
    canary = _canary(models, 1, steps=[30, 60], abortOn=LIMIT)
    models.place("iris", "second", version=2, replicas=3, canary={**canary, "for": "1d"})
    with models.load("iris", keeps=False) as load:
        models.up()
        assert _pods(models) == {"iris": 2, "iris-canary": 1}
        models.wait_for(lambda: load.had("second"))
        # Whatever it counts: its day is not over.
        assert models.operations("preview") == {}

        models.place("iris", "second", version=2, replicas=3, canary={**canary, "for": "1s"})
        models.wait_for(lambda: sum(count for (_, text), count in load.answers.items() if "second" in text) > 50)
        both = {("Deployment", "iris"): {"update"}, ("Deployment", "iris-canary"): {"update"}}
        assert models.operations("preview") == {("Canary", "iris-aks"): {"update"}, **both}
        models.up()
        assert _pods(models) == {"iris": 1, "iris-canary": 2}

        asked = load.asked
        models.wait_for(lambda: load.asked > asked + 200)
        assert "version 2 takes all requests: 0 of" in models.run("up").stdout
        assert models.operations("preview") == {}

        models.place("iris", "second", version=2, replicas=3)
        gone = {("Deployment", "iris-canary"): {"delete"}, ("Canary", "iris-aks"): {"delete"}}
        assert models.up() == gone
    assert not load.failed, load.failed[:3]
    assert _pods(models) == {"iris": 3}


def test_a_canary_that_fails_is_taken_back_while_the_version_before_answers(models):
    canary = _canary(models, 2, steps=[50], abortOn=LIMIT, **{"for": "1d"})
    # Under an autoscaler, which holds on to the number of pods that it has set.
    models.place("iris", version=3, replicas={"min": 4, "max": 6}, canary=canary)
    models.script("iris").write_text(FAILS)
    models.up()
    models.wait_for(lambda: _pods(models) == {"iris": 2, "iris-canary": 2})
    with models.load("iris", keeps=False) as load:
        models.wait_for(lambda: len(load.failed) > 50)
        said = models.run("up")
    assert "version 3 is aborted" in said.stdout + said.stderr
    assert "requests failed (100 %; allowed are 20 %) at 50 %" in said.stdout + said.stderr
    assert load.had("second")
    models.wait_for(lambda: _pods(models) == {"iris": 4, "iris-canary": 0})
    with models.load("iris", keeps=False) as load:
        models.wait_for(lambda: load.asked > 200)
    assert not load.failed, load.failed[:3]
    state, error = models.status()["iris"]
    assert state == "rolled back"
    assert "requests failed" in error
    assert models.operations("preview") == {}
