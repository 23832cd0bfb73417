"""Models on Container Instances, on the real engine and the stand-in for Azure: containers that answer."""

import http.client
import json
import threading

import pytest

from tests.engine.aci_harness import TARGET, ask, models, store, versions

pytestmark = pytest.mark.engine

__all__ = ["models", "store", "versions"]
GROUP, READY = "ContainerGroup", "ServiceReady"


def faults(store, *given):
    (store.folder / "settings.json").write_text(json.dumps({"faults": list(given)}))


def test_from_an_empty_subscription_to_a_model_that_answers_and_back(models, store):
    models.models()
    foretold = models.preview()
    assert store.all() == []
    assert models.up().operations == foretold.operations
    assert models.ask() == models.ask(key="secondary") == (200, "one")
    assert models.ask(key=None)[0] == 401
    assert models.up("--expect-no-changes").operations == {}
    assert models.preview("--refresh", "--expect-no-changes").operations == {}
    models.destroy()
    assert store.all() == []
    assert models.resources().keys() <= {("Stack", "engine-test-test")}


def test_no_key_is_in_the_state_the_outputs_or_the_log_as_it_is(models):
    models.models()
    done = models.up("--show-config")
    _, keys = models.deployed()
    state = json.dumps(models.export())
    for key in keys.values():
        assert key not in state
        assert key not in json.dumps(models.outputs())
        assert key not in done.output
        assert key not in json.dumps(done.events)
    group = models.resources()[GROUP, "iris"]
    variables = {one["name"]: one for one in group["inputs"]["containers"][0]["environmentVariables"]}
    assert "ciphertext" in variables["SLIPWAY_PRIMARY_KEY"]["secureValue"]
    assert variables["SLIPWAY_AUTH"]["value"] == "key"
    assert "ciphertext" in group["inputs"]["diagnostics"]["logAnalytics"]["workspaceKey"]


def test_a_new_version_in_place_keeps_the_address_and_touches_no_other_model(models):
    models.models(iris=TARGET, digits=TARGET)
    models.up()
    before = models.deployed()
    models.models("two", iris=TARGET, digits=TARGET)
    models.up("--target", "**iris*", "--target-dependents")
    assert models.deployed() == before
    assert models.ask() == (200, "two")
    assert models.ask("digits") == (200, "one")


@pytest.mark.parametrize("change", [{"cpu": 0.3}, {"memory": "256Mi"}, {"restartPolicy": "OnFailure"}, {"zone": "1"}])
def test_what_azure_cannot_change_is_replaced_at_the_same_address(models, change):
    models.models()
    models.up()
    before = models.deployed()
    models.models(iris={**TARGET, **change})
    done = models.up()
    assert "replace" in done.operations[GROUP, "iris"]
    assert models.ask() == (200, "one")
    assert models.deployed() == before
    assert models.up("--expect-no-changes").operations == {}


def test_a_key_is_replaced_while_the_other_goes_on(models):
    models.models()
    models.up()
    endpoint, before = models.deployed()
    models.models(iris={**TARGET, "rotate": 1})
    models.up()
    _, after = models.deployed()
    assert after["primary"] == before["primary"]
    assert after["secondary"] != before["secondary"]
    assert ask(endpoint, before["secondary"])[0] == 401
    assert models.ask(key="secondary") == (200, "one")


def test_blue_green_answers_every_request_while_the_model_changes(models, store):
    target = {**TARGET, "update": "blue-green"}
    models.models(iris=target)
    models.up()
    endpoint, keys = models.deployed()
    answers, stop = [], threading.Event()

    def load():
        while not stop.is_set():
            try:
                answers.append(ask(endpoint, keys["primary"]))
            except (OSError, http.client.HTTPException) as error:
                answers.append((0, repr(error)))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for one in threads:
        one.start()
    try:
        models.models("two", iris=target)
        done = models.up()
    finally:
        stop.set()
        for one in threads:
            one.join()
    assert "replace" in done.operations[GROUP, "iris"]
    assert {status for status, _ in answers} == {200}, [one for one in answers if one[0] != 200][:3]
    assert {text for _, text in answers} == {"one", "two"}
    assert answers[-1] == (200, "two")
    assert models.deployed() == (endpoint, keys)
    assert len(store.all("containerinstance:ContainerGroup")) == 1
    assert models.up("--expect-no-changes").operations == {}


def test_in_blue_green_a_version_that_does_not_become_ready_is_led_to_by_nobody(models, store):
    target = {**TARGET, "update": "blue-green"}
    models.models(iris=target)
    models.up()
    endpoint, keys = models.deployed()
    models.models("broken", iris={**target, "startupSeconds": 3})
    failed = models.up(check=False)
    assert failed.code
    assert "is not ready after 3 s" in failed.output
    assert ask(endpoint, keys["primary"]) == (200, "one")
    models.models("two", iris=target)
    models.up()
    assert ask(endpoint, keys["primary"]) == (200, "two")
    assert len(store.all("containerinstance:ContainerGroup")) == 1
    assert models.up("--expect-no-changes").operations == {}


FAULTS = [
    ("throttle", "containerinstance:ContainerGroup", "create", 9),
    ("conflict", "containerinstance:ContainerGroup", "create", 1),
    ("quota", "containerinstance:ContainerGroup", "create", 1),
    ("timeout", "containerinstance:ContainerGroup", "create", 1),
    ("fail", "containerinstance:ContainerGroup", "create", 1),
    ("fail", "containerregistry:Registry", "create", 1),
    ("timeout", "operationalinsights:Workspace", "create", 1),
]


@pytest.mark.parametrize(("what", "kind", "operation", "times"), FAULTS)
def test_after_each_failure_the_next_up_converges(models, store, what, kind, operation, times):
    faults(store, {"do": what, "type": kind, "on": operation, "times": times})
    models.models()
    assert models.up(check=False).code
    faults(store)
    models.up()
    assert models.ask() == (200, "one")
    assert models.up("--expect-no-changes").operations == {}
    models.destroy()
    assert store.all() == []


def test_what_is_protected_stays_and_the_refusal_names_it(models, store):
    models.models(config={"azure": {"location": "westeurope"}})
    models.up()
    refused = models.destroy(check=False)
    assert refused.code
    assert "protected" in refused.output
    assert {one.token for one in store.all()} >= {"containerregistry:Registry", "operationalinsights:Workspace"}
    models.models()
    models.up()
    models.destroy()
    assert store.all() == []
