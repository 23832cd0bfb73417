"""What tests of what a stack wants share: its configuration, and a manifest with one model."""

import json
from pathlib import Path

import pytest

from cli.stack.config import StackConfig
from manifest import load_manifest

AZURE = {"location": "westeurope"}


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
