"""What the program asks of the engine, for which manifest and configuration; no engine, no Docker."""

import pulumi
import pytest
import yaml

from manifest import ManifestError
from releases import ReleaseStore, release_location
from tests.unit.release_harness import model_of, release_of

CONTAINER, IMAGE, REMOTE = "Container", "Image", "RemoteImage"


def _tag(recorder, model):
    return recorder.of(IMAGE)[model].inputs["tags"][0]


def _edit_manifest(project, change):
    path = project / "models.yaml"
    data = yaml.safe_load(path.read_text())
    change({model["name"]: model for model in data["models"]}, data)
    path.write_text(yaml.safe_dump(data, sort_keys=False))


def test_each_model_is_one_image_pulled_once_and_run_once(declare):
    recorder = declare()
    assert set(recorder.of(REMOTE)) == set(recorder.of(CONTAINER)) == {"iris", "diabetes", "digits"}
    assert {name for name in recorder.of(IMAGE) if not name.startswith("environment-")} == {
        "iris",
        "diabetes",
        "digits",
    }


def test_models_with_the_same_requirements_share_one_environment(declare, project):
    same = (project / "models/iris/requirements.txt").read_text()
    for name in ("diabetes", "digits"):
        (project / f"models/{name}/requirements.txt").write_text("# a comment\n" + same)
    environments = [name for name in declare().of(IMAGE) if name.startswith("environment-")]
    assert len(environments) == 1


def test_an_edited_script_changes_its_models_tag_and_no_other(declare, project):
    before = declare()
    script = project / "models/iris/score.py"
    script.write_text(script.read_text() + "\n# edited\n")
    after = declare()
    assert _tag(before, "iris") != _tag(after, "iris")
    assert _tag(before, "diabetes") == _tag(after, "diabetes")


@pytest.mark.parametrize("file", ["sample.json", "schema.json", "requirements.txt"])
def test_whatever_goes_into_the_image_is_in_its_tag(declare, project, file):
    before = _tag(declare(), "digits")
    path = project / "models/digits" / file
    path.write_text(path.read_text().replace("\n", "\n\n", 1) if file != "requirements.txt" else "numpy==2.0.0\n")
    assert _tag(declare(), "digits") != before


def test_a_checkouts_modes_and_times_are_not_in_the_tag(declare, project):
    before = _tag(declare(), "iris")
    for path in (project / "models/iris").rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    (project / "models/iris/score.py").touch()
    (project / "scoring/__main__.py").chmod(0o600)
    assert _tag(declare(), "iris") == before


def test_both_environments_run_the_same_image(declare):
    assert _tag(declare(), "iris") == _tag(declare(stack="prod", development=False), "iris")


def test_a_target_that_is_not_live_registers_nothing(declare):
    recorder = declare(targets=[])
    assert [one.type for one in recorder.registered if one.type != "pulumi:pulumi:Stack"] == []


def test_a_preview_with_unknown_digests_registers_everything(declare):
    recorder = declare(preview=True, unknown=True)
    assert set(recorder.of(CONTAINER)) == {"iris", "diabetes", "digits"}


def test_nothing_is_built_in_a_preview(declare):
    assert len(declare().of(IMAGE)) == 5
    assert all(one.inputs["buildOnPreview"] is False for one in declare().of(IMAGE).values())


def test_a_container_is_bound_to_loopback_without_privileges_and_limited(declare):
    containers = declare().of(CONTAINER)
    assert len(containers) == 3
    for one in containers.values():
        assert [port["ip"] for port in one.inputs["ports"]] == ["127.0.0.1"]
        assert one.inputs["readOnly"] is True
        assert one.inputs["capabilities"] == {"drops": ["ALL"]}
        assert one.inputs["securityOpts"] == ["no-new-privileges"]
        assert one.inputs["memory"] == one.inputs["memorySwap"] > 0
        assert float(one.inputs["cpus"]) > 0
        assert one.inputs["logOpts"] == {"max-size": "10m", "max-file": "3"}


def test_a_container_takes_the_image_by_id_and_is_ready_when_the_model_is(declare):
    container = declare().of(CONTAINER)["iris"].inputs
    assert container["image"].startswith("sha256:")
    assert container["wait"] is True
    assert container["healthcheck"]["tests"]


def test_the_pulled_image_is_named_by_digest_not_by_tag(declare):
    name = declare().of(REMOTE)["iris"].inputs["name"]
    assert name.endswith("slipway/models/iris@sha256:" + "d" * 64)


def test_reload_mounts_the_code_read_only_in_development_alone(declare, project):
    mounted = declare(development=True).of(CONTAINER)["iris"].inputs
    assert mounted["mounts"] == [
        {"type": "bind", "source": str(project / "models/iris"), "target": "/mnt/source", "readOnly": True}
    ]
    assert "SLIPWAY_RELOAD=/mnt/source" in mounted["envs"]
    production = declare(stack="prod").of(CONTAINER)["iris"].inputs
    assert not production.get("mounts")
    assert not any(variable.startswith("SLIPWAY_RELOAD") for variable in production.get("envs") or [])


def test_two_stacks_on_one_machine_differ_in_name_and_port(declare):
    dev = declare().of(CONTAINER)["iris"].inputs
    prod = declare(stack="prod", localDocker={"portOffset": 1000}).of(CONTAINER)["iris"].inputs
    assert dev["name"] != prod["name"]
    assert prod["ports"][0]["external"] == dev["ports"][0]["external"] + 1000


