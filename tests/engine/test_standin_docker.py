"""The docker stand-in under the real engine: what is declared is made, changed, found again and taken away."""

import json
import os
import signal
import subprocess
import time
import uuid

import docker as docker_py
import pytest

from tests.engine.conftest import plugins

pytestmark = [pytest.mark.engine, pytest.mark.system]

CONTAINER = ("Container", "box")
BOX = """
box = docker.Container("box", name=name, image=image, **options)
pulumi.export("id", box.id)
"""
# Every option that can be set without special hardware, so that a refresh may find no difference in any.
EVERYTHING = """
network = docker.Network("net", name=name, labels=[docker.NetworkLabelArgs(label="a", value="b")], options={
    "com.docker.network.bridge.enable_icc": "true"})
volume = docker.Volume("data", name=name, labels=[docker.VolumeLabelArgs(label="a", value="b")])
box = docker.Container("box", name=name, image=image,
    capabilities=docker.ContainerCapabilitiesArgs(adds=["net_bind_service"], drops=["ALL"]),
    command=["sh", "-c", "sleep 1000"], entrypoints=["env"], cpu_set="0", cpu_shares=512, cpus="0.50",
    destroy_grace_seconds=1, dns=["192.0.2.2", "192.0.2.1"], dns_opts=["timeout:1"], dns_searches=["example.org"],
    devices=[docker.ContainerDeviceArgs(host_path="/dev/null", container_path="/dev/nothing")],
    domainname="example.org", hostname="box", envs=["B=2", "A=1", "FROM_IMAGE=yes"], group_adds=["100"],
    healthcheck=docker.ContainerHealthcheckArgs(tests=["CMD", "true"], interval="1m0s", timeout="5s", retries=2,
        start_period="60s", start_interval="200ms"), wait=True, wait_timeout=120,
    hosts=[docker.ContainerHostArgs(host="there", ip="192.0.2.3")], init=True, ipc_mode="private",
    labels=[docker.ContainerLabelArgs(label="z", value="1"), docker.ContainerLabelArgs(label="a", value="2"),
        docker.ContainerLabelArgs(label="from.image", value="yes")],
    log_driver="json-file", log_opts={"max-size": "1m", "max-file": "2"}, max_retry_count=3, restart="on-failure",
    memory=64, memory_reservation=32, memory_swap=64,
    mounts=[docker.ContainerMountArgs(type="tmpfs", target="/scratch",
            tmpfs_options=docker.ContainerMountTmpfsOptionsArgs(size_bytes=1048576)),
        docker.ContainerMountArgs(type="bind", source="/usr", target="/host", read_only=True),
        docker.ContainerMountArgs(type="volume", source=volume.name, target="/kept")],
    networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=network.name, aliases=["one"])],
    ports=[docker.ContainerPortArgs(internal=80, ip="127.0.0.1"),
        docker.ContainerPortArgs(internal=53, protocol="udp")],
    read_only=True, security_opts=["no-new-privileges"], shm_size=32, stdin_open=True, stop_signal="SIGTERM",
    stop_timeout=3, sysctls={"net.core.somaxconn": "256"}, tmpfs={"/run": "rw,size=1m"}, tty=True, user="1000:1000",
    ulimits=[docker.ContainerUlimitArgs(name="nofile", soft=512, hard=1024)],
    volumes=[docker.ContainerVolumeArgs(container_path="/again", volume_name=volume.name, read_only=True),
        docker.ContainerVolumeArgs(container_path="/bound", host_path="/etc")],
    working_dir="/var")
pulumi.export("ports", box.ports)
pulumi.export("network", box.network_datas[0].network_name)
"""


@pytest.fixture
def box(stack, name, image, engine):
    """A stack with one container, whose options a test chooses."""

    class Box:
        def declare(self, **options):
            options = {"command": ["sleep", "1000"], **options}
            stack.program(BOX, name=name, image=image, options=options)

        @property
        def container(self):
            return engine.containers.get(name)

        @property
        def exists(self):
            return bool(engine.containers.list(all=True, filters={"name": name}, ignore_removed=True))

    return Box()


