"""Locks in a state folder: those of living engines are respected, those of killed ones removed."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.errors import CliError
from cli.stack.locks import only_run, release_stale_locks, state_folder
from cli.stack.project import Project

ROOT = Path(__file__).parents[2]


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def engine_program(tmp_path):
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    shutil.copy(shutil.which("sleep"), program)
    return program


@pytest.fixture
def engine(engine_program):
    """A living process whose program is called pulumi."""
    process = subprocess.Popen([engine_program, "300"])
    yield process
    process.kill()
    process.wait()


def _lock(state, pid, *, host=None, stack="dev", content=None):
    folder = state / ".pulumi/locks/organization/shop" / stack
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{pid}-{host or 'here'}.json"
    known = {"pid": pid, "username": "me", "hostname": host or socket.gethostname()}
    file.write_text(json.dumps({**known, "timestamp": "2026-03-01T10:30:00.5+01:00"}) if content is None else content)
    (folder / f"{file.name}.attrs").write_text("{}")
    return file


def _release(state, stack="dev"):
    said = []
    return release_stale_locks(state.as_uri(), "shop", stack, said.append), said


def _dead_pid():
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_the_lock_of_a_killed_engine_is_removed_and_it_is_said(state):
    pid = _dead_pid()
    file = _lock(state, pid)
    found, [line] = _release(state)
    assert found
    assert str(pid) in line
    assert "since 2026-03-01 10:30:00" in line
    assert list(file.parent.iterdir()) == []


def test_the_lock_of_a_killed_engine_that_nobody_waited_for_is_removed(state, engine):
    engine.send_signal(signal.SIGKILL)
    while os.waitid(os.P_PID, engine.pid, os.WEXITED | os.WNOWAIT) is None:
        time.sleep(0.01)
    _lock(state, engine.pid)
    assert _release(state)[0]


def test_the_lock_of_a_living_engine_stops_the_run_and_names_it(state, engine):
    file = _lock(state, engine.pid)
    with pytest.raises(CliError, match=rf"process {engine.pid} of me, since 2026-03-01 10:30:00") as caught:
        _release(state)
    assert f"kill {engine.pid}" in caught.value.hint
    assert file.exists()


def test_a_process_number_that_went_to_another_program_is_no_engine(state):
    _lock(state, os.getpid())
    assert _release(state)[0]


def test_a_stale_lock_beside_a_living_one_is_left_alone(state, engine):
    stale = _lock(state, _dead_pid())
    _lock(state, engine.pid)
    with pytest.raises(CliError):
        _release(state)
    assert stale.exists()


def test_the_lock_of_another_machine_stays_and_the_hint_is_pulumi_cancel(state):
    file = _lock(state, _dead_pid(), host="build-7")
    with pytest.raises(CliError, match="locked by me on build-7") as caught:
        _release(state)
    assert "pulumi cancel --stack dev" in caught.value.hint
    assert file.exists()


def test_locks_of_other_stacks_are_not_looked_at(state):
    other = _lock(state, _dead_pid(), stack="prod")
    assert _release(state) == (False, [])
    assert other.exists()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"pid": "x", "username": 1}'])
def test_a_lock_that_cannot_be_read_is_named_with_its_file(state, content):
    file = _lock(state, 1, content=content)
    with pytest.raises(CliError, match="cannot be read") as caught:
        _release(state)
    assert str(file) in str(caught.value)


def test_only_a_state_folder_on_this_machine_is_looked_into(tmp_path):
    assert state_folder((tmp_path / "with space").as_uri()) == tmp_path / "with space" / ".pulumi"
    for backend in (None, "", "s3://team", "https://api.pulumi.com", "file://."):
        assert state_folder(backend) is None


def test_of_two_runs_the_second_is_refused_until_the_first_has_ended(tmp_path):
    project = Project(root=tmp_path, name="shop")

    def hold(stack):
        with only_run(project, stack, print):
            pass

    with only_run(project, "dev", print):
        hold("prod")
        with pytest.raises(CliError, match=f'Another run works on the stack "dev": process {os.getpid()}'):
            hold("dev")
    hold("dev")


def test_the_hold_of_a_killed_run_ends_with_it(tmp_path):
    project = Project(root=tmp_path, name="shop")
    code = f"""
import time
from pathlib import Path
from cli.stack.locks import only_run
from cli.stack.project import Project
with only_run(Project(root=Path({str(tmp_path)!r}), name="shop"), "dev", print):
    print("held", flush=True)
    time.sleep(300)
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-P", "-c", code], env=env, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(CliError, match=f"process {process.pid}"), only_run(project, "dev", print):
        pass
    process.kill()
    process.wait()
    process.stdout.close()
    with only_run(project, "dev", print):
        pass


def test_the_engine_of_a_killed_run_is_waited_for_with_a_line_that_says_so(tmp_path, engine_program):
    project = Project(root=tmp_path, name="shop")
    code = f"""
import os
import sys
from pathlib import Path
from cli.stack.locks import only_run
from cli.stack.process import run_in_foreground
from cli.stack.project import Project
with only_run(Project(root=Path({str(tmp_path)!r}), name="shop"), "dev", print) as note:
    def started(pid):
        note(pid)
        print(pid, flush=True)

    run_in_foreground([sys.argv[1], "300"], cwd=Path(), env=os.environ, started=started)
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-c", code, engine_program]
    run = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    engine = int(run.stdout.readline())
    run.kill()
    run.wait()
    said = []

    def say(line):
        # Only now does the engine end.
        said.append(line)
        os.kill(engine, signal.SIGKILL)

    with only_run(project, "dev", say):
        pass
    run.stdout.close()
    assert said == [
        f"An earlier run was killed (process {run.pid}), and its engine (process {engine}) goes on: waiting for it."
    ]
