"""Models by reference from a Machine Learning workspace, whose blobs are Azurite's, by the client for Azure's."""

import random

import adlfs
import pytest

from registry import RegistryError, bytes_of, context_folder, digest_of, open_registry
from tests.system.azurite import storage
from tests.unit.azureml_standin import add, workspace
from tests.unit.registry_harness import version_of

pytestmark = pytest.mark.system

DATA = random.Random(5).randbytes(3_500_000)
FILES = {"LocalUpload/1/churn/MLmodel": b"flavors: {}", "LocalUpload/1/churn/data/model.pkl": DATA}


@pytest.fixture(scope="module")
def azurite(tmp_path_factory):
    with storage(tmp_path_factory.mktemp("azurite")) as running:
        yield running.connection_string()


@pytest.fixture
def blobs(azurite, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite)
    adlfs.AzureBlobFileSystem.clear_instance_cache()
    system = adlfs.AzureBlobFileSystem(connection_string=azurite)
    system.mkdir("models")
    for name, data in FILES.items():
        system.pipe_file(f"models/{name}", data)
    # Beside the model: of another version, whose name begins the same.
    system.pipe_file("models/LocalUpload/1/churn2/other", b"other")
    yield system
    system.rm("models", recursive=True)
    adlfs.AzureBlobFileSystem.clear_instance_cache()


@pytest.fixture
def ml(monkeypatch):
    with workspace(monkeypatch) as server:
        yield server


def held(root, url, tree):
    folder = root / context_folder(url, tree)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_of_a_workspace_is_fetched_once(blobs, ml, tmp_path):
    url = add(ml, "churn", "3", "LocalUpload/1/churn", kind="mlflow_model")
    tree = digest_of(url, tmp_path).tree
    assert held(tmp_path, url, tree) == {"churn/MLmodel": b"flavors: {}", "churn/data/model.pkl": DATA}
    ml.requests.clear()
    bytes_of(url, tree, tmp_path)
    assert ml.requests == []


def test_a_file_of_a_workspace_is_a_folder_with_it(blobs, ml, tmp_path):
    url = add(ml, "churn", "4", "LocalUpload/1/churn/data/model.pkl")
    tree = digest_of(url, tmp_path).tree
    assert held(tmp_path, url, tree) == {"model.pkl": DATA}
    wanted = version_of(tmp_path / "same", {"model.pkl": DATA})
    assert wanted.digest == f"sha256:{tree}"


def test_other_bytes_than_the_checksum_says_are_refused(blobs, ml, tmp_path):
    url = add(ml, "churn", "3", "LocalUpload/1/churn")
    tree = digest_of(url, tmp_path / "before").tree
    blobs.pipe_file("models/LocalUpload/1/churn/MLmodel", b"another")
    with pytest.raises(RegistryError, match="has other bytes than the manifest says"):
        bytes_of(url, tree, tmp_path)
    assert held(tmp_path, url, tree) == {}


def test_the_next_run_goes_on_where_the_last_one_was_interrupted(blobs, ml, tmp_path, monkeypatch):
    monkeypatch.setattr("registry.objects._PART", 1_000_000)
    url = add(ml, "churn", "4", "LocalUpload/1/churn/data/model.pkl")
    tree = version_of(tmp_path / "same", {"model.pkl": DATA}).listing.tree

    class InterruptedByTestError(Exception):
        pass

    def interrupt(name, done, size):
        if done == 2_000_000:
            raise InterruptedByTestError

    with pytest.raises(InterruptedByTestError):
        bytes_of(url, tree, tmp_path, progress=interrupt)
    told = []
    bytes_of(url, tree, tmp_path, progress=lambda *one: told.append(one))
    assert [done for _, done, _ in told] == [3_000_000, 3_500_000]
    assert held(tmp_path, url, tree) == {"model.pkl": DATA}


def test_a_registered_model_is_there_when_the_workspace_is_gone(blobs, ml, tmp_path):
    url = add(ml, "churn", "3", "LocalUpload/1/churn")
    files = {"churn/MLmodel": b"flavors: {}", "churn/data/model.pkl": DATA}
    registry = open_registry("registry", tmp_path)
    version = registry.register(version_of(tmp_path / "m", files), tmp_path / "m")
    ml.models.clear()
    tree = version.listing.tree
    bytes_of(url, tree, tmp_path, registered=(registry, version))
    assert held(tmp_path, url, tree) == files
    assert ml.requests == []


def test_files_that_are_gone_are_told(blobs, ml, tmp_path):
    url = add(ml, "churn", "5", "LocalUpload/none")
    with pytest.raises(RegistryError, match=r"versions/5: there is nothing at abfs://models@slipwaytest\.blob"):
        digest_of(url, tmp_path)
