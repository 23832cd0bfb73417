"""What the shell offers at TAB, asked as bash does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.completion import complete_models, complete_stacks

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    for stack in ("dev", "prod", "demo"):
        (tmp_path / f"Pulumi.{stack}.yaml").write_text("config: {}\n")
    # Not what the manifest may be: a half-written one completes too.
    (tmp_path / "models.yaml").write_text("models:\n  - name: iris\n  - name: irrigation\n  - nme: x\n  - name: 1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _offered(folder, line):
    code = "import sys; sys.argv = ['slipway']; from cli.main import main; main()"
    words = line.split(" ")
    env = {"_SLIPWAY_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=folder,
        env={**os.environ, **env, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_commands_are_completed(project):
    assert _offered(project, "slipway s") == ["status", "score", "sbom", "schema"]


@pytest.mark.parametrize("command", ["score", "logs", "reload", "debug"])
def test_models_are_completed_from_the_manifest(command, project):
    assert _offered(project, f"slipway {command} ir") == ["iris", "irrigation"]


def test_stacks_are_completed_from_their_files(project):
    assert _offered(project, "slipway status --stack d") == ["demo", "dev"]


def test_outside_of_a_project_nothing_is_offered_and_nothing_is_said(tmp_path):
    assert _offered(tmp_path, "slipway score i") == []


def test_a_manifest_that_is_no_yaml_offers_nothing(project):
    (project / "models.yaml").write_text("models: [")
    assert complete_models("") == []
    assert complete_stacks("") == ["demo", "dev", "prod"]
