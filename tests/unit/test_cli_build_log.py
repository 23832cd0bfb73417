"""What a user is shown of a failed build: the failed step's own lines, from the engine's event log."""

import json
from types import SimpleNamespace

from cli.deployment.build_log import FailedBuild, failed_builds, failures, no_room

URN = "urn:pulumi:dev::p::slipway:index:ScoringImage$docker-build:index:Image::iris"


def _write(path, *messages, urn=URN):
    path.write_text("".join(json.dumps({"diagnosticEvent": {"urn": urn, "message": m}}) + "\n" for m in messages))
    return path


def test_only_the_failed_steps_output_is_shown(tmp_path):
    log = _write(
        tmp_path / "events",
        "#10 0.05 copied\n",
        "#11 0.07 Traceback (most recent call last):\n",
        '#11 0.07   File "score.py", line 3, in init\n',
        "#11 0.07 ValueError: boom\n",
        "#11 ERROR: process did not complete successfully: exit code: 1\n",
    )
    lines = ("Traceback (most recent call last):", '  File "score.py", line 3, in init', "ValueError: boom")
    assert failed_builds(log) == [FailedBuild("iris", lines)]


def test_a_build_that_succeeded_is_not_listed(tmp_path):
    assert failed_builds(_write(tmp_path / "events", "#10 0.05 copied\n", "#10 DONE 0.1s\n")) == []


def test_other_resources_messages_are_left_out(tmp_path):
    other = "urn:pulumi:dev::p::docker:index/container:Container::iris"
    assert failed_builds(_write(tmp_path / "events", "#1 ERROR: x\n", urn=other)) == []


def test_a_log_that_is_missing_or_cut_off_is_read_as_far_as_it_goes(tmp_path):
    assert failed_builds(tmp_path / "none") == []
    log = _write(tmp_path / "events", "#3 0.01 why\n", "#3 ERROR: exit\n")
    log.write_text(log.read_text() + '{"diagnosticEv')
    assert failed_builds(log) == [FailedBuild("iris", ("why",))]


def test_a_failure_is_shown_though_the_builds_own_last_lines_are_missing(tmp_path):
    log = _write(tmp_path / "events", "#10 0.05 copied\n", "#11 0.07 ValueError: boom\n")
    error = {"diagnosticEvent": {"urn": URN, "message": "failed to solve", "severity": "error"}}
    log.write_text(log.read_text() + json.dumps(error) + "\n")
    assert failed_builds(log) == [FailedBuild("iris", ("ValueError: boom",))]


def test_what_failed_is_named_once_and_the_stack_is_not(tmp_path):
    container = "urn:pulumi:dev::p::slipway:index:LocalDocker$docker:index/container:Container::digits"
    stack = "urn:pulumi:dev::p::pulumi:pulumi:Stack::p-dev"
    log = tmp_path / "events"
    events = [(URN, "error"), (container, "error"), (container, "error"), (stack, "error"), (URN + "x", "info")]
    log.write_text(
        "".join(
            json.dumps({"diagnosticEvent": {"urn": urn, "message": "m", "severity": s}}) + "\n" for urn, s in events
        )
    )
    assert failures(log) == ["iris (image)", "digits (container)"]
    assert failures(tmp_path / "none") == []


def test_a_build_of_which_no_step_ran_shows_the_error_itself(tmp_path):
    error = {"diagnosticEvent": {"urn": URN, "message": "error: mkdir /x: no space left\n", "severity": "error"}}
    log = tmp_path / "events"
    log.write_text(json.dumps(error) + "\n")
    assert failed_builds(log) == [FailedBuild("iris", ("error: mkdir /x: no space left",))]


def test_a_disk_that_was_full_is_found_in_whatever_says_so(tmp_path):
    assert no_room(_write(tmp_path / "events", "#1 0.1 fine\n", "exit code: 1")) is None
    log = _write(tmp_path / "events", "#1 0.1 fine\n", "failed\n  write /x: no space left on device\nat last")
    assert no_room(log) == "write /x: no space left on device"


def test_a_full_disk_is_found_where_the_log_itself_could_not_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    assert no_room(tmp_path / "events") == f"{tmp_path}: no space left on device"


def test_an_environments_failure_tells_what_it_was_to_install(tmp_path):
    urn = "urn:pulumi:dev::p::slipway:index:EnvironmentImage$docker-build:index:Image::environment-1afd2ffcb4f1"
    log = _write(tmp_path / "events", "#7 0.05 no such version\n", "#7 ERROR: exit\n", urn=urn)
    begun = {"metadata": {"urn": urn, "new": {"inputs": {"buildArgs": {"REQUIREMENTS": "numpy==99"}}}}}
    log.write_text(json.dumps({"resourcePreEvent": begun}) + "\n" + log.read_text())
    assert failed_builds(log) == [FailedBuild("environment-1afd2ffcb4f1", ("no such version",), "numpy==99")]
