"""Lines of a service's log, as `slipway logs` prints them."""

import json

import pytest

from cli.logs.events import dated, event_of, readable

EVENT = {"time": "2026-01-02T03:04:05.678Z", "level": "INFO", "logger": "slipway", "message": "ready"}


def test_a_line_is_told_apart_from_its_time_whatever_is_in_it():
    assert dated(b"2026-01-02T03:04:05.6Z two words\r") == ("2026-01-02T03:04:05.6Z", "two words")
    assert dated(b"2026-01-02T03:04:05.6Z \xff") == ("2026-01-02T03:04:05.6Z", "\ufffd")
    assert dated(b"2026-01-02T03:04:05.6Z ") == ("2026-01-02T03:04:05.6Z", "")


def test_an_event_is_a_line_for_people():
    assert readable(json.dumps(EVENT)) == "2026-01-02T03:04:05.678Z INFO    slipway: ready"


def test_an_events_request_and_traceback_are_shown():
    event = {**EVENT, "request_id": "r1", "exception": "Traceback:\n  File x\nValueError: no"}
    assert readable(json.dumps(event)).splitlines() == [
        "2026-01-02T03:04:05.678Z INFO    slipway [r1]: ready",
        "    Traceback:",
        "      File x",
        "    ValueError: no",
    ]


@pytest.mark.parametrize(
    "line", ["", "plain", "{", '{"time": "now"}', '{"message": 1}', "[1]", json.dumps({**EVENT, "level": None})]
)
def test_other_lines_stay_as_they_are(line):
    assert event_of(line) is None
    assert readable(line) == line
