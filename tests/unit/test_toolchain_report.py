"""What the user reads: results, progress that fits a terminal or a log, and errors that say what to do."""

import io
import os
import sys
import time

import pytest

from toolchain.daemon import start_time
from toolchain.process import run
from toolchain.report import Report, ToolchainError


def test_an_error_tells_what_failed_its_last_lines_its_log_and_what_to_do(tmp_path):
    error = ToolchainError("Building x failed.", to_do="install y.", log=tmp_path / "x.log", tail=["one", "two"])
    assert str(error) == (
        f"Building x failed.\n\n    one\n    two\n\nIts whole log: {tmp_path / 'x.log'}\nWhat to do: install y."
    )


def test_a_quick_step_prints_nothing_but_its_result():
    stream = io.StringIO()
    report = Report(stream)
    with report.step("Python") as step:
        step.doing("looking")
    report.line("Python", "found")
    assert stream.getvalue() == "Python      found\n"


def test_a_program_that_fails_is_reported_with_the_end_of_its_output(tmp_path):
    log = tmp_path / "log"
    with pytest.raises(ToolchainError) as raised:
        run(
            [sys.executable, "-c", "print('first'); print('the reason'); raise SystemExit(4)"],
            log=log,
            what="Trying",
            to_do="try harder.",
            env=os.environ,
        )
    assert raised.value.what == "Trying failed (exit status 4)."
    assert raised.value.tail[-1] == "the reason"
    assert "first" in log.read_text()


def test_a_missing_program_is_reported_by_name(tmp_path):
    with pytest.raises(ToolchainError, match="no-such-program cannot be run"):
        run(["no-such-program"], log=tmp_path / "log", what="Trying", to_do="", env=os.environ)


def test_a_program_that_takes_too_long_is_ended_with_all_it_started(tmp_path):
    alive = tmp_path / "alive"
    script = f"sleep 600 & echo $! > {alive}; wait"
    with pytest.raises(ToolchainError, match="took longer than 1 seconds"):
        run(["sh", "-c", script], log=tmp_path / "log", what="Trying", to_do="", env=os.environ, timeout=1)
    pid = int(alive.read_text())
    deadline = time.monotonic() + 120
    while start_time(pid, os.environ) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert start_time(pid, os.environ) is None


def test_credentials_in_an_address_reach_neither_the_log_nor_the_message(tmp_path):
    log = tmp_path / "log"
    with pytest.raises(ToolchainError) as raised:
        run(["sh", "-c", "exit 1", "https://me:secret@mirror/debian"], log=log, what="Trying", to_do="", env=os.environ)
    assert "secret" not in log.read_text() + str(raised.value)
    assert "https://***@mirror/debian" in str(raised.value)


def test_a_log_is_for_its_owner_only_also_where_it_was_not(tmp_path):
    log = tmp_path / "log"
    log.write_text("before\n")
    log.chmod(0o644)
    run(["true"], log=log, what="Trying", to_do="", env=os.environ)
    assert log.stat().st_mode & 0o777 == 0o600
    assert log.read_text() == "before\n$ true\n"


def test_a_program_that_met_a_full_disk_is_reported_as_that(tmp_path):
    script = "echo 'write x: No space left on device'; exit 1"
    with pytest.raises(ToolchainError, match="the disk is full"):
        run(["sh", "-c", script], log=tmp_path / "log", what="Trying", to_do="", env=os.environ)
