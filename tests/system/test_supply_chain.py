"""Real syft and cosign on images in real registries: recorded with the release, signed, refused at a promotion."""

import json
import os

import httpx
import pytest
import yaml

from cli.supply_chain.tools import Tools
from tests.system.second_registry import second_registry
from toolchain.supply_chain import COSIGN

pytestmark = [pytest.mark.engine, pytest.mark.system]

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
PASSWORD = "of this test only"
# What trivy 0.66 prints where its database's registries do not answer, with the time.
TRIVY_WITHOUT_DATABASE = """#!/bin/sh
if [ "$1" = version ]; then echo 'Version: 0.66.0'; exit; fi
why='init error: DB error: failed to download vulnerability DB: OCI artifact error'
echo "$(date +%FT%T.%N) FATAL Fatal error run error: $why" >&2
exit 1
"""
# One that has its database, and finds a vulnerability unless .trivyignore names it.
TRIVY_WITH_DATABASE = """#!/bin/sh
if [ "$1" = version ]; then echo 'Version: 0.66.0'; exit; fi
if [ "$1 $2" = 'image --download-db-only' ]; then exit; fi
for last in "$@"; do :; done
grep -q '"bomFormat"' "$last" || exit 3
if grep -qs CVE-2026-1 .trivyignore; then echo '{"SchemaVersion": 2}'; exit; fi
echo '{"Results": [{"Vulnerabilities": [{"VulnerabilityID": "CVE-2026-1", "PkgName": "zlib1g", "Severity": "HIGH"}]}]}'
"""


def _signature_tag(image):
    return f"{image.partition('@')[2].replace(':', '-')}.sig"


def _manifest(image, reference, content=None):
    """Read a manifest of an image's repository, or write it."""
    host, _, name = image.partition("@")[0].partition("/")
    url = f"http://{host}/v2/{name}/manifests/{reference}"
    with httpx.Client(trust_env=False, timeout=60, headers={"Accept": MANIFEST}) as client:
        if content is not None:
            return client.put(url, content=content, headers={"Content-Type": MANIFEST}).raise_for_status()
        return client.get(url)


class Stacks:
    """Two stacks, the second of which is promoted to and has a registry of its own."""

    def __init__(self, project, registry):
        self.project = project
        self.dev, self.prod = project.stack, f"{project.stack}p"
        self.registry = registry
        # Nothing is downloaded: the tools are those of the set-up.
        project.env |= {"COSIGN_PASSWORD": PASSWORD, "SLIPWAY_OFFICIAL": "0"}
        self.tools = Tools(project.env, project.folder)
        self.configure(self.prod, registry=registry, promoteFrom=self.dev, localDocker={"portOffset": 7})

    def configure(self, stack, **values):
        path = self.project.folder / f"Pulumi.{stack}.yaml"
        config = yaml.safe_load(path.read_text())["config"] if path.exists() else {"slipway:targets": ["local-docker"]}
        config |= {f"slipway:{name}": value for name, value in values.items()}
        path.write_text(yaml.safe_dump({"config": config}))

    def make_key(self, name):
        prefix = self.project.folder / name
        self.tools.run(COSIGN, "generate-key-pair", f"--output-key-prefix={prefix}", what="There is no key")
        return f"{name}.key", f"{name}.pub"

    def trivy(self, script):
        """Put a program in trivy's place, which cannot be had on every machine."""
        program = self.project.folder.parent / "bin/trivy"
        program.parent.mkdir()
        program.write_text(script)
        program.chmod(0o755)
        self.project.env["PATH"] = f"{program.parent}{os.pathsep}{self.project.env['PATH']}"

    def run(self, *arguments, check=True):
        return self.project.slipway(*arguments, check=check)

    def released(self, stack):
        """The models of a stack's latest release, by name."""
        release = json.loads(self.run("releases", "--stack", stack, "--json").stdout)["releases"][0]
        return release["id"], {one["name"]: one for one in release["models"]}


@pytest.fixture
def stacks(project, tmp_path):
    with second_registry(tmp_path / "registry") as registry:
        made = Stacks(project, registry)
        yield made
        made.run("down", "--stack", made.prod, check=False)


