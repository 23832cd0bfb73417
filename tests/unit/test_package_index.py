"""What pip is told inside a build: mirrors and certificates, from the stack, pip's variables and pip's files."""

from pathlib import Path

import certifi
import pulumi
import pytest

from components.package_index import build_secrets
from manifest import Environment, load_environment

COMPANY = "-----BEGIN CERTIFICATE-----\nY29tcGFueQ==\n-----END CERTIFICATE-----"


def _environment(**values) -> Environment:
    return load_environment({"targets": [], **values}, source="Pulumi.dev.yaml")


def _secrets(tmp_path, variables=None, **values):
    return build_secrets(_environment(**values), tmp_path, {"HOME": str(tmp_path), **(variables or {})})


def _pip_conf(tmp_path, text):
    path = tmp_path / "own.conf"
    path.write_text(text)
    return {"PIP_CONFIG_FILE": str(path)}


def test_pips_own_file_names_the_mirror(tmp_path):
    told = _pip_conf(
        tmp_path, "[global]\nindex-url = https://mirror.example/simple\nextra-index-url =\n  https://a\n  https://b\n"
    )
    assert _secrets(tmp_path, told)["pip_conf"] == (
        "[global]\nindex-url = https://mirror.example/simple\nextra-index-url = https://a https://b\n"
    )


def test_a_variable_is_over_the_file_and_the_stack_over_both(tmp_path):
    told = _pip_conf(tmp_path, "[global]\nindex-url = https://file.example\n")
    told["PIP_INDEX_URL"] = "https://variable.example"
    assert "https://variable.example" in _secrets(tmp_path, told)["pip_conf"]
    conf = _secrets(tmp_path, told, pip={"indexUrl": "https://stack.example"})["pip_conf"]
    assert conf == "[global]\nindex-url = https://stack.example\n"


def test_files_are_switched_off_as_pip_switches_them_off(tmp_path):
    (tmp_path / ".pip").mkdir()
    (tmp_path / ".pip/pip.conf").write_text("[global]\nindex-url = https://file.example\n")
    assert "https://file.example" in _secrets(tmp_path)["pip_conf"]
    assert "https://file.example" not in _secrets(tmp_path, {"PIP_CONFIG_FILE": "/dev/null"})["pip_conf"]


def test_a_broken_file_is_one_message(tmp_path):
    with pytest.raises(pulumi.RunError, match="pip's configuration cannot be read"):
        _secrets(tmp_path, _pip_conf(tmp_path, "index-url = https://no.section\n"))


def test_only_certificates_that_pip_does_not_bring_are_passed_on(tmp_path):
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(Path(certifi.where()).read_text() + COMPANY + "\n")
    assert _secrets(tmp_path, {"PIP_CERT": str(bundle)})["ca_bundle"] == COMPANY + "\n"


def test_pips_file_may_name_the_certificates(tmp_path):
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(COMPANY)
    assert COMPANY in _secrets(tmp_path, _pip_conf(tmp_path, f"[global]\ncert = {bundle}\n"))["ca_bundle"]


def test_both_secrets_are_there_without_anything_to_say(tmp_path):
    secrets = _secrets(tmp_path, {"PIP_CONFIG_FILE": "/dev/null"})
    assert set(secrets) == {"pip_conf", "ca_bundle"}
    assert all(value.startswith("#") for value in secrets.values())
