"""What nobody means to give the command, and what it makes of it: one message, and nothing harmed."""

import errno
import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cli.diagnosis.checks import files
from cli.diagnosis.context import Context
from cli.errors import CliError, Exit
from cli.main import run
from cli.releases.promotion import same_answer
from cli.stack.project import Project
from manifest.atomic import write_atomically
from releases import ReleaseStore
from tests.unit.cli_harness import FakePulumi
from tests.unit.release_harness import model_of, release_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    made = FakePulumi(tmp_path)
    (tmp_path / "models.yaml").write_text("models: []\n")
    monkeypatch.chdir(tmp_path)
    return made


@pytest.mark.parametrize(
    "stack", ["/dev", "/../../dev", "../dev", "a/b/c/dev", "./dev", "de v", "d\x1b[31m", "", "x" * 101]
)
@pytest.mark.parametrize("command", ["up", "down", "status"])
def test_a_stacks_name_that_leads_elsewhere_is_refused_before_anything_is_done(project, capsys, command, stack):
    beside = project.root / "dev/notes.txt"
    beside.parent.mkdir()
    beside.write_text("precious")
    assert run([command, "--stack", stack]) == Exit.USAGE
    told = capsys.readouterr().err
    assert "is no stack's name" in told
    assert "\x1b" not in told
    assert beside.read_text() == "precious"
    assert not project.calls_file.exists()


def test_a_stacks_file_that_is_no_file_is_told(project, capsys):
    (project.root / "Pulumi.odd.yaml").mkdir()
    assert run(["status", "--stack", "odd"]) == Exit.USAGE
    assert "Pulumi.odd.yaml is no regular file" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["Pulumi.dev.yaml", "models.yaml"])
def test_a_file_that_is_a_link_to_nothing_is_told_as_that(project, capsys, name):
    file = project.root / name
    file.unlink()
    file.symlink_to("/nope")
    assert run(["status"]) == Exit.USAGE
    assert f"{file} is a link that leads nowhere: to /nope." in capsys.readouterr().err


def test_a_manifest_that_is_no_file_is_told(project, capsys):
    (project.root / "models.yaml").unlink()
    (project.root / "models.yaml").mkdir()
    assert run(["status"]) == Exit.USAGE
    assert "models.yaml is no regular file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "told"),
    [(errno.ENOSPC, "dev cannot be written: No space left on device"), (errno.EROFS, "dev cannot be used: Read-only")],
)
def test_what_a_disk_refuses_is_told_with_its_file(project, capsys, monkeypatch, number, told):
    def refuse(*_arguments, **_options):
        raise OSError(number, os.strerror(number), str(project.root / ".slipway/locks/dev"))

    monkeypatch.setattr("cli.deployment.deploy.only_run", refuse)
    assert run(["up"]) == Exit.FAILED
    seen = capsys.readouterr().err
    assert told in seen
    assert "itself failed" not in seen


def test_an_up_that_fails_for_a_full_disk_ends_with_that_and_what_to_do(project, capsys):
    """The engine has cut its own state off as well: nothing more can be read."""
    event = {"urn": "u", "message": "failed to save: write /x: no space left on device", "severity": "error"}
    (project.root / "bin/pulumi").write_text(
        "#!/bin/sh\n"
        'case "$1 $2" in "stack export") exit 6 ;; stack*) exit 0 ;; esac\n'
        'while [ "$1" != --event-log ]; do shift; done\n'
        f"echo '{json.dumps({'diagnosticEvent': event})}' > \"$2\"\n"
        "exit 255\n"
    )
    assert run(["up"]) == Exit.FAILED
    *_, what, todo = capsys.readouterr().err.splitlines()
    assert what == "The deployment failed: a disk is full. failed to save: write /x: no space left on device"
    assert todo.startswith("Make room there, and run it again")