def test_images_are_recorded_and_signed_and_only_signed_ones_are_promoted(stacks):
    project, dev, prod = stacks.project, stacks.dev, stacks.prod
    project.model("alpha")
    project.model("beta")
    key, public = stacks.make_key("cosign")
    _, foreign = stacks.make_key("foreign")
    stacks.configure(prod, supplyChain={"sbom": False, "verify": {"key": public}})
    stacks.configure(dev, supplyChain={"scan": True})
    stacks.trivy(TRIVY_WITHOUT_DATABASE)
    # Recorded, and not signed.
    up = stacks.run("up", "--stack", dev)
    assert up.stderr.count("Vulnerabilities are not looked for: skipped, because") == 1
    first, models = stacks.released(dev)
    for name, model in models.items():
        record = model["supplyChain"]
        assert "failed to download vulnerability DB" in record["scan"]["skipped"]
        provenance = record["provenance"]
        assert f"/models/{name}:1-" in provenance["tag"]
        assert "/environments:" in provenance["environment"]
        assert provenance["base"] == "python:3.11-slim"
        assert provenance["baseDigest"].startswith("sha256:")
        assert provenance["requirements"].startswith("sha256:")
        assert record["signatures"] == []
    assert {"pypi", "deb"} <= {
        line.split()[0] for line in stacks.run("sbom", "alpha", "--stack", dev).stdout.splitlines()
    }
    document = json.loads(stacks.run("sbom", "alpha", "--stack", dev, "--json").stdout)
    assert {"uvloop", "httptools"} <= {one["name"] for one in document["components"]}

    unsigned = stacks.run("promote", dev, prod, "--yes", check=False)
    assert unsigned.returncode == 1
    assert f"is not signed with {public}" in unsigned.stderr
    assert "slipway:supplyChain.sign" in unsigned.stderr
    assert _manifest(f"{stacks.registry}/{dev}/models/alpha@x", models["alpha"]["image"].partition("@")[2]).is_error

    # Signed: the same images, and another release, since more is known of them.
    stacks.configure(dev, supplyChain={"scan": True, "sign": {"key": key}})
    stacks.run("up", "--stack", dev)
    second, models = stacks.released(dev)
    assert second != first
    [signature] = models["alpha"]["supplyChain"]["signatures"]
    assert signature["key"] == key
    shown = stacks.run("releases", second, "--stack", dev).stdout
    assert f"with {key}" in shown
    stacks.run("up", "--stack", dev)
    assert stacks.released(dev)[0] == second

    # Another key's is none.
    stacks.configure(prod, supplyChain={"sbom": False, "verify": {"key": foreign}})
    assert f"is not signed with {foreign}" in stacks.run("promote", dev, prod, "--yes", check=False).stderr

    # Carried along to the other registry, where cosign takes it.
    stacks.configure(prod, supplyChain={"sbom": False, "verify": {"key": public}})
    stacks.run("promote", dev, prod, "--yes")
    _, in_prod = stacks.released(prod)
    image = in_prod["alpha"]["image"]
    assert image.startswith(stacks.registry)
    verify = ("verify", "--key", str(project.folder / public), "--insecure-ignore-tlog=true", image)
    stacks.tools.run(COSIGN, *verify, what="The signature did not come along")
    assert in_prod["alpha"]["supplyChain"]["provenance"] == models["alpha"]["supplyChain"]["provenance"]


def test_a_signature_of_another_image_is_refused_and_a_key_that_is_not_there_stops_before_the_deployment(stacks):
    project, dev, prod = stacks.project, stacks.dev, stacks.prod
    project.model("alpha")
    stacks.configure(dev, supplyChain={"sbom": False, "sign": {"key": "missing.key"}})
    stopped = stacks.run("up", "--stack", dev, check=False)
    assert stopped.returncode == 2
    assert "there is no file" in stopped.stderr
    assert project.containers() == {}

    key, public = stacks.make_key("cosign")
    stacks.configure(dev, supplyChain={"sbom": False, "sign": {"key": key}})
    stacks.configure(prod, supplyChain={"sbom": False, "verify": {"key": public}})
    stacks.run("up", "--stack", dev)
    _, before = stacks.released(dev)
    project.model("alpha", answer="second")
    stacks.configure(dev, supplyChain={"sbom": False})
    stacks.run("up", "--stack", dev)
    _, after = stacks.released(dev)
    signed, image = before["alpha"]["image"], after["alpha"]["image"]
    assert signed != image

    # The good signature of the earlier image, put where that of this one would be.
    _manifest(image, _signature_tag(image), _manifest(signed, _signature_tag(signed)).content)
    tampered = stacks.run("promote", dev, prod, "--yes", check=False)
    assert tampered.returncode == 1
    assert f"is not signed with {public}" in tampered.stderr


def test_an_image_with_a_known_vulnerability_is_neither_signed_nor_released_until_that_is_settled(stacks):
    project, dev = stacks.project, stacks.dev
    project.model("alpha")
    key, _ = stacks.make_key("cosign")
    stacks.configure(dev, supplyChain={"scan": {"failOn": "high"}, "sign": {"key": key}})
    stacks.trivy(TRIVY_WITH_DATABASE)
    refused = stacks.run("up", "--stack", dev, check=False)
    assert refused.returncode == 1
    assert "severity high or worse: alpha has 1 (CVE-2026-1 in zlib1g)" in refused.stderr
    assert project.answer("alpha")["sum"] == 3
    assert json.loads(stacks.run("releases", "--stack", dev, "--json").stdout)["releases"] == []

    (project.folder / ".trivyignore").write_text("CVE-2026-1\n")
    stacks.run("up", "--stack", dev)
    _, models = stacks.released(dev)
    record = models["alpha"]["supplyChain"]
    assert record["scan"]["found"] == {}
    assert [one["key"] for one in record["signatures"]] == [key]
