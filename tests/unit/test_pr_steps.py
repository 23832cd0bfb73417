"""The steps of the workflows end with one clear message, and publish nothing that the environment keeps secret."""

import json

import pytest

from cli.errors import CliError
from pipelines import runs
from pipelines.__main__ import main

CANARY = "canary-of-a-stack"


@pytest.fixture
def refused(monkeypatch):
    """A project that is not as it has to be; what is said of it holds what a variable keeps secret."""
    monkeypatch.setenv("MY_TOKEN", CANARY)

    def refuse():
        raise CliError(f"There is no {CANARY}.\n{'x' * 600}\n" + 50 * "and more\n", hint=f"Not {CANARY}: another.")

    monkeypatch.setattr("cli.stack.pulumi.find_project", refuse)


@pytest.mark.parametrize("step", ["preview", "drift"])
def test_an_error_before_the_engine_runs_is_published_and_logged_without_what_is_secret(
    step, refused, tmp_path, capsys
):
    """The result becomes a comment that anybody can read; the run's log is where a comment sends its reader."""
    out = tmp_path / "results/dev.json"
    assert main([step, "--stack", "dev", "--out", str(out)]) == 1
    assert CANARY not in out.read_text()
    failed = json.loads(out.read_text())["failed"]
    assert failed[:2] == ["There is no [secret].", 500 * "x"]
    assert len(failed) == 40
    assert capsys.readouterr().err.splitlines() == failed


def test_an_errors_hint_is_told_too(monkeypatch, tmp_path, capsys):
    def refuse():
        raise CliError("There is no stack.", hint="`pulumi stack ls` lists them.")

    monkeypatch.setattr("cli.stack.pulumi.find_project", refuse)
    assert main(["preview", "--stack", "dev", "--out", str(tmp_path / "dev.json")]) == 1
    assert capsys.readouterr().err == "There is no stack.\n`pulumi stack ls` lists them.\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read: No such file"),
        ("{cut off", "is no JSON"),
        ("[]", "has no workflow_run"),
        ('{"workflow_run": null}', "has no workflow_run"),
    ],
)
def test_an_event_that_cannot_be_read_is_one_message(content, told, monkeypatch, tmp_path, capsys):
    event = tmp_path / "event.json"
    if content is not None:
        event.write_text(content)
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(event))
    assert main(["comment", "--results", str(tmp_path)]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert f"GITHUB_EVENT_PATH, {event}, {told}" in line


def test_an_event_that_lacks_something_is_one_message(monkeypatch, tmp_path, capsys):
    event = tmp_path / "event.json"
    event.write_text('{"workflow_run": {}}')
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(event))
    assert main(["comment", "--results", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        "`python -m pipelines comment` cannot be done: 'head_repository' is missing in what was read\n"
    )


@pytest.mark.parametrize("wrong", ["BUILD_BUILDID", "SYSTEM_PULLREQUEST_PULLREQUESTID"])
def test_a_variable_that_has_to_be_a_number_is_named_when_it_is_none(wrong, monkeypatch, tmp_path, capsys):
    given = {
        "SYSTEM_COLLECTIONURI": "https://devops.example.com/shop/",
        "SYSTEM_TEAMPROJECT": "shop",
        "BUILD_REPOSITORY_ID": "1f",
        "SYSTEM_ACCESSTOKEN": "canary",
        "BUILD_BUILDID": "7",
        "BUILD_SOURCEVERSION": "abc",
        "SYSTEM_PULLREQUEST_PULLREQUESTID": "8",
        wrong: "$(none)",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert main(["azure-comment", "--results", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"The variable {wrong} is '$(none)'; it has to be a number.\n"


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
        (
            PermissionError(13, "Permission denied", "/results"),
            1,
            "`python -m pipelines preview` cannot be done: /results: Permission denied\n",
        ),
        (
            ValueError(f"no version: {CANARY}"),
            1,
            "`python -m pipelines preview` cannot be done: a value is not what it has to be: no version: [secret]\n",
        ),
    ],
)
def test_what_nobody_expected_is_one_message_too(error, code, told, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("MY_TOKEN", CANARY)

    def fail(_stack, _out):
        raise error

    monkeypatch.setattr(runs, "preview", fail)
    assert main(["preview", "--stack", "dev", "--out", str(tmp_path / "dev.json")]) == code
    assert capsys.readouterr().err == told
