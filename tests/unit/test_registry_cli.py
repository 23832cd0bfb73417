"""`slipway models`: what is registered, one version in full, and the checksum of a model that is elsewhere."""

import json
import os
import pty
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from cli.batch import progress as batch_progress
from cli.commands import models
from cli.errors import Exit
from cli.main import run
from cli.units import size
from registry import Notes, open_registry
from registry.progress import every, in_words, on_terminal
from tests.unit.azureml_standin import PLACE, TOP, workspace
from tests.unit.cli_harness import FakePulumi
from tests.unit.registry_harness import WHEN, sha, tls_server, version_of


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "models/iris").mkdir(parents=True)
    # Not even a sound manifest is needed.
    (tmp_path / "models.yaml").write_text("models: [")
    monkeypatch.chdir(tmp_path / "models/iris")
    return FakePulumi(tmp_path)


@pytest.fixture
def registered(project):
    registry = open_registry(None, project.root)
    notes = Notes(framework="onnx", description="Which iris.", tags={"team": "flora"}, data="d", metrics={"f1": 0.5})
    for days, (name, version) in enumerate((("iris", "1"), ("iris", "2"), ("churn", "auto-1"))):
        folder = project.root / f"files-{days}"
        one = version_of(folder, {"m.bin": bytes(1500 * (days + 1))}, version, name=name, notes=notes, when=WHEN)
        one = one.model_copy(update={"lineage": one.lineage.model_copy(update={"when": WHEN + timedelta(days=days)})})
        registry.register(one, folder)
    return registry


def test_the_list_has_each_version_with_what_tells_it_from_others(registered, capsys):
    assert run(["models"]) == Exit.OK
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["NAME", "VERSION", "DIGEST", "SIZE", "WHEN", "WHO", "COMMIT", "TAGS"]
    assert [line[:2] for line in lines[1:]] == [["churn", "auto-1"], ["iris", "2"], ["iris", "1"]]
    digest = registered.get("iris", "1").digest.removeprefix("sha256:")[:12]
    assert lines[3][2:] == [digest, "1.5", "kB", "2026-01-02", "03:04Z", "someone", "-", "team=flora"]


@pytest.mark.parametrize(
    ("number", "words"),
    [(2.5e12, "2.5 TB"), (1e9, "1.0 GB"), (999_900_000, "999.9 MB"), (1500, "1.5 kB"), (12, "0.0 kB")],
)
def test_a_size_is_told_in_the_unit_that_suits_it_by_every_command(number, words):
    """Batch jobs and registered models tell it by the same function."""
    assert batch_progress.size is models.size is size
    assert size(number) == words


def test_the_list_can_be_of_one_model(registered, capsys):
    assert run(["models", "list", "churn"]) == Exit.OK
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert run(["models", "list", "chrun"]) == Exit.USAGE
    assert 'Unknown model "chrun"; did you mean "churn"?' in capsys.readouterr().err


def test_as_json_the_list_has_everything(registered, capsys):
    assert run(["models", "--json"]) == Exit.OK
    models = json.loads(capsys.readouterr().out)["models"]
    assert [(one["name"], one["version"]) for one in models] == [("churn", "auto-1"), ("iris", "2"), ("iris", "1")]
    assert models[2]["digest"] == registered.get("iris", "1").digest
    assert models[2]["lineage"]["who"] == "someone"
    assert models[2]["notes"]["metrics"] == {"f1": 0.5}


def test_a_version_is_shown_in_full_and_without_one_the_latest(registered, capsys):
    assert run(["models", "show", "iris:1"]) == Exit.OK
    shown = capsys.readouterr().out
    for part in (registered.get("iris", "1").digest, "1,500 bytes", "by someone", "f1 = 0.5", "team = flora", "m.bin"):
        assert part in shown
    for arguments in (["show", "iris", "--json"], ["--json", "show", "iris"]):
        assert run(["models", *arguments]) == Exit.OK
        assert json.loads(capsys.readouterr().out)["version"] == "2"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show"], "Missing argument 'NAME[:VERSION]'"),
        (["digest"], "Missing argument 'URL'"),
        (["shwo", "iris"], "No such command 'shwo'. Did you mean 'show'?"),
        (["show", "irs"], 'Unknown model "irs"; did you mean "iris"?'),
        (["show", "iris:3"], 'Unknown version of iris "3"'),
        (["digest", "http://host/x"], "The URL must be https://HOST/FILE"),
        (["digest", "https://me:canary@host/x"], "The URL must not hold a user or a password"),
    ],
)
def test_wrong_usage_says_what_to_write(registered, capsys, arguments, message):
    assert run(["models", *arguments]) == Exit.USAGE
    said = capsys.readouterr().err
    assert message in said
    assert "canary" not in said


def test_an_empty_registry_says_how_to_fill_it(project, capsys):
    assert run(["models"]) == Exit.OK
    assert "`slipway up` registers those of models.yaml" in capsys.readouterr().out


