"""What tests of the stand-in for azure-native share: its package on a store of the test, and calls of its types."""

import threading

import pytest

from provider.resource import Call, Naming
from standins.azure_native.plugin import AzurePackage


@pytest.fixture
def azure(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_AZURE_STORE", str(tmp_path / "azure"))
    monkeypatch.setenv("SLIPWAY_AZURE", "stand-in")
    return AzurePackage()


@pytest.fixture
def group(azure):
    make(azure, "resources:ResourceGroup", {"resourceGroupName": "rg", "location": "westeurope"})


def call(kind="x", name="one", seed=b"\1\2\3\4"):
    urn = f"urn:pulumi:test::test::azure-native:{kind}::{name}"
    return Call(urn, threading.Event(), lambda *_: None, naming=Naming(seed))


def check(azure, token, inputs, **options):
    found, failures = azure.resources[f"azure-native:{token}"].check(call(token, **options), None, inputs)
    return found, {one.property: one.reason for one in failures}


def make(azure, token, inputs):
    return azure.resources[f"azure-native:{token}"].create(call(token), inputs)
