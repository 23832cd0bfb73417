"""Every failure of the set-up ends in one message with what to do; where it came from is shown on request."""

import errno
import os

import pytest

from toolchain import main


@pytest.fixture
def failing(monkeypatch):
    """Make a command fail with an exception; returns its exit status."""

    def run(error):
        def fail(*_):
            raise error

        monkeypatch.setattr(main, "_report", fail)
        return main.main(["status"])

    return run


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/cache/file"), "The disk is full (/cache/file)."),
        (PermissionError(errno.EACCES, "Permission denied", "/cache"), "Permission denied (/cache)."),
        (TimeoutError("timed out"), "timed out."),
        (KeyError("Names"), "KeyError: 'Names'"),
    ],
)
def test_an_unexpected_error_is_one_message_with_what_to_do(failing, capsys, monkeypatch, error, told):
    monkeypatch.delenv("SLIPWAY_DEBUG", raising=False)
    assert failing(error) == 1
    text = capsys.readouterr().err
    assert told in text
    assert "What to do: " in text
    assert "Traceback" not in text


def test_the_traceback_is_shown_on_request(failing, capsys, monkeypatch):
    monkeypatch.setenv("SLIPWAY_DEBUG", "1")
    assert failing(KeyError("Names")) == 1
    assert "Traceback" in capsys.readouterr().err
