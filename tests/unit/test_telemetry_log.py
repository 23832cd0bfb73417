"""The log of a process: one event is one line, and what a script prints is an event."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.telemetry.events import MOST_CHARACTERS, JsonFormatter, TextFormatter
from scoring.telemetry.log import LogSettings
from scoring.variables import Reader

ROOT = Path(__file__).parents[2]
PREAMBLE = """
import contextvars, logging, os, sys, threading, time, warnings
from scoring.context import REQUEST_ID
from scoring.telemetry import log
from scoring.variables import Reader
reader = Reader(os.environ)
log.set_up(reader)
reader.finish()
"""


def run(code: str, tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    environment = {"PYTHONPATH": str(ROOT), "AML_APP_ROOT": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", **variables}
    return subprocess.run(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(code)],
        env=environment,
        capture_output=True,
        timeout=120,
        check=False,
    )


def events(code: str, tmp_path: Path, **variables: str) -> list[dict[str, str]]:
    done = run(code, tmp_path, **variables)
    assert done.stderr == b""
    return [json.loads(line) for line in done.stdout.split(b"\n") if line]


def messages(code: str, tmp_path: Path, **variables: str) -> list[str]:
    return [event["message"] for event in events(code, tmp_path, **variables)]


def test_an_event_has_its_fields(tmp_path):
    code = """
    REQUEST_ID.set("abc")
    logging.getLogger("mine").warning("%d rows", 3)
    """
    [event] = events(code, tmp_path)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event.pop("time"))
    assert event == {"level": "WARNING", "logger": "mine", "message": "3 rows", "request_id": "abc"}


def test_prints_are_events_of_the_request_that_they_were_made_in(tmp_path):
    code = """
    def call(identifier):
        REQUEST_ID.set(identifier)
        for number in range(50):
            print("line", end=" ")
            time.sleep(0)
            print(identifier)
    threads = [threading.Thread(target=call, args=(str(number),)) for number in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print("after", file=sys.stderr)
    """
    found = events(code, tmp_path)
    last = found.pop()
    assert (last["logger"], last["level"], last["message"]) == ("slipway.stderr", "WARNING", "after")
    assert "request_id" not in last
    assert len(found) == 200
    assert all(event["message"] == f"line {event['request_id']}" for event in found)
    assert {event["logger"] for event in found} == {"slipway.print"}


def test_text_without_an_end_of_line_is_of_the_request_that_printed_it(tmp_path):
    code = """
    REQUEST_ID.set("one")
    print("first", end="")
    REQUEST_ID.set("two")
    print("second")
    print("third", end="")
    """
    assert [(event["message"], event["request_id"]) for event in events(code, tmp_path)] == [
        ("first", "one"),
        ("second", "two"),
        ("third", "two"),
    ]


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os._exit(1)"])
def test_what_was_flushed_before_a_crash_is_in_the_log(tmp_path, end):
    assert messages(f"print('loading', end='', flush=True); print('more'); {end}", tmp_path) == ["loading", "more"]


def test_what_threads_printed_without_an_end_of_line_is_logged_at_the_end(tmp_path):
    code = """
    threads = [threading.Thread(target=sys.stdout.write, args=(f"{n}",)) for n in "ab"]
    for thread in threads: thread.start(); thread.join()
    """
    assert "".join(messages(code, tmp_path)) in {"ab", "ba"}


def test_a_fork_does_not_log_twice_what_was_kept(tmp_path):
    code = """
    print("once", end="")
    if pid := os.fork():
        os.waitpid(pid, 0)
    """
    assert messages(code, tmp_path) == ["once"]


def test_a_progress_bar_is_one_event(tmp_path):
    code = r"""
    for step in range(100):
        print(f"\r{step} %", end="", flush=True)
    print()
    for step in range(100):
        print(f"{step} of 99\r", end="", flush=True)
    print("\r\n", end="")
    """
    assert messages(code, tmp_path) == ["99 %", "99 of 99"]


def test_a_huge_line_is_cut_and_counted(tmp_path):
    code = """
    print("x" * 1_000_000)
    for _ in range(1000): print("y" * 100, end="")
    print()
    logging.info("z" * 10_000)
    try: raise ValueError("w" * 20_000 + "end")
    except ValueError: logging.exception("failed")
    """
    found = events(code, tmp_path)
    left = [1_000_000 - MOST_CHARACTERS, 100_000 - MOST_CHARACTERS, 10_000 - MOST_CHARACTERS]
    assert [event["message"] for event in found[:3]] == [
        f"{letter * MOST_CHARACTERS} … ({count} more characters)" for letter, count in zip("xyz", left, strict=True)
    ]
    assert found[3]["exception"].endswith("wwwend")
    assert re.match(r"\(\d+ more characters\) … w", found[3]["exception"])


def test_an_exception_is_in_its_event_without_the_runtimes_frames(tmp_path):
    code = """
    def run(): raise KeyError("colour")
    try: run()
    except KeyError: logging.exception("run() failed")
    """
    [event] = events(code, tmp_path)
    assert event["message"] == "run() failed"
    assert event["exception"].startswith("Traceback (most recent call last):\n")
    assert event["exception"].endswith("KeyError: 'colour'")


def test_a_thread_that_ends_by_an_exception_is_one_event(tmp_path):
    code = """
    thread = threading.Thread(target=lambda: 1 / 0, name="mine")
    thread.start(); thread.join()
    1 / 0
    """
    thread, process = events(code, tmp_path)
    assert thread["message"] == "thread mine ended by an exception"
    assert process["message"] == "ended by an exception"
    assert thread["exception"].endswith("ZeroDivisionError: division by zero")
    assert process["level"] == "CRITICAL"


def test_warnings_are_events(tmp_path):
    [event] = events("warnings.warn('old', stacklevel=1)", tmp_path)
    assert event["logger"] == "py.warnings"
    assert "UserWarning: old" in event["message"]


def test_what_is_written_to_the_descriptors_stays_as_it_is(tmp_path):
    code = r"""
    os.write(1, b"from C\n")
    os.write(sys.stderr.fileno(), b"also from C\n")
    sys.stdout.buffer.write(b"bytes\n"); sys.stdout.flush()
    """
    done = run(code, tmp_path)
    assert done.stdout == b"from C\nbytes\n"
    assert done.stderr == b"also from C\n"


def test_a_handler_that_fails_does_not_log_without_end(tmp_path):
    code = """
    class Broken(logging.Handler):
        def emit(self, record):
            try: raise RuntimeError("broken handler")
            except RuntimeError: self.handleError(record)
    logging.getLogger().addHandler(Broken())
    logging.getLogger("slipway.print").addHandler(logging.StreamHandler(sys.stdout))
    print("hello")
    logging.info("there")
    """
    done = run(code, tmp_path)
    shown = [json.loads(line)["message"] for line in done.stdout.splitlines() if line.startswith(b"{")]
    assert "hello" in shown
    assert "there" in shown
    assert b"broken handler" in done.stderr


def test_the_streams_are_what_libraries_expect_of_streams(tmp_path):
    code = """
    assert not sys.stdout.isatty() and sys.stdout.writable() and sys.stdout.encoding == "utf-8"
    sys.stdout.reconfigure(line_buffering=True)
    sys.stdout.close()
    sys.stdout.writelines(["a", "b\\n"])
    assert sys.stdout.fileno() == 1 and sys.stdout.name == "<stdout>"
    try: sys.stdout.write(b"bytes")
    except TypeError as error: print(error)
    """
    assert messages(code, tmp_path) == ["ab", "write() argument must be str, not bytes"]


def test_text_for_people_in_development(tmp_path):
    code = r"""
    REQUEST_ID.set("abc")
    print("one\x1b[31mred\x9b")
    logging.info("two\nlines")
    """
    done = run(code, tmp_path, SLIPWAY_DEVELOPMENT="1")
    lines = done.stdout.decode().splitlines()
    assert lines[0].endswith(r"Z INFO    slipway.print [abc]: one\x1b[31mred\x9b")
    assert lines[1].endswith("Z INFO    root [abc]: two")
    assert lines[2:] == ["    lines"]


def test_logging_json_is_honoured(tmp_path):
    config = {
        "version": 1,
        "formatters": {"mine": {"format": "MINE %(name)s %(request_id)s %(message)s"}},
        "handlers": {"mine": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "mine"}},
        "loggers": {
            "azmlinfsrv.print": {"level": "WARNING"},
            "azmlinfsrv": {"handlers": ["mine"], "propagate": False},
        },
    }
    (tmp_path / "logging.json").write_text(json.dumps(config), encoding="utf-8")
    code = """
    REQUEST_ID.set("abc")
    print("too low")
    logging.getLogger("slipway").info("ready")
    logging.getLogger("script").info("still there")
    """
    first, second = run(code, tmp_path).stdout.decode().splitlines()
    assert first == "MINE slipway abc ready"
    assert json.loads(second)["message"] == "still there"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "logging.json: Expecting property name"),
        ("[]", "logging.json: it has to be an object"),
        ('{"version": 1, "loggers": {"a": {"level": "LOUD"}}}', "Unknown level: 'LOUD'"),
    ],
)
def test_a_logging_json_that_cannot_be_used_is_said_so(tmp_path, text, problem):
    (tmp_path / "logging.json").write_text(text, encoding="utf-8")
    done = run("", tmp_path)
    assert done.returncode == 1
    assert problem in done.stdout.decode()
    assert str(tmp_path / "logging.json") in done.stdout.decode()


def test_settings_that_cannot_be_used_are_named():
    reader = Reader({"SLIPWAY_LOG": "xml", "AZUREML_LOG_LEVEL": "loud"})
    LogSettings.from_reader(reader)
    assert reader.problems == [
        "environment variable SLIPWAY_LOG is 'xml'; allowed are json, text",
        "environment variable AZUREML_LOG_LEVEL is 'LOUD'; allowed are DEBUG, INFO, WARNING, ERROR, CRITICAL",
    ]


def test_the_level_is_azures_variable(tmp_path):
    code = "logging.info('a'); logging.warning('b'); print('c')"
    assert messages(code, tmp_path, AZUREML_LOG_LEVEL="warning") == ["b"]


ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=60)


@given(ANY_TEXT, ANY_TEXT)
def test_any_message_is_one_line_of_json(message, identifier):
    record = logging.LogRecord("mine", logging.INFO, "", 0, "%s", (message,), None)
    record.request_id = identifier
    line = JsonFormatter().format(record)
    assert len(line.splitlines()) == 1
    event = json.loads(line.encode("utf-8"))
    assert event["message"] in {message, message.encode("utf-8", "backslashreplace").decode()}


@given(ANY_TEXT, ANY_TEXT)
def test_any_message_of_text_has_no_line_that_looks_like_an_event(message, identifier):
    record = logging.LogRecord("mine", logging.INFO, "", 0, "%s", (message,), None)
    record.request_id = identifier
    first, *further = TextFormatter().format(record).encode("utf-8").decode().splitlines()
    assert " INFO    mine" in first
    assert all(line.startswith("    ") for line in further)
