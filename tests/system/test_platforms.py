"""A model on devices with other processors than this machine's: one image, built and checked for all of them."""

import io
import json
import os
import sys
import tarfile

import pytest

from cli.images.names import parts_of
from cli.images.registry import Registry
from manifest.platforms import own_platform
from tests.system.checkout import ROOT, Project
from tests.system.edge_harness import until

pytestmark = [
    pytest.mark.engine,
    pytest.mark.system,
    pytest.mark.skipif(
        sys.platform == "linux" and os.geteuid() != 0,
        reason="the kernel emulates another processor on Docker Desktop, or where root registers an emulator",
    ),
    pytest.mark.timeout(2400),
]
HERE = own_platform()
ELSEWHERE = "linux/amd64" if HERE == "linux/arm64" else "linux/arm64"
ARM_V7 = "linux/arm/v7"
# What Linux calls the processor, and what an ELF file says of it (e_machine).
MACHINES = {"linux/amd64": ("x86_64", 62), "linux/arm64": ("aarch64", 183), ARM_V7: ("armv7l", 40)}
SCORE = """
import platform

def init():
    {init}

def run(data):
    return {{"machine": platform.machine()}}
"""
SECONDS = 2000


class OnDevices(Project):
    """A project with a model on a device with another processor, which is built for this machine's and arm/v7 too."""

    def __init__(self, folder):
        super().__init__(folder)
        self.env |= {"SLIPWAY_AZURE_STORE": str(folder / "azure"), "SLIPWAY_AZURE": "stand-in"}
        self.env["PATH"] = f"{ROOT / 'standins/bin'}:{self.env['PATH']}"
        azure = {"location": "westeurope", "protect": False, "iotHub": {"devices": {"line-4": {}}}}
        config = {"slipway:targets": ["iot-edge"], "slipway:azure": azure, "slipway:platforms": [HERE, ARM_V7]}
        (folder / f"Pulumi.{self.stack}.yaml").write_text(json.dumps({"config": config}))
        self.model("adder")
        self.target("adder", {"iot-edge": {"device": "line-4", "platform": ELSEWHERE}})
        self.write("pass")

    def write(self, init):
        self.script("adder").write_text(SCORE.format(init=init))

    def exported(self):
        """The model as the stack exports it."""
        return json.loads(self.pulumi("stack", "output", "--json").stdout)["models"]["adder"]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    if not (ROOT / ".slipway/toolchain.json").exists():
        pytest.fail("the toolchain is not set up: run `make setup`")
    made = OnDevices(tmp_path_factory.mktemp("platforms") / "checkout")
    try:
        made.run("up", timeout=SECONDS)
        yield made
    finally:
        made.close()


@pytest.fixture
def images(deployed):
    """The manifest of each platform's image, below the digest that the targets have."""
    host, name, digest = parts_of(deployed.exported()["image"])
    registry = Registry(host)
    index = registry.manifest(name, digest)
    assert index.is_index
    found = {}
    for one in index.document["manifests"]:
        manifest = registry.manifest(name, one["digest"]).document
        config = json.loads(b"".join(registry.blob(name, manifest["config"]["digest"])))
        parts = ("os", "architecture", "variant")
        assert [config.get(part) for part in parts] == [one["platform"].get(part) for part in parts]
        found["/".join(config[part] for part in parts if part in config)] = [
            lambda digest=layer["digest"]: b"".join(registry.blob(name, digest)) for layer in manifest["layers"]
        ]
    yield found
    registry.close()


def libraries(layers):
    """The processors that the compiled modules of an image's dependencies are for."""
    found = set()
    for layer in layers:
        with tarfile.open(fileobj=io.BytesIO(layer())) as archive:
            for entry in archive:
                if entry.isfile() and entry.name.startswith("opt/venv/") and entry.name.endswith(".so"):
                    header = archive.extractfile(entry).read(20)
                    assert header[:4] == b"\x7fELF"
                    found.add(int.from_bytes(header[18:20], "little"))
    return found


def test_one_digest_is_an_image_for_each_processor_with_its_own_programs(images):
    assert images.keys() == {HERE, ELSEWHERE, ARM_V7}
    for platform, layers in images.items():
        assert libraries(layers) == {MACHINES[platform][1]}


def test_the_device_gets_the_digest_of_all(deployed):
    exported = deployed.exported()
    assert exported["platforms"] == sorted([HERE, ELSEWHERE, ARM_V7])
    state = json.loads(deployed.pulumi("stack", "export").stdout)["deployment"]["resources"]
    (layer,) = (one for one in state if one["type"].endswith(":EdgeDeployment") and one["urn"].endswith("::adder"))
    module = layer["inputs"]["content"]["$edgeAgent"]["properties.desired.modules.adder"]
    assert module["settings"]["image"] == exported["image"]


@pytest.mark.parametrize("platform", [ELSEWHERE, ARM_V7])
def test_a_module_scores_messages_on_each_processor(deployed, device, sensor, platform):
    """For arm/v7 its image has no packages for HTTP; what else a module needs exists there, and works."""
    image = deployed.exported()["image"]
    # The broker listens on an address of this machine.
    variables = {**device.variables("scorer"), "EdgeModuleCACertificateFile": "/ca.pem", "SERVICE_NAME": "scorer"}
    container = deployed.docker.containers.run(
        image,
        ["edge"],
        platform=platform,
        network_mode="host",
        environment=variables,
        volumes={str(device.folder / "ca.pem"): {"bind": "/ca.pem", "mode": "ro"}},
        read_only=True,
        tmpfs={"/var/lib/slipway/edge": "uid=65532,mode=700"},
        detach=True,
    )
    try:
        sensor.send(20)
        until(lambda: len(device.arrived) == 20, lambda: container.logs().decode())
        assert device.bodies("scores") == [{"machine": MACHINES[platform][0]}] * 20
        assert device.hub.call("scorer", "score", {}) == (200, {"machine": MACHINES[platform][0]})
        assert ("without HTTP" in container.logs().decode()) == (platform == ARM_V7)
        container.stop()
        assert container.wait()["StatusCode"] == 0
    finally:
        container.remove(force=True)
        deployed.docker.images.remove(image)


def test_an_image_that_cannot_answer_on_the_devices_processor_is_not_deployed_anywhere(deployed):
    before = deployed.exported()["image"]
    machine = MACHINES[ELSEWHERE][0]
    deployed.write(f"assert platform.machine() != '{machine}', 'no kernels for ' + platform.machine()")
    failed = deployed.run("up", check=False, timeout=SECONDS)
    assert failed.returncode == 1
    assert f"no kernels for {machine}" in failed.stdout + failed.stderr
    assert deployed.exported()["image"] == before
