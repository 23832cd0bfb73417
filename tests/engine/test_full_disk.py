"""What the command makes of a state that a full disk has cut off: the real engine, its state on a small disk."""

import os
import subprocess
import time

import pytest

from cli.deployment.recovery import recover
from cli.stack.kept_states import deployment_in, newest_whole, state_file
from cli.stack.project import Project
from cli.stack.pulumi import Pulumi
from tests.engine.conftest import Stack, own_state

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root mounts a small disk"),
]
# Healthy, and so in the state, when the test says so.
CONTAINER = """
docker.Container("one", name=name, image=image, command=["sleep", "1000"], wait=True, wait_timeout=200,
    destroy_grace_seconds=1,
    healthcheck=docker.ContainerHealthcheckArgs(tests=["CMD", "test", "-e", go], interval="1s", retries=200),
    labels=[docker.ContainerLabelArgs(label=f"io.slipway.{key}", value=value) for key, value in labels.items()])
pulumi.export("much", "x" * 20000)
"""
LABELS = {"project": "engine-test", "stack": "test", "model": "one", "version": "1"}
_PATIENCE = 120
_GO = "/tmp/go"  # noqa: S108 - in the container
_LEFT = 4 * 1024


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no small disk can be mounted: {done.stderr}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
def stack(toolchain_env, tmp_path, small_disk):
    env = own_state(toolchain_env, tmp_path) | {"PULUMI_BACKEND_URL": small_disk.as_uri()}
    made = Stack(tmp_path / "program", env)
    yield made
    made.destroy("--refresh", check=False)


def _until(condition):
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {_PATIENCE} s"
        time.sleep(0.02)


def _fill(place):
    """Leave less room than the next state needs."""
    free = os.statvfs(place)
    (place / "filler").write_bytes(b"x" * (free.f_bavail * free.f_frsize - _LEFT))


@pytest.mark.parametrize("bak", ["as the engine left it", "cut off"])
def test_an_up_that_a_full_disk_cuts_off_is_finished_by_the_next(stack, engine, name, image, small_disk, bak):
    (stack.folder / ".slipway").mkdir()
    (stack.folder / ".slipway/toolchain.json").write_text('{"path": [], "env": {}}')
    stack.pulumi("config", "set", "--stack", stack.name, "--path", "slipway:targets[0]", "local-docker")
    pulumi = Pulumi(Project(root=stack.folder, name="engine-test"), stack.name, stack.env)
    stack.program('pulumi.export("much", "x" * 20000)')
    stack.up()
    file = state_file(pulumi.backend, "engine-test", stack.name)
    stack.program(CONTAINER, name=name, image=image, labels=LABELS, go=_GO)
    command = stack.command("up", "--stack", stack.name, "--yes", "--skip-preview")
    process = subprocess.Popen(
        command, cwd=stack.folder, env=stack.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _until(lambda: engine.containers.list(filters={"name": name}, ignore_removed=True))
        [lost] = engine.containers.list(filters={"name": name}, ignore_removed=True)
        _fill(small_disk)
        # Held open, as by a backup: replaced by the part of a state, it would make the room for the whole one.
        with file.open():
            assert lost.exec_run(["touch", _GO]).exit_code == 0
            _until(lambda: deployment_in(file) is None)
    finally:
        # It would try for half a minute, and once more for each state.
        process.kill()
        process.wait()
    before = file.with_name(f"{file.name}.bak")
    if bak == "cut off":
        # As its next write does.
        before.write_bytes(file.read_bytes())
    (small_disk / "filler").unlink()
    # The copy of the state that notes it did not fit any more.
    assert "pending_operations" not in newest_whole(file).deployment
    said = []
    assert recover(pulumi, said.append)
    assert any("was cut off" in line for line in said)
    assert any(name in line for line in said)
    assert engine.containers.list(all=True, filters={"name": name}, ignore_removed=True) == []
    assert "one" not in {one for _, one in stack.resources()}

    stack.program(CONTAINER.replace("wait=True", "wait=False"), name=name, image=image, labels=LABELS, go=_GO)
    stack.up()
    [made] = engine.containers.list(filters={"name": name}, ignore_removed=True)
    assert stack.resources()["Container", "one"]["id"] == made.id
