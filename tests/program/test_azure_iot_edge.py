"""What the program asks of Azure and of the IoT hub for models on devices; no engine, no Azure."""

import pulumi
import pytest
import yaml

from tests.program.azure_mocks import ARM, CANARIES, HUB_KEY, Azure, plain, settings, shown, wrong

DEPLOYMENT, DEVICE, HUB, BASE = "EdgeDeployment", "EdgeDevice", "IotHubResource", "iot-edge-base"
LINE = {"device": "line-4"}
PASSWORD = "canary-registry-password"


@pytest.fixture
def edge(declare, project):
    """Declares the project with iot-edge targets by model; returns the recorder."""

    def run(targets=None, *, hub=None, secrets=(), unknown=False, preview=False, config=None, machine="x86_64"):
        path = project / "models.yaml"
        data = yaml.safe_load(path.read_text())
        targets = targets or {"iris": LINE}
        for one in data["models"]:
            one["targets"] = [{"iot-edge": targets[one["name"]]}] if one["name"] in targets else []
        path.write_text(yaml.safe_dump(data, sort_keys=False))
        pulumi.runtime.set_all_config({}, secret_keys=[f"slipway:{key}" for key in secrets])
        keys = {**settings(iotHub=hub or {}), "targets": ["iot-edge"], **(config or {})}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("platform.machine", lambda: machine)
            return declare(stack="prod", recorder=Azure(unknown=unknown), preview=preview, **keys)

    yield run
    pulumi.runtime.set_all_config({}, secret_keys=[])


def _layer(recorder, name="iris"):
    return plain(recorder.one(DEPLOYMENT, name).inputs)


def test_a_model_on_a_device_is_a_hub_a_base_and_a_layer_and_nothing_else(edge):
    recorder = edge()
    assert recorder.azure == {("ResourceGroup", "group"), ("Registry", "registry"), (HUB, "iot-hub")}
    assert recorder.of(DEPLOYMENT).keys() == {BASE, "iris"}
    assert not recorder.of(DEVICE)
    assert wrong(recorder) == []


def test_the_layer_has_the_image_by_its_digest_above_the_base_for_the_same_devices(edge):
    recorder = edge({"iris": {**LINE, "priority": 7}})
    base, layer = _layer(recorder, BASE), _layer(recorder)
    module = layer["content"]["$edgeAgent"]["properties.desired.modules.iris"]
    assert module["settings"]["image"] == f"theregistry.azurecr.io/slipway/models/iris@sha256:{'d' * 64}"
    assert module["env"]["SLIPWAY_AUTH"] == {"value": "none"}
    assert (base["priority"], layer["priority"]) == (1, 15)
    assert base["targetCondition"] == layer["targetCondition"] == "deviceId = 'line-4'"
    assert layer["labels"]["slipway-model"] == "iris"
    assert layer["name"] != base["name"]
    assert (layer["hub"], base["hub"]) == ("thehub.azure-devices.net",) * 2
    assert len(recorder.one(DEPLOYMENT, "iris").options.depends_on) == 1


def test_the_base_is_for_the_devices_of_all_models(edge):
    recorder = edge({"iris": LINE, "digits": {"targetCondition": "tags.site = 'ulm'"}})
    assert recorder.of(DEPLOYMENT).keys() == {BASE, "iris", "digits"}
    assert _layer(recorder, BASE)["targetCondition"] == "(deviceId = 'line-4') OR (tags.site = 'ulm')"


def test_a_pipeline_brings_the_image_of_another_model(edge):
    recorder = edge({"iris": {**LINE, "modules": [{"model": "digits", "settings": {"threshold": 0.5}}]}})
    content = _layer(recorder)["content"]
    image = content["$edgeAgent"]["properties.desired.modules.digits"]["settings"]["image"]
    assert image == f"theregistry.azurecr.io/slipway/models/digits@sha256:{'d' * 64}"
    assert content["digits"] == {"properties.desired": {"threshold": 0.5}}
    assert recorder.of("ScoringImage").keys() == {"iris", "digits"}


