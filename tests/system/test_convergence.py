"""One manifest, one result: on the real engine, builder, registry and containers."""

import json
import os
import shutil

import pytest

from tests.system.checkout import Project

pytestmark = [pytest.mark.engine, pytest.mark.system]

IMAGE, REMOTE, CONTAINER = "Image", "RemoteImage", "Container"


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    made = Project(tmp_path_factory.mktemp("convergence") / "checkout")
    yield made
    made.close()


@pytest.fixture
def two(deployed):
    """Two models, up, whatever an earlier test has made of them."""
    shutil.rmtree(deployed.folder / "models", ignore_errors=True)
    for name in ("alpha", "beta"):
        deployed.model(name)
    deployed.remove_all_but("alpha", "beta")
    deployed.run("up", "--", "--refresh")
    return deployed


def test_an_unchanged_manifest_is_zero_operations(two):
    assert two.operations("up", "--yes", "--skip-preview") == {}


def test_another_checkout_with_another_umask_path_and_times_is_zero_operations(two, tmp_path):
    other = Project(tmp_path / "elsewhere", stack=two.stack, state=two.state)
    shutil.copytree(two.folder / "models", other.folder / "models")
    shutil.copyfile(two.folder / "models.yaml", other.folder / "models.yaml")
    shutil.copyfile(two.folder / f"Pulumi.{two.stack}.yaml", other.folder / f"Pulumi.{two.stack}.yaml")
    for path in other.folder.rglob("*"):
        if not path.is_symlink() and ".slipway" not in path.parts:
            # A umask takes nothing of the owner's: what git checks out as executable is.
            path.chmod(0o700 if path.is_dir() or os.access(path, os.X_OK) else 0o600)
            os.utime(path, (1, 1))
    assert other.operations("preview") == {}


def test_an_edited_script_changes_that_models_image_and_container_only(two):
    beta = two.containers()["beta"].id
    two.model("alpha", answer="second")
    changed = two.operations("up", "--yes", "--skip-preview")
    assert {name for _, name in changed} == {"alpha"}
    assert {kind for kind, _ in changed} == {IMAGE, REMOTE, CONTAINER}
    assert two.answer("alpha") == {"answer": "second", "sum": 3}
    assert two.containers()["beta"].id == beta


def test_a_preview_lists_what_up_then_does(two):
    two.model("alpha", answer="second")
    two.remove("beta")
    two.model("gamma")
    previewed = two.operations("preview")
    assert previewed == two.operations("up", "--yes", "--skip-preview")
    assert set(two.containers()) == {"alpha", "gamma"}


def test_a_removed_models_container_and_image_are_gone(two):
    assert two.images() == {"alpha", "beta"}
    # As another project has it, whose model is the same.
    elsewhere = f"{two.stack}-elsewhere"
    two.containers()["alpha"].image.tag(elsewhere, "1")
    two.remove("beta")
    two.run("up")
    assert set(two.containers()) == {"alpha"}
    assert two.images() == {"alpha"}
    two.docker.images.remove(f"{elsewhere}:1")


def test_a_renamed_model_takes_the_port_of_the_one_that_goes(two):
    two.ports["renamed"] = two.ports["alpha"]
    two.remove("alpha")
    two.model("renamed", answer="by its new name")
    two.run("up")
    assert set(two.containers()) == {"renamed", "beta"}
    assert two.answer("renamed")["answer"] == "by its new name"


def test_two_models_swap_their_ports(two):
    two.ports["alpha"], two.ports["beta"] = two.ports["beta"], two.ports["alpha"]
    two.model("alpha", answer="of alpha")
    two.model("beta", answer="of beta")
    two.run("up")
    assert two.answer("alpha")["answer"] == "of alpha"
    assert two.answer("beta")["answer"] == "of beta"


def test_a_port_is_not_taken_from_a_model_for_one_whose_image_is_not_built(two):
    old = two.containers()["alpha"].id
    two.ports["renamed"] = two.ports["alpha"]
    two.remove("alpha")
    two.model("renamed")
    two.script("renamed").write_text("def init():\n    raise ValueError('torn')\n")
    assert two.run("up", check=False).returncode == 1
    assert two.containers()["alpha"].id == old
    assert two.answer("alpha")["answer"] == "first"


def test_a_broken_model_fails_with_its_traceback_while_the_old_one_answers(two):
    old = two.containers()["alpha"].id
    two.script("alpha").write_text(
        "def init():\n    raise ValueError('weights are torn')\n\n\ndef run(data):\n    pass\n"
    )
    failed = two.run("up", check=False)
    assert failed.returncode == 1
    shown = failed.stdout + failed.stderr
    assert "ValueError: weights are torn" in shown
    assert "score.py" in shown
    assert two.containers()["alpha"].id == old
    assert two.answer("alpha") == {"answer": "first", "sum": 3}


def test_a_version_whose_image_never_answered_may_still_get_other_bytes_and_none_after_that(two):
    two.model("delta")
    good = two.script("delta").read_text()
    two.script("delta").write_text("def init():\n    raise ValueError('weights are torn')\n")
    assert two.run("up", check=False).returncode == 1
    weights = two.folder / "models/delta/weights.json"
    weights.write_text("[4, 5]")
    two.script("delta").write_text(good)
    two.run("up")
    weights.write_text("[6]")
    refused = two.run("up", check=False)
    assert refused.returncode == 1
    assert "delta 1 is registered with other bytes" in refused.stdout + refused.stderr
    weights.write_text("[4, 5]")
    assert two.operations("up", "--yes", "--skip-preview") == {}


def test_requirements_that_cannot_be_installed_are_told_with_their_model_and_file(two):
    two.model("gamma", requirements="requirements.txt")
    (two.folder / "models/gamma/requirements.txt").write_text("orjson==0.0.0.1\n")
    failed = two.run("up", check=False)
    assert failed.returncode == 1
    shown = failed.stdout + failed.stderr
    assert "The environment of gamma (models/gamma/requirements.txt) was not built:" in shown
    assert "orjson==0.0.0.1" in shown


def test_an_answer_that_breaks_the_schema_never_leaves_the_builder(two):
    schema = {"output": {"type": "object", "required": ["probability"]}}
    (two.folder / "models/alpha/schema.json").write_text(json.dumps(schema))
    two.model("alpha", answer="second", schema="schema.json")
    failed = two.run("up", check=False)
    assert failed.returncode == 1
    assert "probability" in failed.stdout + failed.stderr
    assert two.answer("alpha") == {"answer": "first", "sum": 3}


def test_a_container_removed_by_hand_is_restored_by_a_refresh(two):
    two.containers()["alpha"].remove(force=True)
    beta = two.containers()["beta"].id
    two.run("up", "--", "--refresh")
    assert two.answer("alpha") == {"answer": "first", "sum": 3}
    assert two.containers()["beta"].id == beta


def test_down_leaves_no_container_no_image_and_no_stack(two):
    assert two.images() == {"alpha", "beta"}
    two.run("down")
    assert two.containers() == {}
    assert two.images() == set()
    assert not list((two.state / ".pulumi/stacks").rglob(f"{two.stack}.json"))


def test_a_second_down_says_that_nothing_is_there(two):
    two.run("down")
    assert "nothing" in two.run("down").stdout.lower()
