"""A model on devices with another processor than this machine's: one image, built and checked for both of them.

Its environment has only what the check needs, uncompiled: emulated, installing and compiling all takes many minutes.
"""

import io
import json
import os
import re
import sys
import tarfile

import pytest

from cli.image_copy import INDEXES, parts_of
from cli.image_registry import Registry
from manifest.platforms import own_platform
from tests.system.checkout import ROOT, Project

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
# What Linux calls the processor, and what an ELF file says of it (e_machine).
MACHINES = {"linux/amd64": ("x86_64", 62), "linux/arm64": ("aarch64", 183)}
SCORE = """
import platform

def init():
    {init}

def run(data):
    return {{"machine": platform.machine()}}
"""
SECONDS = 2000
NEEDED = ("fastjsonschema", "orjson")


class OnDevices(Project):
    """A project with a model on a device with another processor, which is built for this machine's too."""

    def __init__(self, folder):
        super().__init__(folder)
        self.env |= {"SLIPWAY_AZURE_STORE": str(folder / "azure"), "SLIPWAY_AZURE": "stand-in"}
        self.env["PATH"] = f"{ROOT / 'standins/bin'}:{self.env['PATH']}"
        azure = {"location": "westeurope", "protect": False, "iotHub": {"devices": {"line-4": {}}}}
        config = {"slipway:targets": ["iot-edge"], "slipway:azure": azure, "slipway:platforms": [HERE]}
        (folder / f"Pulumi.{self.stack}.yaml").write_text(json.dumps({"config": config}))
        self.model("adder")
        self.target("adder", {"iot-edge": {"device": "line-4", "platform": ELSEWHERE}})
        self.write("pass")
        scoring = folder / "scoring"
        lock = re.split(r"^(?=\S)", (scoring / "requirements.lock").read_text(), flags=re.MULTILINE)
        kept = [one for one in lock if one.partition("==")[0] in NEEDED]
        assert len(kept) == len(NEEDED)
        (scoring / "requirements.lock").write_text("".join(kept))
        for kind in ("in", "lock"):
            (scoring / f"requirements.edge.{kind}").write_text("")
        dockerfile = (scoring / "environment.Dockerfile").read_text()
        uncompiled = dockerfile.replace("compile() {\n", "compile() {\n    return 0\n", 1)
        assert uncompiled != dockerfile
        (scoring / "environment.Dockerfile").write_text(uncompiled)

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
    content, media_type = registry.manifest(name, digest)
    assert media_type in INDEXES
    found = {}
    for one in json.loads(content)["manifests"]:
        manifest = json.loads(registry.manifest(name, one["digest"])[0])
        config = json.loads(b"".join(registry.blob(name, manifest["config"]["digest"])))
        assert (config["os"], config["architecture"]) == (one["platform"]["os"], one["platform"]["architecture"])
        found[f"{config['os']}/{config['architecture']}"] = [
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
    assert images.keys() == {HERE, ELSEWHERE}
    for platform, layers in images.items():
        assert libraries(layers) == {MACHINES[platform][1]}


def test_the_device_gets_the_digest_of_both(deployed):
    exported = deployed.exported()
    assert exported["platforms"] == sorted([HERE, ELSEWHERE])
    state = json.loads(deployed.pulumi("stack", "export").stdout)["deployment"]["resources"]
    (layer,) = (one for one in state if one["type"].endswith(":EdgeDeployment") and one["urn"].endswith("::adder"))
    module = layer["inputs"]["content"]["$edgeAgent"]["properties.desired.modules.adder"]
    assert module["settings"]["image"] == exported["image"]


def test_an_image_that_cannot_answer_on_the_devices_processor_is_not_deployed_anywhere(deployed):
    before = deployed.exported()["image"]
    machine = MACHINES[ELSEWHERE][0]
    deployed.write(f"assert platform.machine() != '{machine}', 'no kernels for ' + platform.machine()")
    failed = deployed.run("up", check=False, timeout=SECONDS)
    assert failed.returncode == 1
    assert f"no kernels for {machine}" in failed.stdout + failed.stderr
    assert deployed.exported()["image"] == before