def test_the_hubs_key_is_a_secret_wherever_it_goes(edge):
    recorder = edge(hub={"devices": {"line-4": {"tags": {"site": "ulm"}}}})
    for one in recorder.registered:
        assert not [canary for canary in CANARIES if canary in shown(one.inputs)], one.name
    device = recorder.one(DEVICE).inputs
    assert HUB_KEY in plain(device["connectionString"])
    assert (device["deviceId"], device["tags"], device["enabled"]) == ("line-4", {"site": "ulm"}, True)


def test_with_entra_no_key_is_asked_for_and_the_hub_takes_none(edge):
    recorder = edge(hub={"access": "entra"})
    assert "listIotHubResourceKeysForKeyName" not in recorder.called
    assert recorder.one(HUB).inputs["properties"]["disableLocalAuth"] is True
    assert "connectionString" not in recorder.one(DEPLOYMENT, "iris").inputs


def test_devices_pull_with_a_password_that_is_a_secret(edge):
    config = {"edgeRegistryPassword": PASSWORD}
    recorder = edge(hub={"registryUser": "puller"}, config=config, secrets=["edgeRegistryPassword"])
    base = recorder.one(DEPLOYMENT, BASE).inputs
    assert PASSWORD not in shown(base)
    agent = plain(base)["content"]["$edgeAgent"]["properties.desired"]
    assert agent["runtime"]["settings"]["registryCredentials"] == {
        "images": {"address": "theregistry.azurecr.io", "username": "puller", "password": PASSWORD}
    }
    assert PASSWORD not in str(_layer(recorder))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"hub": {"registryUser": "u"}}, "needs the secret slipway:edgeRegistryPassword"),
        (
            {"hub": {"registryUser": "u"}, "config": {"edgeRegistryPassword": PASSWORD}},
            "stands in the configuration as it is",
        ),
    ],
)
def test_what_manifest_and_configuration_may_say_but_not_both_is_refused(edge, given, message):
    with pytest.raises(pulumi.RunError) as refused:
        edge(**given)
    assert message in str(refused.value)
    assert PASSWORD not in str(refused.value)


def test_images_are_built_for_what_the_devices_are_whatever_machine_builds_them(edge):
    recorder = edge({"iris": {**LINE, "platform": "linux/arm64"}, "digits": LINE}, machine="riscv64")
    images = recorder.of("Image")
    assert images["iris"].inputs["platforms"] == ["linux/arm64"]
    assert images["digits"].inputs["platforms"] == ["linux/amd64"]


def test_a_model_in_the_pipelines_of_others_is_built_for_their_devices_too(edge):
    pipeline = {**LINE, "platform": "linux/arm64", "modules": [{"model": "digits"}]}
    recorder = edge({"iris": pipeline, "digits": {"device": "line-5", "platform": "linux/arm/v7"}})
    assert recorder.of("Image")["digits"].inputs["platforms"] == ["linux/arm", "linux/arm64"]
    environments = [one for one in recorder.of("Image").values() if one.name.startswith("environment-")]
    assert sorted(one.inputs["platforms"] for one in environments) == [["linux/arm", "linux/arm64"], ["linux/arm64"]]


def test_an_attached_hub_is_read_and_its_devices_may_have_a_base_of_somebody_elses(edge):
    theirs = f"{ARM}/providers/Microsoft.Devices/IotHubs/theirs"
    recorder = edge(hub={"id": theirs, "base": False})
    assert (HUB, theirs) in recorder.read
    assert (HUB, "iot-hub") not in recorder.azure
    assert recorder.of(DEPLOYMENT).keys() == {"iris"}


def test_a_preview_knows_what_will_be_without_knowing_the_images(edge):
    recorder = edge(unknown=True, preview=True)
    assert recorder.of(DEPLOYMENT).keys() == {BASE, "iris"}
