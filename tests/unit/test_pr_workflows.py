"""The workflows: clean for actionlint and zizmor, pinned, with the least rights, and no secret that lives long."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines.__main__ import main
from toolchain import test_tools
from toolchain.context import context_of
from toolchain.report import Report

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github/workflows"
FILES = sorted(FOLDER.glob("*.yml"))


def _load(file):
    # YAML reads the key `on` as true.
    document = yaml.safe_load(file.read_text())
    document["on"] = document.pop(True)
    return document


@pytest.fixture(scope="module")
def actionlint():
    found = test_tools.linter(context_of(ROOT, os.environ, Report()))
    assert found is not None, "there is no actionlint: `make test` provides it"
    return [str(found)]


def test_actionlint_has_nothing_to_say(actionlint):
    files = [str(file) for file in FILES]
    done = subprocess.run([*actionlint, *files], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_zizmor_has_nothing_to_say():
    zizmor = Path(sys.executable).parent / "zizmor"
    command = [str(zizmor), "--offline", "--persona", "pedantic", "--no-progress", str(FOLDER)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No findings to report" in done.stdout


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_action_is_pinned_by_its_whole_hash_with_its_version(file):
    used = re.findall(r"uses: (\S+)(.*)", file.read_text())
    foreign = [(name, comment) for name, comment in used if not name.startswith("./")]
    assert foreign or file.name == "deploy.yml"
    for name, comment in foreign:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", name), name
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), (name, comment)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_rights_are_given_to_jobs_one_by_one_and_no_secret_is_kept(file):
    document = _load(file)
    assert document["permissions"] == {}
    assert "secrets." not in file.read_text()
    for job in document["jobs"].values():
        assert job["permissions"]
        rights = job["permissions"]
        # Who gets a token for the cloud writes nothing here, and the other way round.
        assert not ("id-token" in rights and "write" in {one for name, one in rights.items() if name != "id-token"})
        for step in job.get("steps", []):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_a_pull_requests_code_runs_only_where_nothing_can_be_written():
    document = _load(FOLDER / "preview.yml")
    assert set(document["on"]) == {"pull_request"}
    for job in document["jobs"].values():
        assert job["permissions"] == {"contents": "read", "id-token": "write"}
        [login] = [step for step in job["steps"] if step.get("uses", "").startswith("Azure/login")]
        assert "head.repo.full_name == github.repository" in login["if"]
    for file in FILES:
        assert "pull_request_target" not in _load(file)["on"]
    # The workflow that may write checks out the default branch, which is what it does when nothing else is named.
    for job in _load(FOLDER / "comment.yml")["jobs"].values():
        checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout")]
        assert [step["with"] for step in checkouts] == [{"persist-credentials": False}]


def test_deployments_of_one_stack_take_turns():
    groups = {}
    for name in ("deploy.yml", "promote.yml"):
        for job in _load(FOLDER / name)["jobs"].values():
            if "concurrency" in job:
                groups[job["environment"]] = job["concurrency"]
    assert groups == {
        "dev": {"group": "stack-dev", "cancel-in-progress": False},
        "prod": {"group": "stack-prod", "cancel-in-progress": False},
    }


def test_every_step_calls_what_is_there(capsys):
    text = "".join(file.read_text() for file in [*FILES, ROOT / "azure-pipelines.yml"])
    called = set(re.findall(r"python -m pipelines ([a-z-]+)", text))
    assert called == {"preview", "comment", "show", "drift", "drift-issues", "azure-comment"}
    for name in called:
        with pytest.raises(SystemExit) as caught:
            main([name, "--help"])
        assert caught.value.code == 0


def test_azure_pipelines_is_yaml_that_keeps_credentials_out_of_checkouts():
    text = (ROOT / "azure-pipelines.yml").read_text()
    assert set(yaml.safe_load(text)) == {"trigger", "pr", "schedules", "pool", "variables", "stages"}
    assert text.count("checkout: self") == text.count("persistCredentials: false")


def test_the_packages_of_the_steps_that_write_are_the_projects_own():
    def entries(file):
        found = re.findall(r"^([\w.-]+==\S+) \\\n((?:    --hash=\S+(?: \\)?\n)+)", file.read_text(), re.MULTILINE)
        return {name: re.findall(r"--hash=(\S+)", hashes) for name, hashes in found}

    own, whole = entries(ROOT / "pipelines/requirements.lock"), entries(ROOT / "requirements.lock")
    assert {name.partition("==")[0] for name in own} >= {"httpx", "pydantic"}
    assert {name: whole.get(name) for name in own} == own


def test_a_step_outside_of_a_pipeline_says_so(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("GITHUB_EVENT_PATH", raising=False)
    assert main(["comment", "--results", str(tmp_path)]) == 1
    assert "GITHUB_EVENT_PATH is not set" in capsys.readouterr().err
