"""How the command ends: exit codes and messages, and never a traceback at a user."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.errors import CliError, Exit
from cli.main import COMMANDS, run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def outside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def project(outside):
    (outside / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (outside / "Pulumi.dev.yaml").write_text("config:\n  slipway:targets: [local-docker]\n")
    (outside / "models.yaml").write_text("models: []\n")
    (outside / ".slipway").mkdir()
    (outside / ".slipway/toolchain.json").write_text(json.dumps({"path": [], "env": {}}))
    return outside


def test_the_help_lists_every_command_and_the_exit_codes(capsys):
    assert run(["--help"]) == Exit.OK
    text = " ".join(capsys.readouterr().out.split())
    for name in COMMANDS:
        assert f" {name} " in text
    for code in ("0 it worked", "1 it failed", "2 wrong usage", "3 the set-up is missing", "130 interrupted"):
        assert code in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_the_exit_codes(name, capsys):
    assert run([name, "--help"]) == Exit.OK
    text = capsys.readouterr().out
    assert f"Usage: slipway {name}" in text
    assert "Exit codes" in text


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["deploy"], "deploy"),
        (["up", "--stck", "dev"], "--stck"),
        (["reload"], "NAME"),
        (["score", "iris", "--timeout", "soon"], "--timeout"),
    ],
)
def test_wrong_usage_is_named_and_ends_with_2(arguments, named, capsys):
    assert run(arguments) == Exit.USAGE
    assert named in capsys.readouterr().err


@pytest.mark.parametrize("name", ["up", "preview", "status", "down"])
def test_outside_of_a_project_every_command_ends_with_2(name, outside, capsys):
    assert run([name]) == Exit.USAGE
    assert "belongs to no Slipway project" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["up"], ["preview"], ["status"], ["down"], ["score", "iris"]])
def test_without_a_set_up_every_command_ends_with_3_and_asks_for_it(arguments, project, capsys):
    (project / ".slipway/toolchain.json").unlink()
    assert run(arguments) == Exit.SETUP
    assert "make setup" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["up", "preview"])
def test_a_wrong_manifest_is_reported_whole_before_pulumi_starts(name, project, capsys):
    (project / "models.yaml").write_text("models:\n  - nme: a\n  - name: B\n")
    assert run([name]) == Exit.USAGE
    report = capsys.readouterr().err
    assert 'unknown key "nme"' in report
    assert "models[1].name" in report
    # There is no Pulumi on the path of this project's tools: it was not looked for.
    assert "Pulumi cannot be started" not in report


@pytest.mark.parametrize("name", ["up", "preview"])
def test_a_wrong_stack_configuration_is_reported_with_its_line(name, project, capsys):
    (project / "Pulumi.dev.yaml").write_text("config:\n  slipway:targets: [local-dockr]\n")
    assert run([name]) == Exit.USAGE
    assert "Pulumi.dev.yaml:2:" in capsys.readouterr().err


def test_the_stack_can_come_from_the_environment(project, monkeypatch, capsys):
    monkeypatch.setenv("SLIPWAY_STACK", "staging")
    assert run(["status"]) == Exit.USAGE
    assert "Pulumi.staging.yaml" in capsys.readouterr().err


def test_without_pulumi_the_set_up_is_asked_for(project, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(project))
    assert run(["status"]) == Exit.SETUP
    assert "Pulumi cannot be started" in capsys.readouterr().err


def test_the_schema_is_printed_as_json(capsys):
    assert run(["schema"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["title"] == "Slipway models"


def _broken(monkeypatch, error):
    def find_project():
        raise error

    monkeypatch.setattr("cli.stack.pulumi.find_project", find_project)


def test_an_error_of_slipway_itself_is_one_line_unless_debugging(monkeypatch, capsys):
    monkeypatch.delenv("SLIPWAY_DEBUG", raising=False)
    _broken(monkeypatch, ZeroDivisionError("oh no"))
    assert run(["status"]) == Exit.FAILED
    message = capsys.readouterr().err
    assert "ZeroDivisionError: oh no" in message
    assert "SLIPWAY_DEBUG=1" in message
    assert "Traceback" not in message
    monkeypatch.setenv("SLIPWAY_DEBUG", "1")
    assert run(["status"]) == Exit.FAILED
    assert "Traceback" in capsys.readouterr().err


def test_an_error_for_the_user_is_its_message_and_what_to_do(monkeypatch, capsys):
    _broken(monkeypatch, CliError("It is broken.", hint="Mend it."))
    assert run(["status"]) == Exit.FAILED
    assert capsys.readouterr().err == "It is broken.\nMend it.\n"


def test_an_interruption_ends_with_130(monkeypatch, capsys):
    _broken(monkeypatch, KeyboardInterrupt())
    assert run(["status"]) == Exit.INTERRUPTED
    assert "Traceback" not in capsys.readouterr().err


def _program(*arguments, **streams):
    command = [sys.executable, "-P", "-c", "from cli.main import main; main()", *arguments]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, **streams)


@pytest.mark.parametrize("arguments", [["schema"], ["--help"]])
def test_a_reader_that_went_away_is_no_error(arguments):
    program = _program(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    program.stdout.close()
    assert program.stderr.read() == b""
    assert program.wait(120) == Exit.OK


def test_a_reader_that_went_away_hides_no_failure(outside):
    program = _program("status", cwd=outside, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    program.stdout.close()
    program.stderr.close()
    assert program.wait(120) == Exit.USAGE


def test_an_output_on_a_full_disk_is_told_as_one():
    with Path("/dev/full").open("w") as full:
        program = _program("schema", stdout=full, stderr=subprocess.PIPE, text=True)
        told = program.stderr.read()
        assert program.wait(120) == Exit.FAILED
    assert told == "The output cannot be written: No space left on device.\nMake room, and run it again.\n"


def test_no_command_loads_what_only_another_needs():
    code = "import sys; from cli.main import run; run(['schema']); print('docker' in sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "False\n"
