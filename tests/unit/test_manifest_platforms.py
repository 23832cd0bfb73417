"""What images are built for: what each target's machines are, and all that one model runs on."""

import re

import pytest

from manifest import ManifestError, load_environment, load_manifest
from manifest.platforms import own_platform, platforms_needed
from releases import ReleasedModel

ENTRY = "  - {{name: {name}, version: 1, path: {name}, scoring: {{script: score.py{more}}}, targets: [{targets}]}}\n"
AZURE = {"azure": {"location": "westeurope", "iotHub": {}}}
EDGE_V7 = "iot-edge: {device: a, platform: linux/arm/v7}"
CLUSTER = {"kubernetes": {"context": "mine", "nodeSelector": {"kubernetes.io/arch": "arm64"}}}


@pytest.fixture(autouse=True)
def _laptop(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")


@pytest.fixture
def needed(tmp_path):
    """Returns the platforms of each model, given its targets, in a stack of all kinds of them."""

    def run(models, more="", **config):
        text = "models:\n"
        for name, targets in models.items():
            (tmp_path / name).mkdir(exist_ok=True)
            for file in ("score.py", "weights"):
                (tmp_path / name / file).touch()
            text += ENTRY.format(name=name, targets=targets, more=more)
        (tmp_path / "models.yaml").write_text(text)
        manifest = load_manifest(tmp_path / "models.yaml", tmp_path)
        kinds = sorted({target.kind for model in manifest.models for target in model.targets})
        return platforms_needed(manifest, load_environment({"targets": kinds, **config}, source="test"))

    return run


@pytest.mark.parametrize(
    ("target", "config", "platform"),
    [
        ("local-docker", {}, "linux/arm64"),
        ("aci", AZURE, "linux/amd64"),
        ("aks", AZURE, "linux/amd64"),
        ("aks", CLUSTER, "linux/arm64"),
        ("batch", {}, "linux/arm64"),
        ("batch", AZURE, "linux/amd64"),
        ("batch: {engine: kubernetes, output: 'abfs://out/'}", CLUSTER, "linux/arm64"),
        ("iot-edge: {device: a}", AZURE, "linux/amd64"),
        ("iot-edge: {device: a, platform: linux/arm/v7}", AZURE, "linux/arm/v7"),
    ],
)
def test_each_target_says_what_its_machines_are(needed, target, config, platform):
    assert needed({"iris": target}, **config) == {"iris": (platform,)}


@pytest.mark.parametrize(
    ("machine", "platform"),
    [("x86_64", "linux/amd64"), ("AMD64", "linux/amd64"), ("arm64", "linux/arm64"), ("armv7l", "linux/arm/v7")],
)
def test_a_machine_is_told_as_images_are(monkeypatch, machine, platform):
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert own_platform() == platform


def test_one_image_is_for_all_that_its_model_runs_on_and_that_the_stack_names(needed):
    models = {
        "iris": "local-docker, aci",
        "pipeline": "'iot-edge': {device: a, platform: linux/arm/v7, modules: [{model: iris}]}",
    }
    assert needed(models, **AZURE) == {
        "iris": ("linux/amd64", "linux/arm/v7", "linux/arm64"),
        "pipeline": ("linux/arm/v7",),
    }
    further = {"platforms": ["linux/amd64"], **AZURE}
    assert needed(models, **further)["pipeline"] == ("linux/amd64", "linux/arm/v7")
    # A stack that builds nothing needs what its targets need.
    assert needed(models, **further, promoteFrom="dev")["pipeline"] == ("linux/arm/v7",)


@pytest.mark.parametrize(
    ("more", "target", "package"),
    [
        (", collect: {}", EDGE_V7, "collect: pyarrow"),
        (", telemetry: true", EDGE_V7, "telemetry: psutil"),
        ("", f"{EDGE_V7}, batch: {{output: 'abfs://out/'}}", "a target batch: pyarrow"),
        ("", f"{EDGE_V7}, aks: {{auth: entra}}", "auth: entra: cffi"),
    ],
)
def test_what_has_no_wheel_for_arm_v7_is_refused_by_its_name_before_pip_looks_for_it(needed, more, target, package):
    """The other model of the stack, for another platform, is not in the way."""
    with pytest.raises(ManifestError) as found:
        needed({"other": "local-docker", "iris": target}, more=more, **AZURE)
    assert f"models[1]: iris has what linux/arm/v7 cannot have, {package}, which the runtime needs" in str(found.value)
    assert len(found.value.problems) == 1


def test_what_listens_is_refused_where_nothing_can(needed):
    arm = {"kubernetes": {"context": "mine", "nodeSelector": {"kubernetes.io/arch": "arm"}}}
    needed({"iris": EDGE_V7}, **AZURE)
    with pytest.raises(ManifestError, match=re.escape("models[0].targets[0]: aks of iris would be on linux/arm/v7")):
        needed({"iris": "aks"}, **arm)


def test_a_released_image_lacks_what_it_is_known_not_to_be_built_for():
    image = "localhost:5050/shop/models/iris@sha256:" + "a" * 64
    released = ReleasedModel(name="iris", version="1", image=image, platforms=("linux/amd64",))
    assert released.lacking(["linux/amd64"]) is None
    assert "built for linux/amd64, and its targets need linux/arm64" in released.lacking(["linux/amd64", "linux/arm64"])
    # One that was recorded before that was told.
    assert ReleasedModel(name="iris", version="1", image=image).lacking(["linux/arm64"]) is None
