"""Storage accounts of the stand-in for azure-native: blobs really arrive, in an Azurite that outlives the plugin."""

import subprocess
import sys
import uuid

import pytest
from azure.storage.blob import BlobServiceClient

from standins.azure_native.store import Store
from tests.engine.conftest import ROOT, Stack

pytestmark = pytest.mark.engine

STORAGE = """
import pulumi_azure_native.storage as storage
from pulumi_azure_native import resources
group = resources.ResourceGroup("rg", resource_group_name="rg", location="westeurope")
for name in names:
    account = storage.StorageAccount(name, resource_group_name=group.name, account_name=name, kind="StorageV2",
        sku={"name": "Standard_LRS"}, allow_blob_public_access=False, minimum_tls_version="TLS1_2")
    storage.BlobServiceProperties(name, resource_group_name=group.name, account_name=account.name,
        is_versioning_enabled=True)
    storage.BlobContainer(name, resource_group_name=group.name, account_name=account.name, container_name="models",
        public_access=access)
    storage.ManagementPolicy(name, resource_group_name=group.name, account_name=account.name, policy={"rules": []})
    pulumi.export(name, account.primary_endpoints.apply(lambda e: e.blob))
    keys = storage.list_storage_account_keys_output(resource_group_name=group.name, account_name=account.name)
    pulumi.export(name + "-key", pulumi.Output.secret(keys.keys[0].value))
"""


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "azure")


@pytest.fixture
def azure(engine_env, tmp_path, store):
    env = engine_env | {"SLIPWAY_AZURE_STORE": str(store.folder), "SLIPWAY_AZURE": "stand-in"}
    made = Stack(tmp_path / "program", env)
    yield made
    made.destroy("--refresh", check=False)
    subprocess.run(
        [sys.executable, "-m", "standins.azure_native.tool", "reset"], env=env, cwd=ROOT, check=False, timeout=120
    )


def client(stack, name):
    outputs = stack.pulumi("stack", "output", name, "--stack", stack.name).stdout.strip()
    key = stack.pulumi("stack", "output", f"{name}-key", "--show-secrets", "--stack", stack.name).stdout.strip()
    return BlobServiceClient(outputs.rstrip("/"), credential={"account_name": name, "account_key": key})


def test_blobs_arrive_stay_and_go_with_their_account(azure, store):
    first, second = (f"sa{uuid.uuid4().hex[:10]}" for _ in range(2))
    azure.program(STORAGE, names=[first], access="None")
    azure.up()
    blobs = client(azure, first)
    assert [one.name for one in blobs.list_containers()] == ["models"]
    blobs.get_blob_client("models", "a").upload_blob(b"kept")
    assert azure.preview("--refresh", "--expect-no-changes").operations == {}
    # A second account starts Azurite again.
    azure.program(STORAGE, names=[first, second], access="None")
    azure.up()
    assert client(azure, first).get_blob_client("models", "a").download_blob().readall() == b"kept"
    assert [one.name for one in client(azure, second).list_containers()] == ["models"]
    azure.program(STORAGE, names=[second], access="None")
    azure.up()
    azure.destroy()
    assert store.all() == []
    assert not (store.folder / "azurite").exists()


def test_public_access_needs_an_account_that_allows_it(azure):
    azure.program(STORAGE, names=[f"sa{uuid.uuid4().hex[:10]}"], access="Blob")
    assert "PublicAccessNotPermitted" in azure.up(check=False).output
