"""Whether a stack is in Azure, as its configuration and the manifest tell before it is deployed."""

import json
from pathlib import Path

import pytest

from cli.stack_config import StackConfig
from cli.wanted import makes_registry, uses_azure
from manifest import load_manifest


def config(*targets, **values):
    given = {"slipway:targets": list(targets), **{f"slipway:{name}": value for name, value in values.items()}}
    return StackConfig(file=Path("Pulumi.test.yaml"), values=given, secrets_provider=None, is_whole=True, _text="")


@pytest.fixture
def manifest(tmp_path):
    def load(*targets):
        (tmp_path / "iris").mkdir(exist_ok=True)
        (tmp_path / "iris/weights.json").write_text("1")
        (tmp_path / "iris/score.py").write_text("")
        (tmp_path / "iris/sample.json").write_text("1")
        entry = {"name": "iris", "version": 1, "path": "iris", "scoring": {"sample": "sample.json"}}
        (tmp_path / "models.yaml").write_text(json.dumps({"models": [{**entry, "targets": list(targets)}]}))
        return load_manifest(tmp_path / "models.yaml")

    return load


AZURE = {"location": "westeurope"}
ON_CLUSTER = {"batch": {"engine": "kubernetes", "input": "s3://in/*.csv", "output": "s3://out/"}}


@pytest.mark.parametrize(
    ("target", "given", "expected"),
    [
        ({"local-docker": {"port": 8000}}, config("local-docker"), False),
        ("aci", config("aci", azure=AZURE), True),
        ("batch", config("batch"), False),
        ("batch", config("batch", azure=AZURE), True),
        # What a target says of itself goes before what the stack has.
        ({"batch": {"engine": "local"}}, config("batch", azure=AZURE), False),
        (ON_CLUSTER, config("batch", azure=AZURE, kubernetes={"context": "there"}), False),
        (ON_CLUSTER, config("batch", azure=AZURE), True),
        ({"local-docker": {"port": 8000}}, config("local-docker", azure=AZURE), False),
        ("aks", config("aks", azure=AZURE), True),
        ("aks", config("aks", kubernetes={"context": "there"}), False),
        # No model has a target that is live.
        ("aks", config("aci", azure=AZURE), False),
    ],
)
def test_a_stack_is_in_azure_where_a_live_target_is(manifest, target, given, expected):
    assert uses_azure(given, manifest(target)) is expected
    assert makes_registry(given, manifest(target)) is expected


def test_a_registry_that_is_named_is_made_by_nobody(manifest):
    given = config("batch", azure=AZURE, registry="registry.example.com")
    assert not makes_registry(given, manifest("batch"))
