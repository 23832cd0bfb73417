"""EdgeDevice and EdgeDeployment, against the stand-in for a hub: what they make, see, change and leave alone."""

import json
import threading

import pytest

from provider.resource import Call, ProviderError, State
from provider.slipway.edge_deployment import EdgeDeployment, configuration_id
from provider.slipway.edge_device import EdgeDevice
from provider.values import UNKNOWN, Secret
from tests.unit.iot_hub_harness import EDGE, content, served

DEVICE, DEPLOYMENT = EdgeDevice(), EdgeDeployment()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_AZURE_STORE", str(tmp_path))
    with served(tmp_path) as one:
        yield one


def call(name="line-4", said=None):
    note = (lambda _, text, __: said.append(text)) if said is not None else (lambda *_: None)
    return Call(f"urn:pulumi:s::p::t::{name}", threading.Event(), note)


def device(hub, **given):
    inputs = {"hub": hub.host, "connectionString": hub.connection(), "deviceId": "line-4", "tags": {"a": 1}, **given}
    return DEVICE.check(call(), None, inputs)[0]


def deployment(hub, modules=None, **given):
    asked = {
        "hub": hub.host,
        "connectionString": hub.connection(),
        "name": "shop-iris",
        "content": content(modules),
        "targetCondition": "deviceId = 'line-4'",
        "priority": 21,
        "labels": {"slipway-model": "iris"},
        **given,
    }
    return DEPLOYMENT.check(call(), None, asked)[0]


def made(resource, inputs, name="iris"):
    return resource.create(call(name), inputs)


def test_a_device_is_made_with_its_tags_and_its_key_is_a_secret(hub):
    state = made(DEVICE, device(hub))
    assert state.id == f"{hub.host}/devices/line-4"
    assert hub.client().tags("line-4") == {"a": 1}
    shown = state.outputs["deviceConnectionString"]
    assert isinstance(shown, Secret)
    assert shown.value.startswith(f"HostName={hub.host};DeviceId=line-4;SharedAccessKey=")


def test_a_device_that_this_stack_made_before_it_was_killed_is_taken_over_and_no_other(hub):
    made(DEVICE, device(hub), "line-4")
    assert made(DEVICE, device(hub), "line-4").id
    with pytest.raises(ProviderError, match="by somebody else"):
        made(DEVICE, device(hub), "other-program")


def test_a_device_changes_in_place_and_keeps_its_key(hub):
    state = made(DEVICE, device(hub, tags={"a": 1, "b": 2}), "line-4")
    key = state.outputs["deviceConnectionString"].value
    changed = device(hub, tags={"a": 3}, enabled=False)
    diff = DEVICE.diff(call(), state, changed)
    assert ({one.path for one in diff.changes}, diff.replace) == ({"tags", "enabled"}, False)
    outputs = DEVICE.update(call(), state, changed)
    assert outputs["deviceConnectionString"].value == key
    assert (hub.client().tags("line-4"), hub.client().device("line-4")["status"]) == ({"a": 3}, "disabled")
    by_certificate = DEVICE.update(call(), State(state.id, changed, outputs), {**changed, "auth": "certificate"})
    assert by_certificate["deviceConnectionString"].value == ""


def test_another_key_of_the_hub_or_another_id_is_told_apart(hub):
    state = made(DEVICE, device(hub))
    assert not DEVICE.diff(call(), state, device(hub, connectionString="another")).changes
    assert DEVICE.diff(call(), state, device(hub, deviceId="line-5")).replace


def test_a_refresh_sees_what_was_changed_and_leaves_others_tags_alone(hub):
    state = made(DEVICE, device(hub))
    assert DEVICE.read(call(), state).inputs == state.inputs
    hub.client().set_tags("line-4", {"a": 9, "theirs": "x"})
    assert DEVICE.read(call(), state).inputs["tags"] == {"a": 9}
    hub.client().delete_device("line-4")
    assert DEVICE.read(call(), state) is None
    DEVICE.delete(call(), state)


@pytest.mark.parametrize(("given", "property_"), [({"auth": "none"}, "auth"), ({"tags": {"a.b": 1}}, "tags")])
def test_what_the_hub_would_refuse_of_a_device_shows_in_the_preview(given, property_):
    inputs = {"hub": UNKNOWN, "deviceId": "x", **given}
    assert [one.property for one in DEVICE.check(call(), None, inputs)[1]] == [property_]


def test_a_deployment_is_named_by_its_content_whatever_its_order(hub):
    one, other = deployment(hub, {"a": {"x": 1, "y": 2}}), deployment(hub, {"a": {"y": 2, "x": 1}})
    assert configuration_id(one) == configuration_id(other)
    assert configuration_id(one) != configuration_id(deployment(hub, {"a": {"x": 2, "y": 2}}))
    assert configuration_id(one) == configuration_id(deployment(hub, {"a": {"x": 1, "y": 2}}, priority=99))
    assert made(DEPLOYMENT, one).id == configuration_id(one)


