"""Models registered in Azure, on the real engine: bytes in Azurite, the list in the stand-in's workspace."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from urllib.parse import urlsplit

import adlfs
import pytest

from registry import open_registry
from standins.azure_native import azurite
from standins.azure_native.store import Store
from tests.engine.conftest import ROOT, Stack, own_state, plugins
from tests.system.azurite import Proxy
from tests.unit.registry_harness import version_of

# Each test runs the engine several times.
pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]

PROGRAM = """
import sys
sys.path.insert(0, root)
from pathlib import Path
from components import Project
from components.azure import Platform
from components.azure.model_store import listed
from components.registered_model import RegisteredModel
from manifest import Model, load_environment

environment = load_environment({"targets": [], **config}, source="test")
platform = Platform(environment)
project = Project(Path.cwd(), environment, "unused", platform.models.location)
for one in models:
    model = Model(**one)
    listed(model, RegisteredModel(model, project=project), platform.models)
pulumi.export("azure", platform.outputs)
"""
REGISTERED, LISTED = "RegisteredModel", "ModelVersion"
CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"
VERSIONS, CONTAINERS = "machinelearningservices:ModelVersion", "machinelearningservices:ModelContainer"
PATIENCE_SECONDS = 600


@pytest.fixture(scope="module")
def models(toolchain_env, tmp_path_factory):
    """A stack for all tests: its platform takes longest. Each test has models of its own."""
    folder = tmp_path_factory.mktemp("models")
    store = Store(folder / "azure")
    env = own_state(toolchain_env, folder)
    env |= {"SLIPWAY_AZURE_STORE": str(store.folder), "SLIPWAY_AZURE": "stand-in"}
    made = _Models(folder / "program", env, store)
    before = os.environ.get(CONNECTION)
    try:
        # The account is there first: what opens it has a key that only then exists.
        made.models()
        made.up()
        made.open()
        yield made
    finally:
        made.destroy("--refresh", check=False)
        tool = [sys.executable, "-m", "standins.azure_native.tool", "reset"]
        subprocess.run(tool, env=env, cwd=ROOT, check=False, timeout=PATIENCE_SECONDS)
        os.environ.pop(CONNECTION, None)
        if before is not None:
            os.environ[CONNECTION] = before
        adlfs.AzureBlobFileSystem.clear_instance_cache()


class _Models(Stack):
    def __init__(self, folder, env, store):
        super().__init__(folder, env)
        self.store = store
        project = json.loads((folder / "Pulumi.yaml").read_text())
        project["plugins"] = {"providers": [{"name": "slipway", "path": str(ROOT / "provider/slipway")}]}
        (folder / "Pulumi.yaml").write_text(json.dumps(project))
        (folder / ".slipway").mkdir()

    def models(self, **contents):
        """Ask for models: content, version and what else the manifest says of each, by name."""
        found = []
        for name, (content, version, said) in contents.items():
            folder = self.folder / "models" / name
            (folder / "data").mkdir(parents=True, exist_ok=True)
            (folder / "data/model.bin").write_bytes(content)
            (folder / "score.py").write_text("")
            found.append({"name": name, "version": version, "path": f"models/{name}", **said})
        azure = {"location": "westeurope", "protect": False, "machineLearning": {}}
        self.program(PROGRAM, root=str(ROOT), config={"azure": azure, "modelRegistry": "azureml"}, models=found)

    def open(self):
        """Have the account's key where Azure's clients look for it."""
        (account,) = [one.name for one in self.store.all("storage:StorageAccount")]
        opening = azurite.connection_string(self.store, account)
        self.env = {**self.env, CONNECTION: opening}
        os.environ[CONNECTION] = opening
        adlfs.AzureBlobFileSystem.clear_instance_cache()
        self.location = self.outputs()["azure"]["modelRegistry"]

    @property
    def blobs(self):
        return adlfs.AzureBlobFileSystem(connection_string=self.env[CONNECTION])

    @property
    def registry(self):
        return open_registry(self.location, self.folder)

    def listed(self):
        """What the workspace lists: properties by name and version."""
        return {(one.body["name"], one.body["version"]): one.body["properties"] for one in self.store.all(VERSIONS)}


def test_a_model_is_kept_as_blobs_and_listed_and_a_second_up_has_nothing_to_do(models):
    models.models(iris=(b"first", "1", {"framework": "onnx", "tags": {"stage": "candidate"}}))
    assert models.preview().operations[REGISTERED, "iris"] == {"create"}
    assert (models.registry.models(), models.listed()) == ([], {})
    models.up()
    found = models.registry.get("iris", "1")
    files = {one.name: b"".join(models.registry.fetch(found, one)) for one in found.files}
    assert files == {"data/model.bin": b"first"}
    properties = models.listed()["iris", "1"]
    tags = properties["tags"]
    assert tags["slipway.digest"] == found.digest
    assert (tags["slipway.framework"], tags["stage"]) == ("onnx", "candidate")
    assert tags["slipway.registered-by"] == found.lineage.who
    # Where the workspace looks, the model is, under its own names.
    path = properties["modelUri"].partition("/paths/")[2]
    assert models.blobs.cat_file(f"models/{path}/data/model.bin") == b"first"
    assert models.up().operations == {}
    assert models.preview("--refresh", "--expect-no-changes").operations == {}

    # What is said of it is changed in place.
    models.models(iris=(b"first", "1", {"tags": {"stage": "proven"}, "description": "Which."}))
    operations = models.up().operations
    assert operations[REGISTERED, "iris"] == operations[LISTED, "iris"] == {"update"}
    properties = models.listed()["iris", "1"]
    assert (properties["tags"]["stage"], properties["description"]) == ("proven", "Which.")
    assert models.registry.get("iris", "1").notes.tags == {"stage": "proven"}


def test_a_version_stays_bound_to_its_bytes_when_it_leaves_the_list(models):
    models.models(digits=(b"first", "1", {}), churn=(b"churn", "1", {}))
    models.up()
    models.models(digits=(b"second", "1", {}), churn=(b"churn", "1", {}))
    refused = models.preview(check=False)
    assert "digits 1 is registered with other bytes" in refused.output
    assert "Traceback" not in refused.output
    models.models(digits=(b"second", "2", {}), churn=(b"churn", "1", {}))
    assert {name for _, name in models.up().operations} == {"digits"}
    assert set(models.listed()) == {("digits", "2"), ("churn", "1")}
    # Back again: nothing of it was lost.
    models.models(digits=(b"first", "1", {}))
    models.up()
    assert set(models.listed()) == {("digits", "1")}
    assert [one.version for one in models.registry.versions("digits")] == ["2", "1"]
    models.models()
    models.up()
    assert (models.listed(), models.store.all(CONTAINERS)) == ({}, [])
    models.models(digits=(b"second", "1", {}))
    assert "digits 1 is registered with other bytes" in models.preview(check=False).output


def test_a_version_that_somebody_else_bound_meanwhile_is_refused(models, tmp_path):
    wanted = version_of(tmp_path / "theirs", {"data/model.bin": b"theirs"}, name="theirs")
    models.registry.register(wanted, tmp_path / "theirs")
    models.models(theirs=(b"ours", "1", {}))
    assert "theirs 1 is registered with other bytes" in models.up(check=False).output
    assert ("theirs", "1") not in models.listed()
    assert models.registry.get("theirs", "1") == wanted


def test_an_engine_that_is_killed_before_the_record_is_written_leaves_no_version(models):
    files = {"data/model.bin": b"large"}
    models.models(large=(files["data/model.bin"], "1", {}))
    command = models.command("up", "--stack", models.name, "--yes", "--skip-preview")
    address = urlsplit(re.search("BlobEndpoint=([^;]+)", models.env[CONNECTION])[1])
    proxy = Proxy(address.port, target_host=address.hostname)
    # The file, and then the record.
    proxy.fail_from(2, "stuck")
    through = models.env[CONNECTION].replace(f"//{address.netloc}/", f"//127.0.0.1:{proxy.port}/", 1)
    engine = subprocess.Popen(
        command,
        cwd=models.folder,
        env={**models.env, CONNECTION: through},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + PATIENCE_SECONDS
    while not proxy.failed:
        assert engine.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    engine.send_signal(signal.SIGKILL)
    engine.wait()
    proxy.close()
    # The plugin ends by itself when its engine has gone.
    while plugins(models.env, "provider.slipway"):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert models.registry.get("large", "1") is None
    assert ("large", "1") not in models.listed()
    models.pulumi("cancel", "--yes", "--stack", models.name, check=False)
    models.up()
    found = models.registry.get("large", "1")
    assert {one.name: b"".join(models.registry.fetch(found, one)) for one in found.files} == files
    assert models.listed()["large", "1"]["tags"]["slipway.digest"] == found.digest