def test_every_option_reaches_docker_and_a_refresh_finds_nothing_changed(stack, name, image, engine):
    stack.program(EVERYTHING, name=name, image=image)
    stack.up()
    made = engine.containers.get(name).attrs
    host = made["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["MemoryReservation"]) == (64 << 20, 64 << 20, 32 << 20)
    assert (host["NanoCpus"], host["CpuShares"], host["CpusetCpus"], host["ShmSize"]) == (
        500_000_000,
        512,
        "0",
        32 << 20,
    )
    assert (host["CapDrop"], host["ReadonlyRootfs"], host["Init"]) == (["ALL"], True, True)
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert {"B=2", "A=1", "FROM_IMAGE=yes"} <= set(made["Config"]["Env"])
    assert made["Config"]["Labels"].items() >= {"z": "1", "a": "2"}.items()
    assert made["Config"]["Healthcheck"]["Interval"] == 60_000_000_000
    assert list(made["NetworkSettings"]["Networks"]) == [name]
    outputs = stack.outputs()
    assert outputs["ports"][0]["external"] > 0
    assert outputs["network"] == name
    assert stack.preview("--refresh", "--expect-no-changes").operations == {}
    assert stack.up("--refresh").operations == {}


def test_an_unchanged_program_is_no_operation(stack, box):
    box.declare(envs=["A=1", "B=2"], ports=[{"internal": 80, "ip": "127.0.0.1"}])
    stack.up()
    before = box.container.id
    # The same, said otherwise.
    box.declare(envs=["B=2", "A=1"], ports=[{"internal": 80, "ip": "127.0.0.1", "protocol": "tcp"}], restart="no")
    assert stack.preview("--expect-no-changes").operations == {}
    assert stack.up("--expect-no-changes").operations == {}
    assert box.container.id == before


def test_a_preview_touches_nothing_and_lists_what_the_update_then_does(stack, box):
    box.declare(memory=64)
    foretold = stack.preview()
    assert not box.exists
    assert foretold.operations[CONTAINER] == {"create"}
    assert stack.up().operations == foretold.operations
    before = box.container.attrs

    box.declare(memory=96, envs=["A=1"])
    foretold = stack.preview()
    assert box.container.attrs == before
    assert foretold.operations[CONTAINER] == {"create-replacement", "replace", "delete-replaced"}
    assert stack.up().operations == foretold.operations
    assert box.container.id != before["Id"]


def test_limits_and_the_restart_policy_change_in_place(stack, box):
    box.declare(memory=64)
    stack.up()
    before = box.container.id
    box.declare(memory=256, memory_reservation=32, cpu_shares=256, cpu_set="0", restart="on-failure", max_retry_count=2)
    assert stack.preview().operations[CONTAINER] == {"update"}
    assert stack.up().operations[CONTAINER] == {"update"}
    host = box.container.attrs["HostConfig"]
    assert box.container.id == before
    assert (host["Memory"], host["MemoryReservation"]) == (256 << 20, 32 << 20)
    assert (host["CpuShares"], host["CpusetCpus"]) == (256, "0")
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    assert stack.preview("--refresh").operations == {}


def test_a_limit_that_is_taken_away_needs_a_new_container(stack, box):
    box.declare(memory=64)
    stack.up()
    before = box.container.id
    box.declare()
    stack.up()
    assert box.container.id != before
    assert box.container.attrs["HostConfig"]["Memory"] == 0


def test_a_refresh_mends_what_was_done_by_hand(stack, box):
    box.declare(memory=64, envs=["A=1"])
    stack.up()
    before = box.container.id

    box.container.stop(timeout=0)
    assert stack.preview("--refresh").operations[CONTAINER] == {"update"}
    stack.up("--refresh")
    assert (box.container.id, box.container.status) == (before, "running")

    box.container.update(mem_limit="128m", memswap_limit="256m")
    assert stack.preview("--refresh").operations[CONTAINER] == {"update"}
    stack.up("--refresh")
    assert (box.container.id, box.container.attrs["HostConfig"]["Memory"]) == (before, 64 << 20)

    box.container.remove(force=True)
    assert stack.preview("--refresh").operations[CONTAINER] == {"create"}
    stack.up("--refresh")
    assert box.container.id != before
    assert stack.preview("--refresh").operations == {}


def test_a_container_of_someone_else_with_the_name_is_an_error_that_says_what_to_do(stack, box, engine, name, image):
    theirs = engine.containers.create(image, name=name)
    box.declare()
    failed = stack.up(check=False)
    assert failed.code
    assert f'a container named "{name}" is there already ({theirs.id[:12]}' in failed.output
    assert f"docker rm -f {name}" in failed.output
    assert engine.containers.get(theirs.id).status == "created"


def test_a_taken_port_is_an_error_that_names_who_has_it_and_leaves_nothing(stack, box, engine, image, name):
    holder = engine.containers.run(image, name=f"{name}-holder", ports={"80/tcp": ("127.0.0.1", None)}, detach=True)
    holder.reload()
    port = int(holder.ports["80/tcp"][0]["HostPort"])
    box.declare(ports=[{"internal": 80, "external": port, "ip": "127.0.0.1"}])
    failed = stack.up(check=False)
    assert f"container {name}-holder has port {port}" in failed.output
    assert [one.name for one in engine.containers.list(all=True, filters={"name": name}, ignore_removed=True)] == [
        holder.name
    ]


def test_a_container_that_stops_before_it_is_healthy_shows_its_last_words_and_is_replaced_by_the_next_update(
    stack, box
):
    script = "echo loading the model; echo cannot read weights.bin >&2; exit 7"
    check = {"healthcheck": {"tests": ["CMD", "true"], "interval": "1s"}, "wait": True, "wait_timeout": 30}
    box.declare(command=["sh", "-c", script], **check)
    failed = stack.up(check=False)
    assert failed.code
    for words in ("stopped before it was healthy", "exit code 7", "| loading the model", "| cannot read weights.bin"):
        assert words in failed.output
    kept = stack.resources()[CONTAINER]
    assert kept["id"] == box.container.id
    assert kept["initErrors"]

    box.declare(command=["sh", "-c", script], **check)
    assert "create-replacement" in stack.preview().operations[CONTAINER]
    box.declare(**check)
    assert "create-replacement" in stack.preview().operations[CONTAINER]
    stack.up()
    assert box.container.id != kept["id"]
    assert "initErrors" not in stack.resources()[CONTAINER]
    assert stack.preview("--refresh").operations == {}


def test_a_failing_health_test_is_shown_with_its_output_when_the_time_is_up(stack, box):
    test = {"tests": ["CMD-SHELL", "echo port 8080 is closed; exit 3"], "interval": "500ms", "retries": 1}
    box.declare(healthcheck=test, wait=True, wait_timeout=3)
    failed = stack.up(check=False)
    assert "was not healthy within 3 s (waitTimeout)" in failed.output
    assert "exit code 3, port 8080 is closed" in failed.output


def test_waiting_without_a_healthcheck_is_an_error_that_says_so(stack, box):
    box.declare(wait=True)
    assert "has no healthcheck to wait for" in stack.up(check=False).output


def test_readiness_is_seen_at_the_start_interval_on_engines_that_do_not_know_it(stack, box):
    script = "sleep 1; touch /ready; sleep 1000"
    test = {
        "tests": ["CMD", "test", "-e", "/ready"],
        "interval": "10m",
        "start_period": "1m",
        "start_interval": "200ms",
    }
    box.declare(command=["sh", "-c", script], healthcheck=test, wait=True, wait_timeout=120)
    # Docker's own first test comes after ten minutes, the time-out after two.
    stack.up()
    assert box.container.status == "running"


def test_secrets_are_plain_neither_in_the_state_nor_in_messages(stack, name, image, engine):
    stack.program(
        """
secret = pulumi.Output.secret("PASSWORD=correct horse battery")
box = docker.Container("box", name=name, image=image, envs=["A=1", secret], wait=True, wait_timeout=10,
    command=["sh", "-c", "echo the password is $PASSWORD; exit 1"],
    healthcheck=docker.ContainerHealthcheckArgs(tests=["CMD", "true"]))
""",
        name=name,
        image=image,
    )
    failed = stack.up(check=False)
    assert "PASSWORD=correct horse battery" in engine.containers.get(name).attrs["Config"]["Env"]
    assert "| the password is [secret]" in failed.output
    everything = failed.output + json.dumps(failed.events) + json.dumps(stack.export())
    refreshed = stack.refresh()
    everything += refreshed.output + json.dumps(refreshed.events) + json.dumps(stack.export())
    assert "correct horse" not in everything
    kept = stack.resources()[CONTAINER]
    for values in (kept["inputs"], kept["outputs"]):
        assert values["envs"][0] == "A=1"
        assert "ciphertext" in values["envs"][1]


def test_destroy_leaves_nothing_and_survives_what_is_gone_already(stack, name, image, engine):
    stack.program(EVERYTHING, name=name, image=image)
    stack.up()
    engine.containers.get(name).remove(force=True)
    stack.destroy()
    assert engine.containers.list(all=True, filters={"name": name}, ignore_removed=True) == []
    assert engine.networks.list(names=[name]) == []
    assert engine.volumes.list(filters={"name": name}) == []


def _wait_for(condition, what):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_a_killed_update_leaves_no_plugin_and_its_container_is_a_name_conflict_as_with_the_official_one(stack, box):
    never = {"healthcheck": {"tests": ["CMD", "false"], "interval": "200ms"}, "wait": True, "wait_timeout": 60}
    box.declare(**never)
    update = subprocess.Popen(
        stack.command("up", "--yes", "--skip-preview"), cwd=stack.folder, env=stack.env, stdout=subprocess.DEVNULL
    )
    _wait_for(lambda: box.exists and box.container.status == "running", "the container is not there")
    left = box.container.id
    assert plugins(stack.env, "standins.docker")
    os.kill(update.pid, signal.SIGKILL)
    update.wait()
    _wait_for(lambda: not plugins(stack.env, "standins.docker"), "the plugin outlives its engine")
    assert CONTAINER not in stack.resources()

    stack.pulumi("cancel", "--yes", check=False)
    again = stack.up(check=False)
    assert again.code != 0
    assert "is there already" in again.output
    assert box.container.id == left
    box.container.remove(force=True)


def test_an_interrupt_ends_the_wait_and_keeps_the_container_in_the_state(stack, box):
    never = {"healthcheck": {"tests": ["CMD", "false"], "interval": "200ms"}, "wait": True, "wait_timeout": 250}
    box.declare(**never)
    update = subprocess.Popen(
        stack.command("up", "--yes", "--skip-preview"),
        cwd=stack.folder,
        env=stack.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    _wait_for(lambda: box.exists and box.container.status == "running", "the container is not there")
    update.send_signal(signal.SIGINT)
    output, _ = update.communicate(timeout=120)
    assert "was not healthy yet when the update was interrupted" in output
    assert stack.resources()[CONTAINER]["id"] == box.container.id


def test_an_image_is_pulled_by_its_digest_and_removed_with_the_stack(stack, engine, image):
    repository = f"localhost:5050/slipway/engine-test-{uuid.uuid4().hex[:8]}"
    engine.images.get(image).tag(repository, "1")
    pushed = engine.api.push(repository, "1")
    digest = next(json.loads(line)["aux"]["Digest"] for line in pushed.splitlines() if '"aux"' in line)
    engine.images.remove(f"{repository}:1")
    reference = f"{repository}:1@{digest}"
    program = (
        'image = docker.RemoteImage("pulled", name=reference, force_remove=keep)\npulumi.export("id", image.image_id)'
    )
    stack.program(program + '\npulumi.export("digest", image.repo_digest)', reference=reference, keep=False)
    assert stack.preview().operations["RemoteImage", "pulled"] == {"create"}
    stack.up()
    outputs = stack.outputs()
    assert outputs == {"id": engine.images.get(reference).id, "digest": f"{repository}@{digest}"}
    assert stack.preview("--refresh").operations == {}

    stack.program(program, reference=reference, keep=True)
    assert stack.up().operations["RemoteImage", "pulled"] == {"update"}

    engine.images.remove(reference, force=True)
    assert stack.preview("--refresh").operations["RemoteImage", "pulled"] == {"create"}
    stack.up("--refresh")
    stack.destroy()
    with pytest.raises(docker_py.errors.ImageNotFound):
        engine.images.get(reference)


def test_an_image_that_does_not_exist_is_an_error_that_names_it(stack, box):
    stack.program('docker.RemoteImage("missing", name="localhost:5050/no/such-image:1")')
    output = stack.up(check=False).output
    assert "cannot pull image localhost:5050/no/such-image:1" in output
    assert "Traceback" not in output


def test_what_is_not_served_is_refused_in_the_preview_by_name(stack, box):
    box.declare(gpus="all")
    refused = stack.preview(check=False)
    assert "gpus" in refused.output
    assert "install the official plugin" in refused.output
    stack.program('docker.Secret("s", name="s", data="ZGF0YQ==")')
    refused = stack.preview(check=False)
    assert "does not serve docker:index/secret:Secret" in refused.output


def test_all_that_is_wrong_is_said_in_one_preview(stack, box):
    box.declare(restart="sometimes", memory=-1, healthcheck={"tests": ["CMD", "true"], "interval": "1 minute"})
    output = stack.preview(check=False).output
    assert "must be one of no, on-failure, always, unless-stopped" in output
    assert "memory" in output
    assert "'1 minute' is not a duration" in output
    assert not box.exists


def test_an_engine_that_does_not_answer_is_named_with_what_to_do(stack, box):
    stack.program(
        """
there = docker.Provider("there", host="unix:///nonexistent/docker.sock")
docker.Container("box", image="any", opts=pulumi.ResourceOptions(provider=there))
"""
    )
    output = stack.up(check=False).output
    assert "the Docker engine at unix:///nonexistent/docker.sock does not answer" in output
    assert "pulumi config set docker:host" in output
    assert "Traceback" not in output


def test_a_container_made_by_hand_can_be_imported_without_a_change(stack, engine, name, image):
    theirs = engine.containers.run(
        image, ["sleep", "1000"], name=name, environment=["A=1"], labels={"x": "y"}, mem_limit="64m", detach=True
    )
    stack.program(
        """
docker.Container("box", name=name, image=image, command=["sleep", "1000"], envs=["A=1"], memory=64, must_run=True,
    labels=[docker.ContainerLabelArgs(label="x", value="y")], opts=pulumi.ResourceOptions(import_=theirs))
""",
        name=name,
        image=image,
        theirs=theirs.id,
    )
    assert stack.up().operations[CONTAINER] == {"import"}
    assert engine.containers.get(name).id == theirs.id
    assert stack.resources()[CONTAINER]["id"] == theirs.id