def test_pushed_images_outlive_their_stack_and_containers_make_room_for_the_next(declare):
    recorder = declare()
    assert all(one.options.retain_on_delete for one in recorder.of(IMAGE).values())
    assert all(one.options.delete_before_replace for one in recorder.of(CONTAINER).values())


def test_what_pip_needs_to_reach_its_index_is_a_secret_and_no_reason_to_rebuild(declare, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://someone:canary@mirror.example/simple")
    images = declare().of(IMAGE)
    environment = next(one.inputs for name, one in images.items() if name.startswith("environment-"))
    # The envelope that marks a secret on the wire.
    assert environment["secrets"]["4dabf18193072939515e22adb298388d"] == "1b47061264138c4ac30d75fd1eb44270"
    secrets = environment["secrets"]["value"]
    assert set(environment["ignoreSecretsInDiffCalculation"]) == set(secrets)
    assert "canary" in str(secrets)
    assert "canary" not in str({key: value for key, value in environment.items() if key != "secrets"})
    assert not any("canary" in str(images[name].inputs) for name in ("iris", "diabetes", "digits"))


def test_a_removed_model_is_no_longer_declared(declare, project):
    _edit_manifest(project, lambda models, data: data["models"].remove(models["iris"]))
    assert "iris" not in declare().of(CONTAINER)


def test_a_wrong_manifest_registers_nothing(declare, project):
    _edit_manifest(project, lambda models, data: models["iris"].update(path="models/none"))
    with pytest.raises(ManifestError, match="models/none"):
        declare()


def test_a_python_version_that_is_the_default_one_shares_the_environment(declare, project):
    packages = (project / "models/iris/requirements.txt").read_text().splitlines()
    lines = "".join(f"    - {one}\n" for one in packages if "==" in one and not one.startswith("#"))
    (project / "models/digits/environment.yml").write_text(f"dependencies:\n- python=3.11\n- pip:\n{lines}")

    def use_conda(models, _):
        models["digits"]["scoring"]["conda"] = "environment.yml"
        del models["digits"]["scoring"]["requirements"]

    _edit_manifest(project, use_conda)
    assert len([name for name in declare().of(IMAGE) if name.startswith("environment-")]) == 2


def test_a_port_past_the_last_one_is_refused_with_its_parts(declare, project):
    _edit_manifest(project, lambda models, _: models["iris"].update(targets=[{"local-docker": {"port": 60000}}]))
    with pytest.raises(pulumi.RunError, match=r"iris: port 60000 and .*portOffset 6000 make 66000"):
        declare(localDocker={"portOffset": 6000})


def test_a_bundle_that_is_not_there_is_refused(declare):
    with pytest.raises(pulumi.RunError, match=r"no such file: none\.pem"):
        declare(caBundle="none.pem")


@pytest.mark.parametrize(
    ("base", "chosen"),
    [
        ("python:3.11-slim", "python:3.12-slim"),
        ("python:3.13", "python:3.12"),
        ("mirror.example/library/python:3.11-slim-bookworm", "mirror.example/library/python:3.12-slim-bookworm"),
    ],
)
def test_a_conda_environments_python_chooses_the_base_image(declare, project, base, chosen):
    _use_conda_python(project, "3.12")
    bases = {
        one.inputs["buildArgs"]["BASE"] for name, one in declare(baseImage=base).of(IMAGE).items() if "env" in name
    }
    assert bases == {base, chosen}


@pytest.mark.parametrize("base", ["python:3.11-slim@sha256:" + "0" * 64, "example.org/own:1"])
def test_a_base_image_that_offers_no_choice_of_python_is_an_error(declare, project, base):
    _use_conda_python(project, "3.12")
    with pytest.raises(pulumi.RunError, match=r"asks for Python 3\.12, and slipway:baseImage is"):
        declare(baseImage=base)


def _use_conda_python(project, version):
    (project / "models/digits/environment.yml").write_text(f"dependencies:\n- python={version}\n")

    def change(models, _):
        models["digits"]["scoring"]["conda"] = "environment.yml"
        del models["digits"]["scoring"]["requirements"]

    _edit_manifest(project, change)


def test_a_request_may_take_a_tenth_of_a_small_containers_memory(declare):
    containers = declare(localDocker={"memory": "2Gi"}).of(CONTAINER)
    assert f"SLIPWAY_MAX_BODY_BYTES={512 * 1024 * 1024 // 10}" in containers["digits"].inputs["envs"]
    assert not any("MAX_BODY" in one for one in containers["iris"].inputs.get("envs") or [])


def test_a_promoted_image_that_was_not_built_for_what_it_is_to_run_on_is_refused(declare, project, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    store = ReleaseStore(release_location(None, project))
    store.promote("prod", release_of(model_of("iris").model_copy(update={"platforms": ("linux/amd64",)})))
    with pytest.raises(
        pulumi.RunError, match=r"built for linux/amd64, and its targets need linux/arm64\..*Pulumi\.dev"
    ):
        declare(stack="prod", promoteFrom="dev")
    store.promote("prod", release_of(model_of("iris").model_copy(update={"platforms": ("linux/amd64", "linux/arm64")})))
    assert declare(stack="prod", promoteFrom="dev").of(CONTAINER).keys() == {"iris"}


def test_another_platform_is_another_tag(declare):
    alone, both = declare(), declare(platforms=["linux/arm64", "linux/amd64"])
    assert _tag(alone, "iris") != _tag(both, "iris")
    assert both.of(IMAGE)["iris"].inputs["platforms"] == ["linux/amd64", "linux/arm64"]
