"""The target `iot-edge`: what is taken and becomes a deployment, and what is refused with what is allowed."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from manifest import IotEdgeTarget, ManifestError, load_environment, load_manifest
from manifest.edge import deployment
from manifest.edge.limits import chunked, merged, wrong_twin

IMAGE = "mcr.example.com/sensor:1.0"
LINE = {"device": "line-4"}


@pytest.fixture
def load(tmp_path):
    """Load a manifest of models with iot-edge targets, by name; names without a target have none."""
    (tmp_path / "model").mkdir()
    for name in ("score.py", "weights.bin"):
        (tmp_path / "model" / name).write_text("x")

    def run(**targets):
        models = [
            {
                "name": name.replace("_", "-"),
                "version": 1,
                "path": "model",
                "targets": [] if target is None else [{"iot-edge": target}],
            }
            for name, target in targets.items()
        ]
        (tmp_path / "models.yaml").write_text(yaml.safe_dump({"models": models}))
        return load_manifest(tmp_path / "models.yaml")

    return run


@pytest.fixture
def said(load):
    """Return what is wrong with targets, without the places."""

    def run(*targets, **by_name):
        with pytest.raises(ManifestError) as refused:
            load(**(by_name or {"iris": targets[0]}))
        return "\n".join(one.message for one in refused.value.problems)

    return run


def target(**given):
    return IotEdgeTarget(**{**LINE, **given})


def test_a_device_is_all_that_a_target_has_to_say(load):
    (model,) = load(iris=LINE).models
    (found,) = model.targets
    assert found.condition == "deviceId = 'line-4'"
    assert model.extras == ("edge",)
    assert found.routes_of("iris")["upstream"].route == "FROM /messages/modules/iris/outputs/* INTO $upstream"


def test_a_model_that_another_ones_pipeline_names_gets_what_modules_need(load):
    first, second, third = load(iris={**LINE, "modules": [{"model": "digits"}]}, digits=None, other=None).models
    assert (first.extras, second.extras, third.extras) == (("edge",), ("edge",), ())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "needs `device: ID`, or `targetCondition:"),
        ({**LINE, "targetCondition": "tags.a = 1"}, "one of them"),
        ({"device": "line 4"}, "a device's id"),
        ({"device": "it's"}, "a device's id"),
        ({"targetCondition": "tags.site == 1"}, "is no condition for devices: expected a property"),
        ({"targetCondition": "site = 1"}, 'looks at "site"; a device has deviceId, tags'),
        ({"targetCondition": "1 = 1"}, "looks at nothing of the device"),
        ({**LINE, "priority": 0}, "at least 1"),
        ({**LINE, "platform": "windows/amd64"}, "linux/amd64"),
        ({**LINE, "settings": {"treshold": 1}}, 'did you mean "threshold"?'),
        ({**LINE, "settings": {"sampling": 2}}, "at most 1"),
        ({**LINE, "startOrder": 2**32}, "at most 4294967295, not 4294967296"),
        ({**LINE, "env": {"SLIPWAY_AUTH": "x"}}, "is set by Slipway itself"),
        ({**LINE, "createOptions": {"hostConfig": {}}}, "did you mean HostConfig?"),
        ({**LINE, "createOptions": {"Image": "x"}}, "must not name the Image"),
        ({**LINE, "modules": [{"name": "sensor"}]}, "needs `model`, a model of this manifest, or `name` and `image`"),
        ({**LINE, "modules": [{"model": "iris2", "image": IMAGE}]}, "names a model, which has its own image"),
        ({**LINE, "modules": [{"name": "a", "image": IMAGE, "settings": {}}]}, "an image has `twin`"),
        ({**LINE, "modules": [{"name": "a.b", "image": IMAGE}]}, "at most 63 letters"),
        ({**LINE, "modules": [{"name": "a", "image": "A B"}]}, "an image as in"),
        ({**LINE, "modules": [{"name": "a", "image": IMAGE}] * 2}, 'has the module "a" twice'),
        ({**LINE, "modules": [{"name": "a", "image": IMAGE, "twin": {"a.b": 1}}]}, '"a.b" is no name for a property'),
        ({**LINE, "modules": [{"name": "a", "image": IMAGE, "twin": {"x": "y" * 5000}}]}, "a text of 5,000 bytes"),
        ({**LINE, "modules": [{"name": "a", "image": IMAGE, "twin": {"x": ["y" * 4000] * 9}}]}, "a twin takes 32,768"),
        ({**LINE, "routes": {"a b": "FROM /* INTO $upstream"}}, "a route's name"),
        ({**LINE, "routes": {"a": "iris to upstream"}}, "is no route"),
        ({**LINE, "routes": {"a": {"route": "FROM /* INTO $upstream", "priority": 10}}}, "at most 9"),
        (
            {**LINE, "routes": {"a": "FROM /messages/modules/iris/outputs/scors INTO $upstream"}},
            'did you mean "scores"?',
        ),
        ({**LINE, "routes": {"a": "FROM /messages/modules/sensor/* INTO $upstream"}}, "is not on the device"),
        ({**LINE, "modules": [{"model": "irs"}]}, 'unknown model "irs"; did you mean "iris"?'),
        ({**LINE, "modules": [{"name": "edgeHub", "image": IMAGE}]}, "is that of a module of the runtime"),
        (
            {**LINE, "createOptions": {"Labels": {f"label-{i}": "x" * 40 for i in range(100)}}},
            "the edge agent takes 4,096",
        ),
        (
            {**LINE, "modules": [{"name": f"m{i}", "image": IMAGE, "env": {"X": "y" * 2000}} for i in range(20)]},
            "the deployment's part for $edgeAgent is",
        ),
        (
            {**LINE, "routes": {"a": f"FROM /* WHERE a = '{'x' * 4096}' INTO $upstream"}},
            "the deployment's part for $edgeHub cannot be: routes.iris-a.route: a text of 4,",
        ),
        ({**LINE, "env": {"X": "ä" * 3000}}, "modules.iris.env.X.value: a text of 6,000 bytes; a twin takes 4,096"),
    ],
)
def test_what_would_not_work_is_refused_with_what_is_allowed(said, given, message):
    assert message in said(given)


def test_a_module_that_leads_back_to_itself_is_a_mistake_unless_it_is_meant(load, said):
    back = {"back": 'FROM /messages/* INTO BrokeredEndpoint("/modules/iris/inputs/x")'}
    assert "leads a module's messages back to itself; name an output" in said({**LINE, "routes": back})
    load(iris={**LINE, "routes": back, "allowLoops": True})


def test_a_loop_over_the_routes_of_two_models_is_found(said):
    there = {"go": 'FROM /messages/modules/iris/outputs/scores INTO BrokeredEndpoint("/modules/digits/inputs/x")'}
    back = {"go": 'FROM /messages/modules/digits/outputs/alerts INTO BrokeredEndpoint("/modules/iris/inputs/x")'}
    assert "closes a loop: go and go lead a module's messages back" in said(
        iris={**LINE, "routes": there}, digits={**LINE, "routes": back}
    )


def test_models_on_the_same_devices_may_name_each_others_modules_but_not_bring_the_same(load, said):
    routes = {"a": 'FROM /messages/modules/digits/outputs/scores INTO BrokeredEndpoint("/modules/iris/inputs/x")'}
    load(iris={**LINE, "routes": routes}, digits=LINE)
    load(iris={**LINE, "routes": routes, "alsoThere": ["digits"]})
    assert "which is not on the device" in said(iris={**LINE, "routes": routes}, digits={"device": "line-5"})
    assert "is put on these devices in line" in said(iris={**LINE, "modules": [{"model": "digits"}]}, digits=LINE)


def test_the_stack_needs_azure_and_may_attach_a_hub_with_devices_of_its_own():
    with pytest.raises(ManifestError, match="needs slipway:azure"):
        load_environment({"targets": ["iot-edge"]}, source="prod")
    group = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/theirs"
    hub = {"id": f"{group}/providers/Microsoft.Devices/IotHubs/theirs", "devices": {"a": {"tags": {"n": 1}}}}
    given = {"targets": ["iot-edge"], "azure": {"location": "westeurope", "iotHub": hub}}
    found = load_environment(given, source="prod").azure.iot_hub
    assert found.devices["a"].tags == {"n": 1}
    for wrong, message in (
        ({**hub, "sku": "S2"}, 'remove "sku", or the id'),
        ({"sku": "F1"}, "'S1', 'S2' or 'S3'"),
        ({"sku": "S3", "units": 11}, "at most 10 of S3"),
        ({"devices": {"a b": {}}}, "a device's id"),
        ({"devices": {"a": {"tags": {"a-b": 1}}}}, "a tag's name"),
    ):
        with pytest.raises(ManifestError, match=message.replace(",", ",")):
            load_environment({**given, "azure": {"location": "westeurope", "iotHub": wrong}}, source="prod")


def test_a_layer_is_the_model_the_pipeline_and_their_routes():
    asked = target(
        startOrder=2,
        settings={"threshold": 0.8, "batchSize": 16, "storeMax": "64Mi", "storeMaxAgeHours": 2},
        env={"UNIT": "mm"},
        gpu=True,
        modules=[{"name": "sensor", "image": IMAGE, "twin": {"rate": 5}, "env": {"A": "1"}, "restart": "never"}],
        routes={"in": {"route": "FROM /* INTO $upstream", "priority": 0, "timeToLiveSecs": 60}},
    )
    content = deployment.layer("iris", asked, {"iris": "r/iris@sha256:1"}, {"SLIPWAY_AUTH": "none"})
    agent = content["$edgeAgent"]
    assert agent.keys() == {"properties.desired.modules.iris", "properties.desired.modules.sensor"}
    module = agent["properties.desired.modules.iris"]
    assert module["env"] == {
        "SLIPWAY_AUTH": {"value": "none"},
        "SLIPWAY_EDGE_IMAGE": {"value": "r/iris@sha256:1"},
        "UNIT": {"value": "mm"},
    }
    assert (module["startupOrder"], module["restartPolicy"], module["status"]) == (2, "always", "running")
    options = json.loads("".join(text for name, text in sorted(module["settings"].items()) if name != "image"))
    assert options["Cmd"] == ["edge"]
    host = options["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["SecurityOpt"]) == (True, ["ALL"], ["no-new-privileges"])
    assert host["Binds"] == ["slipway-iris:/var/lib/slipway/edge"]
    assert host["Memory"] == 512 * 1024**2
    assert host["DeviceRequests"][0]["Driver"] == "nvidia"
    assert agent["properties.desired.modules.sensor"]["restartPolicy"] == "never"
    assert content["sensor"] == {"properties.desired": {"rate": 5}}
    assert content["iris"]["properties.desired"] == {
        "threshold": 0.8,
        "batchSize": 16,
        "storeMaxBytes": 64 * 1024**2,
        "storeMaxAgeSeconds": 7200,
    }
    route = {"route": "FROM /* INTO $upstream", "priority": 0, "timeToLiveSecs": 60}
    assert content["$edgeHub"] == {"properties.desired.routes.iris-in": route}


def test_what_the_manifest_says_of_create_options_goes_over_ours():
    over = {"HostConfig": {"Binds": ["/dev:/dev"], "Privileged": True}, "Cmd": ["other"], "Entrypoint": ["python"]}
    content = deployment.layer("iris", target(createOptions=over), {"iris": "x"}, {})
    settings = content["$edgeAgent"]["properties.desired.modules.iris"]["settings"]
    options = json.loads("".join(text for name, text in sorted(settings.items()) if name != "image"))
    assert options["HostConfig"]["Binds"] == ["slipway-iris:/var/lib/slipway/edge", "/dev:/dev"]
    assert (options["Cmd"], options["Entrypoint"], options["HostConfig"]["Privileged"]) == (["other"], ["python"], True)


def test_the_base_has_the_runtime_and_who_may_pull():
    registries = {"images": {"address": "r.azurecr.io", "username": "u", "password": "p"}}
    content = deployment.base(version="1.5", registries=registries, keep_seconds=60)
    agent = content["$edgeAgent"]["properties.desired"]
    assert agent["schemaVersion"] == content["$edgeHub"]["properties.desired"]["schemaVersion"] == "1.1"
    assert agent["runtime"]["settings"]["registryCredentials"] == registries
    assert agent["systemModules"]["edgeHub"]["settings"]["image"] == "mcr.microsoft.com/azureiotedge-hub:1.5"
    assert content["$edgeHub"]["properties.desired"]["storeAndForwardConfiguration"] == {"timeToLiveSecs": 60}


def test_the_base_is_for_the_devices_of_all_models_each_once():
    assert deployment.all_of(["deviceId = 'a'", "deviceId = 'a'"]) == "deviceId = 'a'"
    assert deployment.all_of(["tags.b = 1", "deviceId = 'a'"]) == "(deviceId = 'a') OR (tags.b = 1)"


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=6), json_values, max_size=4))
def test_a_twin_that_is_taken_is_json_that_the_hub_takes(value):
    if list(wrong_twin(value)):
        return
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert not any(mark in json.dumps(list(value)) for mark in (".", "$"))


@given(st.dictionaries(st.sampled_from(["Cmd", "Env", "Labels"]), st.lists(st.text(max_size=200), max_size=5)))
def test_create_options_come_together_again_from_their_parts(options):
    try:
        parts = chunked(options)
    except ValueError:
        return
    assert all(len(part) <= 512 for part in parts.values())
    assert json.loads("".join(parts[name] for name in sorted(parts, key=lambda one: (len(one), one)))) == options


def test_merging_leaves_both_sides_as_they_are():
    base, over = {"HostConfig": {"Binds": ["a"]}}, {"HostConfig": {"Binds": ["b"]}}
    assert merged(base, over) == {"HostConfig": {"Binds": ["a", "b"]}}
    assert (base, over) == ({"HostConfig": {"Binds": ["a"]}}, {"HostConfig": {"Binds": ["b"]}})


def test_an_unknown_key_of_a_route_is_told_with_those_that_there_are(said):
    route = {"route": "FROM /* INTO $upstream", "prio": 1}
    assert 'unknown key "prio"; allowed: priority, route, timeToLiveSecs.' in said({**LINE, "routes": {"all": route}})
