"""Registered models in Azure Blob storage, and models that come from it: Azurite's, by the client for Azure's."""

import itertools
import os
import random
import subprocess
import sys
import threading
import time

import adlfs
import pytest

from registry import RegistryError, VersionTakenError, bytes_of, context_folder, digest_of, open_registry
from tests.system.azurite import ROOT, Proxy, storage
from tests.unit.registry_harness import sha, version_of

pytestmark = pytest.mark.system

PATIENCE_SECONDS = 120
DATA = random.Random(3).randbytes(40_000_000)


# Registers a folder's files, in a process that can be killed.
REGISTER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from manifest.listing import list_files
from registry import Lineage, ModelVersion, Notes, open_registry
location, folder = sys.argv[1], Path(sys.argv[2])
lineage = Lineage(who="someone", when=datetime(2026, 1, 2, tzinfo=UTC), source="m")
version = ModelVersion.of("iris", "1", list_files(folder, ["a", "b/c"], single=False), lineage, Notes())
open_registry(location, folder).register(version, folder)
"""
IN_WORKSPACE = "azureml+abfs://models@slipwaytest.blob.core.windows.net"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with storage(tmp_path_factory.mktemp("azurite")) as running:
        yield running


@pytest.fixture(scope="module")
def azurite(served):
    return served.connection_string()


@pytest.fixture
def blobs(azurite, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite)
    adlfs.AzureBlobFileSystem.clear_instance_cache()
    system = adlfs.AzureBlobFileSystem(connection_string=azurite)
    if not system.exists("models"):
        system.mkdir("models")
    yield system
    system.rm("models", recursive=True)
    adlfs.AzureBlobFileSystem.clear_instance_cache()


def test_a_version_in_blob_storage_is_bound_to_its_bytes(blobs, tmp_path):
    registry = open_registry("az://models/registry", tmp_path)
    assert registry.models() == []
    files = {"model.bin": DATA, "words/a.txt": b"a"}
    wanted = version_of(tmp_path / "m", files)
    assert registry.register(wanted, tmp_path / "m") == wanted
    found = registry.get("iris", "1")
    assert {file.name: b"".join(registry.fetch(found, file)) for file in found.files} == files
    with pytest.raises(VersionTakenError, match="the next free version, 2,"):
        registry.register(version_of(tmp_path / "n", {"model.bin": b"other"}), tmp_path / "n")
    assert registry.versions("iris") == [wanted]


def test_a_registry_that_a_workspace_reads_has_files_under_their_own_names(blobs, tmp_path):
    registry = open_registry(f"{IN_WORKSPACE}/registry", tmp_path)
    files = {"model.bin": b"m", "words/a.txt": b"a"}
    wanted = registry.register(version_of(tmp_path / "m", files), tmp_path / "m")
    assert {file.name: b"".join(registry.fetch(wanted, file)) for file in wanted.files} == files
    top = f"models/registry/files/{wanted.digest.removeprefix('sha256:')}/iris"
    assert {name.removeprefix(f"{top}/"): blobs.cat_file(name) for name in blobs.find(top)} == files
    with pytest.raises(VersionTakenError):
        registry.register(version_of(tmp_path / "n", {"model.bin": b"other"}), tmp_path / "n")


def test_killed_at_each_request_a_version_is_whole_or_not_there(served, blobs, tmp_path):
    files = {"a": b"a" * 1000, "b/c": b"c" * 1000}
    wanted = version_of(tmp_path / "m", files)
    seen = set()
    # The files, then the record; each is not passed on, or its answer is lost.
    for request, mode in itertools.product((1, 2, 3), ("stuck", "cut")):
        location = f"{IN_WORKSPACE}/killed-{request}-{mode}"
        proxy = Proxy(served.ports["blob"])
        proxy.fail_from(request, mode)
        env = {**os.environ, "AZURE_STORAGE_CONNECTION_STRING": served.connection_string(proxy.port)}
        command = [sys.executable, "-c", REGISTER, location, str(tmp_path / "m")]
        process = subprocess.Popen(command, cwd=ROOT, env=env)
        until = time.monotonic() + PATIENCE_SECONDS
        while not proxy.failed:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        process.kill()
        process.wait()
        proxy.close()
        registry = open_registry(location, tmp_path)
        found = registry.get("iris", "1")
        seen.add((request, mode, found is not None))
        if found is None:
            found = registry.register(wanted, tmp_path / "m")
        assert {file.name: b"".join(registry.fetch(found, file)) for file in found.files} == files
    assert {(request, mode) for request, mode, there in seen if there} == {(3, "cut")}


def test_of_writers_at_once_one_wins(blobs, tmp_path):
    said = []

    def register(number):
        registry = open_registry("az://models/race", tmp_path)
        folder = tmp_path / str(number)
        wanted = version_of(folder, {"m": b"%d" % number})
        start.wait()
        try:
            said.append(registry.register(wanted, folder).digest)
        except VersionTakenError:
            said.append(None)

    start = threading.Barrier(4)
    writers = [threading.Thread(target=register, args=(number,)) for number in range(4)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    winners = [one for one in said if one]
    assert (len(said), len(winners)) == (4, 1)
    assert open_registry("az://models/race", tmp_path).get("iris", "1").digest == winners[0]


def test_a_blob_and_a_folder_of_them_are_fetched(blobs, tmp_path):
    blobs.pipe_file("models/churn/model.bin", DATA)
    blobs.pipe_file("models/churn/words/a.txt", b"a")
    bytes_of("az://models/churn/model.bin", sha(DATA), tmp_path)
    folder = tmp_path / context_folder("az://models/churn/model.bin", sha(DATA))
    assert (folder / "model.bin").read_bytes() == DATA
    listing = digest_of("az://models/churn/", tmp_path)
    assert [one.name for one in listing.files] == ["model.bin", "words/a.txt"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("az://models/none.bin", "there is nothing at az://models/none.bin"),
        ("az://models/none/", "there are no files at az://models/none/|there is nothing at az://models/none/"),
    ],
)
def test_what_is_not_there_is_told(blobs, tmp_path, url, message):
    with pytest.raises(RegistryError, match=message):
        bytes_of(url, "0" * 64, tmp_path)


def test_without_an_account_it_says_so(tmp_path, monkeypatch):
    for name in ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT_NAME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RegistryError, match=r"az://models/none\.bin cannot be read"):
        bytes_of("az://models/none.bin", "0" * 64, tmp_path)
