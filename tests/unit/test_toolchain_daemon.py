"""Services are started in the background, found again, and only our own are stopped."""

import os
import sys

import pytest

from toolchain.cache import Cache, read_json, write_json
from toolchain.daemon import Daemon, start_time
from toolchain.report import ToolchainError

SERVICE = """
import pathlib, sys, time
pathlib.Path(sys.argv[1]).write_text("up")
print("listening", flush=True)
time.sleep(600)
"""


@pytest.fixture
def cache(tmp_path):
    found = Cache(tmp_path / "cache")
    found.prepare()
    return found


@pytest.fixture
def running(cache, tmp_path):
    flag = tmp_path / "flag"
    daemon = Daemon(cache, "service", os.environ)
    daemon.start([sys.executable, "-c", SERVICE, str(flag)], ready=flag.exists, within=60, to_do="")
    yield daemon
    daemon.stop()


def test_a_started_service_is_found_by_a_later_run(cache, running):
    found = Daemon(cache, "service", os.environ)
    assert found.pid == running.pid
    assert found.pid is not None


def test_a_stopped_service_is_gone(cache, running):
    pid = running.pid
    assert Daemon(cache, "service", os.environ).stop()
    # Our own child stays as a zombie until it is waited for.
    assert os.waitpid(pid, 0)[0] == pid
    assert running.pid is None
    assert not running.stop()


def test_a_process_that_got_the_number_of_our_service_is_not_ours_and_is_left_alone(cache):
    write_json(cache.run / "service.json", {"pid": os.getpid(), "started": "long ago"})
    daemon = Daemon(cache, "service", os.environ)
    assert daemon.pid is None
    assert not daemon.stop()


def test_a_service_that_ends_at_once_tells_why_and_what_to_do(cache):
    daemon = Daemon(cache, "service", os.environ)
    with pytest.raises(ToolchainError) as raised:
        daemon.start(
            [sys.executable, "-c", "import sys; print('no such port'); sys.exit(3)"],
            ready=lambda: False,
            within=60,
            to_do="choose another port.",
        )
    text = str(raised.value)
    assert "service ended with status 3" in text
    assert "no such port" in text
    assert str(daemon.log) in text
    assert "What to do: choose another port." in text


def test_a_service_that_never_answers_is_ended(cache, tmp_path):
    daemon = Daemon(cache, "service", os.environ)
    with pytest.raises(ToolchainError, match="did not answer in"):
        daemon.start([sys.executable, "-c", SERVICE, str(tmp_path / "flag")], ready=lambda: False, within=0.5, to_do="")
    assert daemon.pid is None


def test_an_interrupted_start_leaves_a_record_so_that_the_service_can_be_stopped(cache, tmp_path):
    daemon = Daemon(cache, "service", os.environ)

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        daemon.start([sys.executable, "-c", SERVICE, str(tmp_path / "flag")], ready=interrupted, within=60, to_do="")
    assert read_json(cache.run / "service.json")["pid"] == daemon.pid
    assert daemon.stop()


def test_a_service_that_is_started_again_replaces_the_one_that_runs(cache, running, tmp_path):
    first, flag = running.pid, tmp_path / "again"
    running.start([sys.executable, "-c", SERVICE, str(flag)], ready=flag.exists, within=60, to_do="")
    assert start_time(first, os.environ) is None
    assert running.pid not in {None, first}
