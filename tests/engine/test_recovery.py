"""What the command makes of a killed engine's leavings: the real engine, killed while it makes a container."""

import signal
import subprocess
import time

import pytest

from cli.deployment.recovery import recover, strangers
from cli.errors import CliError
from cli.stack.kept_states import state_file
from cli.stack.locks import release_stale_locks
from cli.stack.project import Project
from cli.stack.pulumi import Pulumi

pytestmark = pytest.mark.engine

# It never becomes healthy, so that the engine can be killed while it waits.
CONTAINER = """
docker.Container("one", name=name, image=image, command=["sleep", "1000"], wait=wait, wait_timeout=200,
    destroy_grace_seconds=1,
    healthcheck=docker.ContainerHealthcheckArgs(tests=["CMD", "false"], interval="100s"),
    labels=[docker.ContainerLabelArgs(label=f"io.slipway.{key}", value=value) for key, value in labels.items()])
"""
LABELS = {"project": "engine-test", "stack": "test", "model": "one", "version": "1"}
_PATIENCE = 180


@pytest.fixture
def pulumi(stack):
    return Pulumi(Project(root=stack.folder, name="engine-test"), stack.name, stack.env)


@pytest.fixture
def killed(stack, engine, name, image):
    """Kills the engine when the container is there but not yet in the state."""

    def kill(labels=LABELS):
        stack.program(CONTAINER, name=name, image=image, labels=labels, wait=True)
        process = _start(stack)
        _until(lambda: engine.containers.list(all=True, filters={"name": name}, ignore_removed=True))
        process.send_signal(signal.SIGKILL)
        process.wait()
        return process.pid

    return kill


def _start(stack):
    command = stack.command("up", "--stack", stack.name, "--yes", "--skip-preview")
    return subprocess.Popen(
        command, cwd=stack.folder, env=stack.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _until(condition):
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {_PATIENCE} s"
        time.sleep(0.02)


def _named(engine, name):
    return [one.name for one in engine.containers.list(all=True, filters={"name": name}, ignore_removed=True)]


def test_a_killed_up_is_mended_and_the_next_one_converges(stack, engine, name, image, pulumi, killed):
    pid = killed()
    assert "locked" in stack.up(check=False).output
    said = []
    assert recover(pulumi, said.append)
    assert any(str(pid) in line and "lock" in line for line in said)
    assert any(name in line for line in said)
    assert _named(engine, name) == []
    assert "pending_operations" not in stack.export()

    stack.program(CONTAINER, name=name, image=image, labels=LABELS, wait=False)
    done = stack.up()
    assert "pending" not in done.output
    [made] = engine.containers.list(filters={"name": name}, ignore_removed=True)
    assert stack.resources()["Container", "one"]["id"] == made.id
    said.clear()
    assert recover(pulumi, said.append)
    assert said == []


def test_a_container_of_another_stack_is_never_touched(engine, name, pulumi, killed):
    killed({**LABELS, "stack": "another"})
    assert recover(pulumi, lambda _: None)
    assert _named(engine, name) == [name]


def test_a_container_without_labels_is_never_touched(engine, name, pulumi, killed):
    killed({"io.example": "1"})
    assert recover(pulumi, lambda _: None)
    assert _named(engine, name) == [name]


def test_what_the_state_already_knows_is_kept(stack, engine, name, image, pulumi, killed):
    stack.program(CONTAINER.replace('"one"', '"first"'), name=f"{name}-first", image=image, labels=LABELS, wait=False)
    stack.up()
    stack_program = (
        CONTAINER.replace('"one"', '"first"').replace("wait=wait", "wait=False").replace("name=name", "name=first")
    )
    both = stack_program + CONTAINER
    stack.program(both, name=name, first=f"{name}-first", image=image, labels=LABELS, wait=True)
    process = _start(stack)
    _until(lambda: name in _named(engine, name))
    process.kill()
    process.wait()
    assert recover(pulumi, lambda _: None)
    assert _named(engine, name) == [f"{name}-first"]


def test_a_living_engine_is_left_alone_and_named(stack, engine, name, image, pulumi):
    stack.program(CONTAINER, name=name, image=image, labels=LABELS, wait=True)
    process = _start(stack)
    try:
        _until(lambda: _named(engine, name))
        with pytest.raises(CliError, match=f"process {process.pid} of "):
            recover(pulumi, lambda _: None)
        assert _named(engine, name) == [name]
    finally:
        process.kill()
        process.wait()
    assert release_stale_locks(pulumi.backend, "engine-test", stack.name, lambda _: None)


def test_a_container_that_no_state_knows_is_a_stranger(stack, engine, name, image, pulumi):
    stack.program(CONTAINER, name=name, image=image, labels=LABELS, wait=False)
    stack.up()
    assert strangers(pulumi) == []
    labels = {f"io.slipway.{key}": value for key, value in LABELS.items()}
    engine.containers.create(image, name=f"{name}-by-another", labels=labels)
    assert strangers(pulumi) == [f"{name}-by-another"]


def test_a_state_that_is_put_back_learns_what_has_gone_and_leaves_older_strangers(stack, engine, name, image, pulumi):
    labels = {f"io.slipway.{key}": value for key, value in LABELS.items()}
    engine.containers.create(image, name=f"{name}-by-another", labels=labels)
    stack.program(CONTAINER, name=name, image=image, labels=LABELS, wait=False)
    stack.up()
    engine.containers.get(name).remove(force=True)
    file = state_file(pulumi.backend, "engine-test", stack.name)
    for last in (file, file.with_name(f"{file.name}.bak")):
        last.write_text(file.read_text()[:100])
    (stack.folder / ".slipway").mkdir()
    (stack.folder / ".slipway/toolchain.json").write_text('{"path": [], "env": {}}')
    assert recover(pulumi, lambda _: None)
    assert ("Container", "one") not in stack.resources()
    assert _named(engine, name) == [f"{name}-by-another"]
    stack.up()
    assert name in _named(engine, name)


def test_a_stack_that_is_not_there_needs_no_mending(stack):
    (stack.folder / "Pulumi.new.yaml").write_text("")
    pulumi = Pulumi(Project(root=stack.folder, name="engine-test"), "new", stack.env)
    assert not recover(pulumi, lambda _: None)
    pulumi.create()
    assert recover(pulumi, lambda _: None)
    pulumi.remove()
    assert not recover(pulumi, lambda _: None)


def test_a_stacks_configuration_file_is_never_written(stack):
    file = stack.folder / "Pulumi.clean.yaml"
    text = "# Kept as it is.\nconfig:\n  engine-test:flag:   true\n"
    file.write_text(text)
    (stack.folder / ".slipway").mkdir()
    (stack.folder / ".slipway/toolchain.json").write_text('{"path": [], "env": {}}')
    pulumi = Pulumi(Project(root=stack.folder, name="engine-test"), "clean", stack.env)
    stack.program(
        'pulumi.export("flag", pulumi.Config().get_bool("flag"))\npulumi.export("own", pulumi.Output.secret("x"))'
    )
    pulumi.create()
    for operation in (["up", "--yes"], ["preview"], ["up", "--yes", "--refresh"]):
        assert pulumi.run(*operation) == 0
        assert file.read_text() == text
    assert pulumi.outputs()["flag"] is True
    assert pulumi.state()["deployment"]["secrets_providers"]["type"] == "passphrase"
    assert pulumi.run("destroy", "--yes") == 0
    pulumi.remove()
    assert file.read_text() == text
