"""What the tests on the real parts share."""

import pytest

from tests.system.checkout import ROOT, Project


@pytest.fixture
def project(tmp_path):
    if not (ROOT / ".slipway/toolchain.json").exists():
        pytest.fail("the toolchain is not set up: run `make setup`")
    made = Project(tmp_path / "checkout")
    yield made
    made.close()
