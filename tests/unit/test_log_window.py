"""Following a log of which only the end can be had: each line once, none left out, whatever times they have."""

import contextlib

import pytest

from cli.logs.window import dated, followed, known_until

FIRST, SECOND = "2026-01-01T00:00:01.5Z", "2026-01-01T00:00:02Z"


class EndError(Exception):
    """Nothing is added any more."""


def following(log, tail, *additions):
    """What is read of a log that grows by one of `additions` between two looks."""

    asked, left = [], list(additions)

    def read(most):
        asked.append(most)
        return log[-most:] if most else list(log)

    def wait():
        if not left:
            raise EndError
        log.extend(left.pop(0))

    read_lines, lines = [], followed(read, tail, wait)
    with contextlib.suppress(EndError):
        for line in lines:
            read_lines.append(line)  # noqa: PERF402 - the lines before the error count
    return read_lines, asked


def numbered(begin, end, time="2026-01-01T00:00:00Z"):
    return [(time, f"line {number}") for number in range(begin, end)]


def test_each_line_has_its_time_and_one_without_has_that_of_the_line_before_it():
    text = f"{FIRST} one\n{SECOND} a trace:\n  two  \r\n{SECOND} \n{SECOND}\n"
    assert dated(text) == [(FIRST, "one"), (SECOND, "a trace:"), (SECOND, "  two  "), (SECOND, ""), (SECOND, "")]
    assert dated("") == []


def test_where_azure_tells_no_times_those_of_events_count():
    event = '{"time": "2026-01-01T00:00:03Z", "level": "INFO", "logger": "a", "message": "b"}'
    assert [time for time, _ in dated(f"first\n{event}\nmore\n")] == [
        "",
        "2026-01-01T00:00:03Z",
        "2026-01-01T00:00:03Z",
    ]


def test_lines_are_read_once_though_each_look_gives_all_of_them():
    lines, _ = following(numbered(0, 5), 3, numbered(5, 7), [], numbered(7, 8))
    assert lines == numbered(2, 8)


def test_none_of_what_there_is_already_is_read_when_none_is_asked_for():
    assert following(numbered(0, 5), 0, numbered(5, 6))[0] == numbered(5, 6)


def test_equal_lines_of_one_time_are_as_many_as_were_printed():
    same = [(FIRST, "same")]
    lines, _ = following([(FIRST, "begin"), *same * 2], 10, same * 3, same)
    assert lines == [(FIRST, "begin"), *same * 6]


def test_a_line_with_an_earlier_time_than_one_before_it_is_not_lost():
    lines, _ = following([(SECOND, "of one output")], 5, [(FIRST, "of the other")])
    assert lines == [(SECOND, "of one output"), (FIRST, "of the other")]


def test_more_lines_than_a_look_takes_are_read_by_a_longer_look():
    lines, asked = following(numbered(0, 10), 10, numbered(10, 3000))
    assert lines == numbered(0, 3000)
    assert asked == [10, 500, 4000]


def test_a_log_that_begins_anew_is_read_from_its_begin():
    log = numbered(0, 3, FIRST)

    class Restarted(list):
        def extend(self, more):
            self[:] = more

    lines, _ = following(Restarted(log), 5, numbered(0, 2, SECOND))
    assert lines == [*log, *numbered(0, 2, SECOND)]


def test_the_first_lines_of_a_container_that_had_none_are_read():
    assert following([], 5, [], numbered(0, 700))[0] == numbered(0, 700)


@pytest.mark.parametrize(
    ("known", "window", "until"),
    [
        ("abc", "abc", 3),
        ("abc", "cd", 1),
        ("bc", "abcd", 3),
        ("abc", "xyz", None),
        ("aab", "babaab", 6),
        ("", "a", None),
    ],
)
def test_what_is_known_of_a_window_ends_where_both_agree_longest(known, window, until):
    assert known_until([("", one) for one in known], [("", one) for one in window]) == until