def test_the_registry_is_that_of_the_stack(project, tmp_path, capsys):
    project.configure("config:\n  slipway:targets: []\n  slipway:modelRegistry: ../elsewhere\n")
    registry = open_registry("../elsewhere", project.root)
    registry.register(version_of(tmp_path / "m", {"m": b"1"}, name="digits"), tmp_path / "m")
    assert run(["models"]) == Exit.OK
    assert "digits" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--stack", "other", "show", "m"], ["show", "m", "--stack", "other"]])
def test_the_stack_may_be_named_before_what_to_do_or_after_it(project, tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.setenv("SLIPWAY_STACK", "dev")
    (project.root / "Pulumi.other.yaml").write_text("config:\n  slipway:modelRegistry: ../elsewhere\n")
    registry = open_registry("../elsewhere", project.root)
    registry.register(version_of(tmp_path / "m", {"m": b"1"}, name="m"), tmp_path / "m")
    assert run(["models", *arguments]) == Exit.OK
    assert "m" in capsys.readouterr().out


def test_a_registry_that_the_stack_makes_is_where_its_outputs_say(project, tmp_path, capsys):
    azure = "slipway:azure: {location: westeurope, machineLearning: {}}"
    project.configure(f"config:\n  slipway:targets: []\n  slipway:modelRegistry: azureml\n  {azure}\n")
    project.answers({})
    assert run(["models"]) == Exit.FAILED
    assert "The stack dev has no model registry yet; `slipway up --stack dev` makes it." in capsys.readouterr().err
    project.answers({"azure": {"modelRegistry": "../elsewhere"}})
    registry = open_registry("../elsewhere", project.root)
    registry.register(version_of(tmp_path / "m", {"m": b"1"}, name="digits"), tmp_path / "m")
    assert run(["models"]) == Exit.OK
    assert "digits" in capsys.readouterr().out


def test_a_registry_that_cannot_be_used_is_a_failure_in_words(project, capsys):
    project.configure("config:\n  slipway:targets: []\n  slipway:modelRegistry: gs://bucket/models\n")
    assert run(["models"]) == Exit.FAILED
    assert (
        capsys.readouterr().err
        == "a model registry can be a folder or at s3://, az://, abfs://, abfss://; not at gs://\n"
    )


def test_the_digest_of_a_url_is_printed_as_the_manifest_takes_it(project, tmp_path, monkeypatch, capsys):
    with tls_server(tmp_path) as web:
        monkeypatch.setenv("SSL_CERT_FILE", str(web.authority))
        monkeypatch.setenv("NETRC", str(tmp_path / "none"))
        web.files["/m.onnx"] = b"model"
        assert run(["models", "digest", f"{web.url}/m.onnx"]) == Exit.OK
        assert capsys.readouterr().out == f"source:\n  url: {web.url}/m.onnx\n  sha256: {sha(b'model')}\n"
        assert run(["models", "digest", f"{web.url}/m.onnx", "--json"]) == Exit.OK
        answer = json.loads(capsys.readouterr().out)
        assert answer == {"url": f"{web.url}/m.onnx", "sha256": sha(b"model"), "size": 5, "files": ["m.onnx"]}
        assert run(["models", "digest", f"{web.url}/none"]) == Exit.FAILED
        assert "answers 404" in capsys.readouterr().err


def test_a_model_of_a_workspace_is_looked_for_in_the_stacks_own(project, monkeypatch, capsys):
    project.configure("config:\n  slipway:targets: []\n")
    assert run(["models", "digest", "azureml:churn:3"]) == Exit.FAILED
    assert "the stack names none: set slipway:azure.machineLearning" in capsys.readouterr().err
    project.configure(
        f"config:\n  slipway:targets: []\n  slipway:azure: {{location: westeurope, machineLearning: {{id: {TOP}}}}}\n"
    )
    with workspace(monkeypatch):
        assert run(["models", "digest", "azureml:churn:3"]) == Exit.FAILED
    said = capsys.readouterr().err
    assert said == f"{PLACE}/models/churn/versions/3: there is no model churn in the workspace flora: it has none\n"


@pytest.mark.parametrize(
    ("done", "size", "words"),
    [
        (1_200_000_000, 5_000_000_000, "m: 1.2 of 5.0 GB"),
        (30_000, 5_000_000, "m: 0.0 of 5.0 MB"),
        (700, None, "m: 0.7 kB"),
    ],
)
def test_progress_is_told_in_the_unit_of_the_whole(done, size, words):
    assert in_words("m", done, size) == words


def test_progress_is_told_no_faster_than_it_can_be_read():
    told = []
    progress = every(3600, told.append)
    for done in range(100):
        progress("m", done, 100)
    assert told == []


def test_without_a_terminal_there_is_no_bar(monkeypatch):
    with Path(os.devnull).open("w") as nobody:
        monkeypatch.setattr(sys, "stderr", nobody)
        assert on_terminal() is None


def test_on_a_terminal_a_bar_grows_and_ends_its_line(monkeypatch):
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        progress = on_terminal()
        progress("m.bin", 1_000_000, 1_000_000)
        seen = os.read(ours, 10_000).decode()
    os.close(ours)
    assert seen.endswith(f"[{'#' * 30}] m.bin: 1.0 of 1.0 MB\r\n")
