"""What the tests on the real parts share."""

import pytest

from cli.images.copy import ImageCopier
from tests.system import azurite, edge_harness
from tests.system.checkout import ROOT, Project
from tests.system.second_registry import second_registry


@pytest.fixture
def project(tmp_path):
    if not (ROOT / ".slipway/toolchain.json").exists():
        pytest.fail("the toolchain is not set up: run `make setup`")
    made = Project(tmp_path / "checkout")
    yield made
    made.close()


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    """A second registry, to which images are copied."""
    with second_registry(tmp_path_factory.mktemp("second") / "registry") as address:
        yield address


@pytest.fixture
def copier():
    made = ImageCopier()
    yield made
    made.close()


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    """Blob storage."""
    with azurite.storage(tmp_path_factory.mktemp("azurite")) as running:
        yield running


@pytest.fixture
def proxy(storage):
    """What stands in front of blob storage, and fails when a test says so."""
    made = azurite.Proxy(storage.ports["blob"])
    yield made
    made.close()


@pytest.fixture(scope="session")
def mosquitto():
    edge_harness.install()


@pytest.fixture
def device(tmp_path, mosquitto):
    """A device with a sensor and a scorer."""
    routes = {"in": edge_harness.IN, "out": edge_harness.OUT}
    made = edge_harness.Device(tmp_path, ["sensor", "scorer"], routes)
    yield made
    made.close()


@pytest.fixture
def sensor(device):
    made = device.sensor()
    yield made
    made.close()