def test_what_the_engine_says_of_a_full_disk_is_told_with_what_to_do(project, capsys):
    project.answers(err="error: write /x: no space left on device", code=1)
    assert run(["status"]) == Exit.FAILED
    assert capsys.readouterr().err.endswith("no space left on device\nMake room, and run it again.\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("config:\n  1: 2\n", "`config` has the key 1, which is no name"),
        ("config: [\n", "Pulumi.dev.yaml:2:1: is not YAML"),
    ],
)
def test_a_stacks_file_that_is_wrong_is_told_with_its_name(project, capsys, text, message):
    project.configure(text)
    assert run(["status"]) == Exit.USAGE
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [
        {"env": {"A": 1}, "path": ["/x"]},
        {"env": {}, "path": [1]},
        {"env": {"A": "a\0b"}, "path": ["/x"]},
        {"env": {}, "path": "/x"},
        [],
    ],
)
def test_a_set_up_that_somebody_changed_is_told(project, capsys, content):
    (project.root / ".slipway/toolchain.json").write_text(json.dumps(content))
    assert run(["status"]) == Exit.SETUP
    assert "is not what the set-up writes" in capsys.readouterr().err


def test_a_set_up_of_another_user_is_told_as_that(project, monkeypatch):
    """Not by the file's mode, which root does not feel."""

    def refuse(path, **_options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr("cli.stack.project.Path.read_text", refuse)
    with pytest.raises(CliError, match=r"toolchain\.json cannot be read: Permission denied\.") as caught:
        Project(project.root, "shop").environment()
    assert "belongs to another user" in caught.value.hint
    assert "make setup" not in caught.value.hint


def test_a_diagnosis_finds_a_folder_that_this_user_may_not_write_to(project, monkeypatch):
    private = project.root / ".slipway"
    monkeypatch.setattr("cli.diagnosis.checks.files.os.access", lambda path, _mode: path != private)
    found, *_ = files.check(Context(Project(project.root, "shop"), "dev"))
    assert found.status == "problem"
    assert found.message.startswith(f"This user may not write to {private},")


def test_a_pipe_in_a_files_place_is_not_waited_for(project, capsys):
    file = project.root / ".slipway/toolchain.json"
    file.unlink()
    os.mkfifo(file)
    assert run(["status"]) == Exit.SETUP
    assert "it is no regular file" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_file_is_not_replaced_by_one(tmp_path, kind):
    place = tmp_path / "place"
    os.mkfifo(place) if kind == "pipe" else place.mkdir()
    before = stat.S_IFMT(place.stat().st_mode)
    with pytest.raises(FileExistsError, match="no regular file"):
        write_atomically(place, "text")
    assert stat.S_IFMT(place.stat().st_mode) == before
    assert list(tmp_path.iterdir()) == [place]


def test_a_link_stays_a_link_to_what_was_written(tmp_path):
    (tmp_path / "there").write_text("old")
    (tmp_path / "link").symlink_to("there")
    write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there").read_text() == "new"


def test_streams_that_the_caller_has_closed_are_no_failure(project):
    code = (
        "import sys; from cli.main import main\n"
        "sys.stdin = sys.stdout = sys.stderr = None; sys.argv[1:] = ['--help']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, b"")


def test_a_full_disk_is_told_as_one(project, monkeypatch, capsys):
    class Full(io.StringIO):
        def write(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("sys.stdout", Full())
    assert run(["schema"]) == Exit.FAILED
    told = capsys.readouterr().err
    assert told == "The output cannot be written: No space left on device.\nMake room, and run it again.\n"


@pytest.mark.parametrize(
    ("recorded", "now", "same"),
    [
        ("NaN", "NaN", True),
        ("1" + "0" * 400, "1.5", False),
        ("1" + "0" * 400, "1" + "0" * 400, True),
        ("[" * 100_000 + "]" * 100_000, "[" * 100_000 + "]" * 100_001, False),
        ("plain", "plain", True),
        ("plain", "other", False),
    ],
)
def test_answers_of_any_kind_can_be_compared(recorded, now, same):
    assert same_answer(recorded, now) is same


def test_a_damaged_record_hides_no_other_release(project, capsys):
    folder = project.root / ".slipway/releases"
    sound = release_of(model_of("iris"))
    ReleaseStore(str(folder)).add(sound)
    (folder / "dev/20991231T000000Z-aaaaaaaa.json").write_text("{")
    assert run(["releases"]) == Exit.FAILED
    told = capsys.readouterr()
    assert sound.id in told.out
    assert "20991231T000000Z-aaaaaaaa.json is not a release" in told.err


def test_a_path_of_any_length_gives_a_message_that_can_be_read(project, capsys):
    entry = {"name": "iris", "version": 1, "path": "x" * 100_000, "targets": ["aci"]}
    (project.root / "models.yaml").write_text(json.dumps({"models": [entry]}))
    assert run(["up"]) == Exit.USAGE
    assert len(capsys.readouterr().err) < 20_000
