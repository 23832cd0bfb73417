"""Which project a folder belongs to, and the environment that its tools run in."""

import json
import os

import pytest

from cli.errors import CliError, Exit
from cli.stack.project import Project, find_project


def _project(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (folder / "models.yaml").write_text("models: []\n")
    return Project(root=folder, name="shop")


def _set_up(project, path=("/tools",), **env):
    project.private.mkdir()
    (project.private / "toolchain.json").write_text(json.dumps({"path": list(path), "env": env, "taken": {}}))


def test_the_project_is_found_from_any_folder_below_it(tmp_path):
    _project(tmp_path)
    below = tmp_path / "models" / "iris"
    below.mkdir(parents=True)
    assert find_project(below) == Project(root=tmp_path, name="shop")


def test_a_pulumi_project_without_models_is_passed_over(tmp_path):
    _project(tmp_path)
    inner = tmp_path / "network"
    inner.mkdir()
    (inner / "Pulumi.yaml").write_text("name: network\nruntime: nodejs\n")
    assert find_project(inner).name == "shop"


def test_outside_of_projects_the_message_says_where_to_go(tmp_path):
    with pytest.raises(CliError, match="belongs to no Slipway project") as caught:
        find_project(tmp_path)
    assert caught.value.code == Exit.USAGE
    assert "models.yaml" in caught.value.hint


@pytest.mark.parametrize("text", ["", "- a\n", "runtime: python\n", "name: [\n", "name: 3\n"])
def test_a_pulumi_yaml_without_a_name_is_an_error_with_its_path(tmp_path, text):
    _project(tmp_path)
    (tmp_path / "Pulumi.yaml").write_text(text)
    with pytest.raises(CliError, match=r"Pulumi\.yaml names no project"):
        find_project(tmp_path)


def test_without_a_set_up_the_hint_is_make_setup(tmp_path):
    with pytest.raises(CliError) as caught:
        _project(tmp_path).environment({})
    assert caught.value.code == Exit.SETUP
    assert "make setup" in caught.value.hint


@pytest.mark.parametrize("text", ["{", "[]", '{"path": "x", "env": {}}', '{"path": []}'])
def test_a_damaged_record_of_the_set_up_asks_for_another_set_up(tmp_path, text):
    project = _project(tmp_path)
    project.private.mkdir()
    (project.private / "toolchain.json").write_text(text)
    with pytest.raises(CliError) as caught:
        project.environment({})
    assert caught.value.code == Exit.SETUP
    assert "make setup" in caught.value.hint


def test_tools_of_the_set_up_come_first_on_the_path(tmp_path):
    project = _project(tmp_path)
    _set_up(project, path=["/a", "/b"])
    assert project.environment({"PATH": "/usr/bin"})["PATH"] == os.pathsep.join(["/a", "/b", "/usr/bin"])


def test_where_azure_is_can_be_said_in_one_way_only(tmp_path):
    project = _project(tmp_path)
    _set_up(project)
    for given in ({}, {"SLIPWAY_AZURE": ""}, {"SLIPWAY_AZURE": "stand-in"}):
        assert project.environment(given).get("SLIPWAY_AZURE") == given.get("SLIPWAY_AZURE")
    with pytest.raises(CliError, match="SLIPWAY_AZURE is 'nonsense'; it may be stand-in, or unset") as caught:
        project.environment({"SLIPWAY_AZURE": "nonsense"})
    assert caught.value.code is Exit.USAGE


def test_what_the_set_up_found_is_added_to_the_environment(tmp_path):
    project = _project(tmp_path)
    _set_up(project, DOCKER_HOST="unix:///run/docker.sock", PULUMI_BACKEND_URL="file:///state")
    env = project.environment({"HOME": "/home/me", "PULUMI_BACKEND_URL": ""})
    assert env["HOME"] == "/home/me"
    assert env["DOCKER_HOST"] == "unix:///run/docker.sock"
    assert env["PULUMI_BACKEND_URL"] == "file:///state"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PULUMI_BACKEND_URL", "s3://team"),
        ("PULUMI_CONFIG_PASSPHRASE", ""),
        ("PULUMI_CONFIG_PASSPHRASE", "mine"),
        ("PULUMI_CONFIG_PASSPHRASE_FILE", "/home/me/phrase"),
    ],
)
def test_the_users_own_backend_and_passphrase_stay(tmp_path, name, value):
    project = _project(tmp_path)
    _set_up(project, PULUMI_BACKEND_URL="file:///state", PULUMI_CONFIG_PASSPHRASE_FILE="/generated")
    env = project.environment({name: value})
    assert env[name] == value
    if "PASSPHRASE" in name:
        # The engine would read both, and prefer the one that the user did not mean.
        assert "/generated" not in env.values()


def test_a_stack_without_configuration_names_those_that_have_one(tmp_path):
    project = _project(tmp_path)
    for name in ("dev", "prod", "eu.west"):
        (tmp_path / f"Pulumi.{name}.yaml").write_text("")
    assert project.stack_file("eu.west").name == "Pulumi.eu.west.yaml"
    assert project.stack_file("team/prod").name == "Pulumi.prod.yaml"
    with pytest.raises(CliError, match=r'stack "pord" has no configuration') as caught:
        project.stack_file("pord")
    assert caught.value.code == Exit.USAGE
    assert 'Did you mean "prod"?' in caught.value.hint
    assert "dev, eu.west, prod" in caught.value.hint
