"""How the checks of `slipway diagnose` are run: all of them, whatever one does."""

import sys
import threading
from pkgutil import iter_modules
from types import ModuleType

import pytest

import cli.diagnosis.checks
from cli.diagnosis.checks import CHECKS
from cli.diagnosis.context import Context, UnavailableError
from cli.diagnosis.finding import Finding
from cli.diagnosis.run import diagnose
from cli.errors import CliError, Exit
from cli.main import run
from cli.stack.project import find_project
from tests.unit.cli_harness import FakePulumi, service


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "models.yaml").write_text("models: []\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-docker.sock")
    return FakePulumi(tmp_path)


@pytest.fixture
def checks(monkeypatch):
    """Replace the checks by functions, by name."""

    def replace(**functions):
        monkeypatch.setattr("cli.diagnosis.run.CHECKS", tuple(functions))
        for name, function in functions.items():
            module = ModuleType(f"cli.diagnosis.checks.{name}")
            module.check = function
            monkeypatch.setitem(sys.modules, module.__name__, module)

    return replace


def _found(project, seconds=20.0):
    return list(diagnose(Context(find_project(project.root), "dev"), seconds))


def test_a_check_that_fails_itself_is_a_problem_and_the_next_is_run(project, checks):
    def broken(_):
        raise ZeroDivisionError("oh no")

    checks(broken=broken, sound=lambda _: [Finding("ok", "fine")])
    first, second = _found(project)
    assert (first.check, first.status) == ("broken", "problem")
    assert "ZeroDivisionError: oh no" in first.message
    assert (second.check, second.status) == ("sound", "ok")


def test_what_was_found_before_an_error_is_kept_apart_from_it(project, checks):
    def wrong(_):
        raise CliError("It is broken.", hint="Mend it.")

    checks(wrong=wrong)
    [found] = _found(project)
    assert found == Finding("problem", "It is broken.", "Mend it.", None, "wrong")


def test_a_check_that_hangs_is_a_problem_and_keeps_nobody(project, checks):
    released = threading.Event()
    checks(hangs=lambda _: [released.wait(60)], sound=lambda _: [Finding("ok", "fine")])
    try:
        first, second = _found(project, seconds=0.2)
    finally:
        released.set()
    assert (first.check, first.status) == ("hangs", "problem")
    assert (second.check, second.status) == ("sound", "ok")


def test_one_check_tells_what_is_missing_and_the_others_are_skipped(project, checks):
    def needs(context):
        return [Finding("ok", str(context.containers))]

    checks(docker=needs, container=needs)
    owner, other = _found(project)
    assert owner.status == "problem"
    assert "No Docker engine answers" in owner.message
    assert (other.status, other.mend) == ("skipped", None)


def test_what_cannot_be_had_is_asked_for_once(project, monkeypatch):
    asked = []

    def engine(*arguments, **options):
        asked.append(1)
        raise CliError("away")

    monkeypatch.setattr("cli.diagnosis.context.Engine", engine)
    context = Context(find_project(project.root), "dev")
    for _ in range(3):
        with pytest.raises(UnavailableError):
            _ = context.docker
    assert len(asked) == 1


def test_every_file_is_a_check_and_every_check_a_file():
    assert set(CHECKS) == {module.name for module in iter_modules(cli.diagnosis.checks.__path__)}


def test_without_a_set_up_it_looks_at_what_it_can_and_asks_for_the_set_up(project, capsys):
    (project.root / ".slipway/toolchain.json").unlink()
    assert run(["diagnose"]) == Exit.FAILED
    printed = capsys.readouterr().out
    assert "make setup" in printed
    assert [line.split()[1] for line in printed.splitlines() if line.startswith("files")] == ["ok"]


def test_a_registry_that_is_something_else_is_told_apart(project, capsys):
    with service({}, 404) as server:
        host = server.endpoint.removeprefix("http://")
        project.configure(f"config:\n  slipway:targets: []\n  slipway:registry: {host}\n")
        assert run(["diagnose"]) == Exit.FAILED
        assert f"http://{host}/v2/ answers 404: that is no image registry" in capsys.readouterr().out
    assert run(["diagnose"]) == Exit.FAILED
    assert f"{host} does not answer" in capsys.readouterr().out


def test_a_wrong_stack_configuration_is_a_problem_of_the_files(project, capsys):
    project.configure("config:\n  slipway:targets: [local-dockr]\n")
    assert run(["diagnose"]) == Exit.FAILED
    assert 'did you mean "local-docker"' in capsys.readouterr().out


def test_a_passphrase_that_is_gone_is_a_problem_and_stops_a_deployment_before_it_begins(project, capsys, monkeypatch):
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)
    file = project.root / ".slipway/passphrase"
    project.env["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(file)
    project.answers(out={"deployment": {"secrets_providers": {"type": "passphrase"}}})
    gone = f"{file} is gone, and the stack dev is encrypted by the passphrase in it"
    assert run(["diagnose"]) == Exit.FAILED
    assert gone in " ".join(capsys.readouterr().out.split())
    assert run(["up"]) == Exit.SETUP
    said = capsys.readouterr().err
    assert gone in said
    assert "`pulumi stack rm dev --force --preserve-config`" in said
    assert not [call for _, call in project.calls() if call.startswith("up ")]
    file.write_text("found again")
    run(["up"])
    assert [call for _, call in project.calls() if call.startswith("up ")]
