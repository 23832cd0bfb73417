"""Errors in a log, as the runtime itself writes them."""

import logging
import sys

import pytest

from cli.diagnosis.checks.last_error import error_in, errors_in
from scoring.telemetry.events import JsonFormatter, TextFormatter


def _record(level, message):
    try:
        float("boom")
    except ValueError:
        return logging.LogRecord("slipway", level, "score.py", 1, message, (), sys.exc_info())


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_an_error_is_found_in_either_form_and_once(formatter):
    lines = formatter.format(_record(logging.ERROR, "run() failed")).splitlines()
    [found] = [error for line in lines if (error := error_in(line))]
    assert "run() failed" in found
    assert "\n" not in found


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_what_is_no_error_is_none_even_when_it_speaks_of_one(formatter):
    lines = formatter.format(_record(logging.INFO, " ERROR slipway: nothing")).splitlines()
    assert [error_in(line) for line in lines] == [None] * len(lines)


def test_what_a_script_printed_by_itself_is_no_event():
    for line in ("", "{", "{}", "[1]", "ERROR", '{"level": "ERROR"', "plain text"):
        assert error_in(line) is None


def test_json_tells_what_was_raised():
    assert error_in(JsonFormatter().format(_record(logging.ERROR, "run() failed"))).endswith(
        "ValueError: could not convert string to float: 'boom'"
    )


def _ready(generation):
    return logging.LogRecord(
        "slipway", logging.INFO, "service.py", 1, f"ready: score.py loaded in 0.01 s{generation}", (), None
    )


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_an_error_is_over_when_an_edit_was_taken_over_after_it_and_no_other_start_of_the_script_hides_one(formatter):
    failed = logging.LogRecord("slipway", logging.ERROR, "service.py", 1, "run() failed", (), None)

    def errors(*records):
        lines = [line for record in records for line in formatter.format(record).splitlines()]
        return errors_in((str(number), line) for number, line in enumerate(lines))

    assert errors(failed, _ready(", generation 2")) == []
    assert errors(failed, _ready(", generation 12")) == []
    for start in ("", ", generation 1"):
        [(_, told)] = errors(failed, _ready(start))
        assert "run() failed" in told
    [(time, _)] = errors(_ready(", generation 2"), failed)
    assert time == "1"
