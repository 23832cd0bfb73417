"""A `kill -9` of everything half-way: the next `up` finishes the work and leaves nothing behind."""

import json
import os
import random
import signal
import subprocess
import time

import pytest

from tests.system.checkout import kill_tree

pytestmark = [pytest.mark.engine, pytest.mark.system]
_KILLS = 6


def _state_ids(project):
    state = json.loads(project.pulumi("stack", "export").stdout)["deployment"]
    return {
        one["id"] for one in state.get("resources", []) if one["type"] == "docker:index/container:Container"
    }, state.get("pending_operations")


def _up_and_kill(project, after):
    process = subprocess.Popen(
        project.command("up"), cwd=project.folder, env=project.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        kill_tree(process.pid)
        process.wait()
        return True
    return False


def test_an_up_killed_at_any_point_is_finished_by_the_next(project):
    project.model("alpha")
    project.model("beta")
    start = time.monotonic()
    project.run("up")
    whole = time.monotonic() - start
    chance = random.Random(20260101)
    killed = 0
    for number in range(_KILLS):
        project.model("alpha", answer=f"edit {number}")
        if number % 2:
            project.model("beta", answer=f"edit {number}")
        # Spread over the whole run, from the start of the program to the last container.
        killed += _up_and_kill(project, whole * (number + chance.random()) / _KILLS)
        project.run("up")
        assert project.answer("alpha")["answer"] == f"edit {number}"
        containers = project.containers()
        ids, pending = _state_ids(project)
        assert {one.id for one in containers.values()} == ids
        assert len(ids) == 2
        assert not pending
    assert killed >= _KILLS // 2


def test_a_first_up_killed_while_it_creates_is_finished_by_the_next(project):
    for name in ("alpha", "beta", "gamma"):
        project.model(name)
    process = subprocess.Popen(
        project.command("up"), cwd=project.folder, env=project.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    # The moment that hurts: a container is there, and the state may not know it.
    project.wait_for(project.containers, seconds=300)
    kill_tree(process.pid)
    process.wait()
    project.run("up")
    assert set(project.containers()) == {"alpha", "beta", "gamma"}
    ids, pending = _state_ids(project)
    assert {one.id for one in project.containers().values()} == ids
    assert not pending


def test_an_engine_that_outlives_its_killed_up_is_waited_for_by_the_next(project):
    project.model("alpha")
    script = project.script("alpha")
    # While a container starts, the engine has nothing to print.
    script.write_text(script.read_text().replace("    pass\n", "    import time\n\n    time.sleep(4)\n"))
    command = project.command("up", "--", "--skip-preview")
    quiet = {"cwd": project.folder, "env": project.env, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    killed = subprocess.Popen(command, **quiet, start_new_session=True)
    locks = project.state / ".pulumi/locks"
    project.wait_for(project.containers, seconds=120)
    engine = json.loads(next(locks.rglob("*.json")).read_text())["pid"]
    # As a terminal or a runner ends it: the engine has a group of its own, and goes on until it prints something.
    os.killpg(killed.pid, signal.SIGKILL)
    # Only then: what is stopped when its group loses its last parent is hung up by the system.
    killed.wait()
    os.kill(engine, signal.SIGSTOP)
    following = subprocess.Popen(command, **{**quiet, "stderr": subprocess.PIPE}, text=True)
    try:
        assert f"its engine (process {engine}) goes on: waiting for it" in following.stderr.readline()
    finally:
        os.kill(engine, signal.SIGCONT)
    following.communicate(timeout=300)
    assert following.returncode == 0
    assert project.answer("alpha")["answer"] == "first"


def test_a_second_up_at_the_same_time_is_refused_and_told_of_the_first(project):
    project.model("alpha")
    first = subprocess.Popen(
        project.command("up"), cwd=project.folder, env=project.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    locks = project.state / ".pulumi/locks"
    project.wait_for(lambda: list(locks.rglob("*.json")), seconds=120)
    second = project.run("up", check=False)
    assert second.returncode == 1
    assert "another" in (second.stdout + second.stderr).lower()
    assert first.wait(300) == 0
    assert project.answer("alpha")["answer"] == "first"
