"""What Node runs is locked: each package by its checksum, from whichever registry npm is set up for."""

import json
from pathlib import Path

import pytest

from toolchain.azurite import Storage

LOCKS = sorted((Path(__file__).parents[2] / "toolchain/node").glob("*/package-lock.json"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.parent.name)
def test_each_package_has_a_checksum_and_no_registrys_address(lock):
    packages = json.loads(lock.read_text())["packages"]
    fetched = {name: entry for name, entry in packages.items() if name}
    assert fetched
    assert all(entry.get("integrity") for entry in fetched.values())
    assert not any("resolved" in entry for entry in fetched.values())


def test_the_connection_string_can_lead_through_a_proxy():
    storage = Storage({"blob": 1, "queue": 2, "table": 3}, "KEY")
    assert "BlobEndpoint=http://127.0.0.1:1/slipwaytest;" in storage.connection_string()
    assert "BlobEndpoint=http://127.0.0.1:9/slipwaytest;QueueEndpoint=http://127.0.0.1:2/" in storage.connection_string(
        9
    )
