"""How a stack's configuration file is kept free of what belongs to one checkout."""

import pytest

from cli.errors import CliError, Exit
from cli.stack.config import load_stack_config
from cli.stack.project import Project

SALT = "encryptionsalt: v1:ossEtKo6heM=:v1:7ejqbfJFb8bzz0DI:3ouDWVioABh6PluSs6FBg3RxUYQWcw==\n"
PLAIN = """# Sizes of the development environment.
config:
  slipway:targets: [local-docker]   # only here
  slipway:development: yes
  other:version: 1.10
"""
SECRET = "config:\n  slipway:pip:\n    indexUrl:\n      secure: v1:abc:def\n"
FILE_BACKEND = "file:///home/me/state"


def _load(folder, text, pulumi_yaml="name: shop\nruntime: python\n"):
    (folder / "Pulumi.yaml").write_text(pulumi_yaml)
    (folder / "Pulumi.dev.yaml").write_text(text)
    return load_stack_config(Project(root=folder, name="shop"), "dev")


def test_the_copy_is_the_file_without_the_salt(tmp_path):
    project = Project(root=tmp_path, name="shop")
    for text in (PLAIN + SALT, SALT + PLAIN, PLAIN):
        config = _load(tmp_path, text)
        copy = config.copy_to(project.private / "pulumi", project)
        assert copy.name == "Pulumi.dev.yaml"
        assert copy.read_text() == PLAIN
        assert config.file.read_text() == text


def test_the_copy_stands_in_a_project_of_the_same_name(tmp_path):
    project = Project(root=tmp_path, name="shop")
    copy = _load(tmp_path, PLAIN).copy_to(project.private / "pulumi", project)
    assert '"name": "shop"' in (copy.parent / "Pulumi.yaml").read_text()


@pytest.mark.parametrize("text", ["", PLAIN, PLAIN + SALT, PLAIN + "secretsprovider: passphrase\n" + SALT])
def test_a_file_without_secrets_takes_no_part_in_encryption(tmp_path, text):
    assert not _load(tmp_path, text).is_shared(FILE_BACKEND)


@pytest.mark.parametrize("text", [SECRET + SALT, PLAIN + "secretsprovider: azurekeyvault://team.vault/keys/slipway\n"])
def test_a_file_with_secrets_or_a_provider_for_them_is_used_itself(tmp_path, text):
    assert _load(tmp_path, text).is_shared(FILE_BACKEND)


@pytest.mark.parametrize("backend", ["https://api.pulumi.com", None])
def test_a_backend_that_encrypts_by_itself_gets_the_file_itself(tmp_path, backend):
    assert _load(tmp_path, PLAIN).is_shared(backend)


def test_only_a_configuration_that_is_all_there_is_can_be_checked_beforehand(tmp_path):
    assert _load(tmp_path, PLAIN).is_whole
    assert not _load(tmp_path, SECRET + SALT).is_whole
    assert not _load(tmp_path, PLAIN + "environment: [team/dev]\n").is_whole
    project_wide = "name: shop\nruntime: python\nconfig:\n  slipway:registry: r.example.com\n"
    assert not _load(tmp_path, PLAIN, project_wide).is_whole


@pytest.mark.parametrize("text", ["a: [", "- 1\n", "config: 3\n"])
def test_a_file_that_is_no_configuration_is_wrong_usage_that_names_the_file(tmp_path, text):
    with pytest.raises(CliError, match=r"Pulumi\.dev\.yaml") as caught:
        _load(tmp_path, text)
    assert caught.value.code == Exit.USAGE