def test_other_content_is_another_one_above_the_old_and_the_rest_changes_in_place(hub):
    client = hub.client()
    first = made(DEPLOYMENT, deployment(hub))
    again = deployment(hub, {"a": {}})
    assert DEPLOYMENT.diff(call(), first, again).replace
    assert not DEPLOYMENT.diff(call(), first, again).delete_before_replace
    second = made(DEPLOYMENT, again)
    assert [client.configuration(one.id)["priority"] for one in (first, second)] == [20, 21]
    DEPLOYMENT.delete(call(), first)
    assert client.configuration(first.id) is None
    changed = deployment(hub, {"a": {}}, targetCondition="tags.x = 1", priority=41, labels={"slipway-model": "other"})
    diff = DEPLOYMENT.diff(call(), second, changed)
    assert ({one.path for one in diff.changes}, diff.replace) == ({"labels", "priority", "targetCondition"}, False)
    DEPLOYMENT.update(call(), second, changed)
    found = client.configuration(second.id)
    assert (found["targetCondition"], found["priority"]) == ("tags.x = 1", 41)
    assert found["labels"]["slipway-model"] == "other"


def test_a_name_that_is_unknown_in_a_preview_or_a_content_is_a_replacement_foretold(hub):
    state = made(DEPLOYMENT, deployment(hub))
    assert DEPLOYMENT.diff(call(), state, {**state.inputs, "content": UNKNOWN}).replace
    assert DEPLOYMENT.check(call(), None, {**state.inputs, "content": UNKNOWN, "hub": UNKNOWN})[1] == []
    assert DEPLOYMENT.preview(call(), {**state.inputs, "content": UNKNOWN}, None)["owner"] is UNKNOWN


def test_a_return_to_content_whose_removal_is_still_to_come_is_not_removed_with_it(hub):
    first = made(DEPLOYMENT, deployment(hub))
    second = made(DEPLOYMENT, deployment(hub, {"a": {}}))
    # The engine was killed before it deleted the first; the program says again what it said then.
    third = made(DEPLOYMENT, deployment(hub))
    assert third.id == first.id
    assert hub.client().configuration(third.id)["priority"] == 21
    assert hub.client().configuration(second.id)["priority"] == 20
    DEPLOYMENT.delete(call(), first)
    DEPLOYMENT.delete(call(), second)
    assert hub.client().configuration(third.id) is not None
    DEPLOYMENT.delete(call(), third)
    assert hub.client().configurations() == []


def test_a_refresh_of_a_deployment_sees_what_was_changed_and_what_is_gone(hub):
    client = hub.client()
    state = made(DEPLOYMENT, deployment(hub))
    assert DEPLOYMENT.read(call(), state).inputs == state.inputs
    found = client.configuration(state.id)
    client.put_configuration({**found, "priority": 3, "labels": {**found["labels"], "theirs": "x"}}, found["etag"])
    seen = DEPLOYMENT.read(call(), state)
    assert (seen.inputs["priority"], seen.inputs["labels"]) == (3, {"slipway-model": "iris"})
    client.delete_configuration(state.id)
    assert DEPLOYMENT.read(call(), state) is None
    DEPLOYMENT.delete(call(), state)
    with pytest.raises(ProviderError, match="is gone from"):
        DEPLOYMENT.update(call(), state, {**state.inputs, "priority": 5})


@pytest.mark.parametrize(
    ("given", "property_"),
    [
        ({"name": "Upper"}, "name"),
        ({"name": "x" * 118}, "name"),
        ({"targetCondition": "a ="}, "targetCondition"),
        ({"content": {"$edgeAgent": {}}}, "content"),
        ({"content": {"$edgeAgent": {"x": ["y" * 4000] * 9}, "$edgeHub": {}}}, "content"),
    ],
)
def test_what_the_hub_would_refuse_of_a_deployment_shows_in_the_preview(given, property_):
    inputs = {
        "hub": UNKNOWN,
        "name": "n",
        "content": content(),
        "targetCondition": "tags.a = 1",
        "priority": 1,
        **given,
    }
    assert [one.property for one in DEPLOYMENT.check(call(), None, inputs)[1]] == [property_]


def test_a_hub_that_is_busy_is_waited_for_and_one_that_is_full_is_told(hub):
    said = []
    (hub.folder / "faults.json").write_text(json.dumps({"throttle": 3}))
    state = DEPLOYMENT.create(call(said=said), deployment(hub))
    assert hub.client().configuration(state.id)
    assert any("is busy, trying again" in text for text in said)
    client = hub.client()
    found = client.configuration(state.id)
    for number in range(99):
        client.put_configuration({**found, "id": f"c-{number}"})
    with pytest.raises(ProviderError, match="It has 100 deployments, and takes 100"):
        made(DEPLOYMENT, deployment(hub, {"a": {}}))


def test_a_wrong_key_and_a_hub_that_is_not_there_are_told_without_the_key(hub):
    wrong = hub.connection("owner", "V1JPTkc=")
    with pytest.raises(ProviderError, match="is not one of the hub's, or lacks a right") as refused:
        made(DEPLOYMENT, deployment(hub, connectionString=wrong))
    assert "V1JPTkc=" not in str(refused.value)
    with pytest.raises(ProviderError, match="cannot be used"):
        made(DEPLOYMENT, deployment(hub, connectionString="HostName=x"))


def test_an_interruption_ends_the_waiting(hub):
    (hub.folder / "faults.json").write_text(json.dumps({"throttle": 1000}))
    interrupted = call()
    interrupted.cancelled.set()
    with pytest.raises(ProviderError, match="429"):
        DEPLOYMENT.create(interrupted, deployment(hub))


def test_others_devices_are_not_touched_by_a_deployment(hub):
    hub.client().put_device("line-9", EDGE)
    made(DEPLOYMENT, deployment(hub))
    (twin,) = hub.client().query("SELECT * FROM devices.modules WHERE moduleId = '$edgeAgent'")
    assert "modules" not in twin["properties"]["desired"]
