"""What a stack says about its policies: checked, and handed to the engine as it wants it."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from cli.errors import CliError, Exit
from cli.stack.config import load_stack_config
from cli.stack.policies import policy_options
from cli.stack.project import Project
from manifest import ManifestError, load_environment
from manifest.policies import PolicyName, PolicySettings
from policies.rules import RULES
from toolchain import policies as toolchain_policies

ROOT = Path(__file__).parents[2]


def load(given):
    return load_environment({"slipway:targets": [], "slipway:policies": given}, source="Pulumi.prod.yaml").policies


def test_the_configuration_knows_every_rule_of_the_pack_and_no_other():
    assert get_args(PolicyName) == tuple(rule.name for rule in RULES)


def test_a_stack_has_no_policies_unless_it_says_so():
    assert load_environment({"slipway:targets": []}, source="test").policies is None


def test_all_are_mandatory_where_nothing_else_is_said():
    assert load({}).pack_config() == {"all": "mandatory"}


def test_each_can_be_as_strict_as_wanted():
    found = load({"severity": "advisory", "severities": {"images-by-digest": "mandatory"}, "regions": ["westeurope"]})
    assert found.pack_config() == {
        "all": "advisory",
        "images-by-digest": {"enforcementLevel": "mandatory"},
        "allowed-regions": {"enforcementLevel": "advisory", "regions": ["westeurope"]},
    }


def test_an_exception_keeps_its_rules_options():
    found = load({"severities": {"allowed-sizes": "advisory"}, "sizes": ["Standard_D2s_v5"]})
    assert found.pack_config()["allowed-sizes"] == {"enforcementLevel": "advisory", "sizes": ["Standard_D2s_v5"]}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"severity": "strict"}, r'slipway:policies.severity: unknown severity "strict"; '),
        ({"severity": False}, r"advisory"),
        ({"severities": {"images-by-digests": "advisory"}}, r'did you mean "images-by-digest"'),
        ({"severities": {"allowed-sizes": "warn"}}, r"slipway:policies.severities.allowed-sizes: .*mandatory"),
        ({"regions": "westeurope"}, r"slipway:policies.regions: must be a list"),
        ({"regions": ["west-europe!"]}, r'must be a region as in "westeurope", not "west-europe!"'),
        ({"sizes": [2]}, r"slipway:policies.sizes\[0\]: must be a size as in .*, not 2"),
        ({"region": ["westeurope"]}, r'did you mean "regions"'),
        (True, r"must be a mapping"),
    ],
)
def test_a_mistake_is_told_with_its_key_and_what_is_allowed(given, said):
    with pytest.raises(ManifestError, match=said):
        load(given)


def test_rules_with_options_have_schemas_for_all_that_the_configuration_gives_them():
    given = PolicySettings(regions=("westeurope",), sizes=("Standard_D2s_v5",)).pack_config()
    options = {rule.name: set(getattr(rule, "options", ())) for rule in RULES}
    for name in ("allowed-regions", "allowed-sizes"):
        assert set(given[name]) - {"enforcementLevel"} == options[name]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a pack whose packages are there."""
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/PulumiPolicy.yaml").write_text("runtime: slipway\n")
    monkeypatch.setattr(toolchain_policies, "current", lambda _root: True)
    return Project(root=tmp_path, name="shop")


def options(project, text, operation="up"):
    (project.root / "Pulumi.prod.yaml").write_text(text)
    return policy_options(operation, project, load_stack_config(project, "prod"), {})


WITH = "config:\n  slipway:targets: [aci]\n  slipway:policies: {severity: advisory}\n"


@pytest.mark.parametrize("operation", ["up", "preview"])
def test_the_engine_is_given_the_pack_and_its_configuration(project, operation):
    found = options(project, WITH, operation)
    assert found == ["--policy-pack", "policies", "--policy-pack-config", ".slipway/policies-prod.json"]
    assert json.loads((project.root / found[-1]).read_text()) == {"all": "advisory"}


def test_other_operations_and_stacks_without_policies_run_without_the_pack(project):
    assert options(project, WITH, "refresh") == options(project, "config:\n  slipway:targets: [aci]\n") == []


def test_a_stack_whose_other_values_are_encrypted_has_its_policies_too(project):
    text = "config:\n  slipway:tlsKey: {secure: v1:abc}\n  slipway:policies: {}\n"
    assert "--policy-pack" in options(project, text)


def test_a_mistake_is_told_with_file_and_line(project):
    with pytest.raises(CliError, match=r"Pulumi.prod.yaml:3:\d+: slipway:policies.severity") as caught:
        options(project, WITH.replace("advisory", "loud"))
    assert caught.value.code == Exit.USAGE


def test_without_the_pack_nothing_is_deployed(project):
    (project.root / "policies/PulumiPolicy.yaml").unlink()
    with pytest.raises(CliError, match="no folder policies/") as caught:
        options(project, WITH)
    assert caught.value.code == Exit.SETUP


def test_what_the_pack_needs_is_locked_with_hashes_and_the_project_has_the_same_pulumi():
    lock = (ROOT / "policies/requirements.lock").read_text()
    parts = re.split(r"^(?=[a-z0-9-]+==)", lock, flags=re.MULTILINE)[1:]
    assert [part.split()[0] for part in parts if "--hash=sha256:" not in part] == []
    locked = dict(part.split()[0].split("==") for part in parts)
    asked = dict(re.findall(r"^([a-z-]+)==(\S+)", (ROOT / "policies/requirements.in").read_text(), re.MULTILINE))
    assert asked.items() <= locked.items()
    assert f"\npulumi=={locked['pulumi']} " in (ROOT / "requirements.lock").read_text()
