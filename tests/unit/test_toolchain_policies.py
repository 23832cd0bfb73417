"""The policy pack's environment: made once for a lock, linked into each checkout; pip is a script here."""

import pytest

from tests.unit.toolchain_harness import context_in
from toolchain import policies
from toolchain.report import ToolchainError

# In the place of the checkout's Python: makes an empty environment, and writes down what it would install.
PYTHON = """#!/bin/sh
echo "$*" >> {calls}
if [ "$2" = venv ]; then for folder; do :; done; mkdir -p "$folder/bin"; cp "$0" "$folder/bin/python"; fi
[ ! -e {broken} ] || [ "$2" = venv ]
"""


class Step:
    def doing(self, _text):
        pass


@pytest.fixture
def context(tmp_path):
    root = tmp_path / "checkout"
    (root / "policies").mkdir(parents=True)
    (root / "policies/requirements.lock").write_text("pulumi-policy==1 --hash=sha256:00\n")
    python = root / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON.format(calls=tmp_path / "calls", broken=tmp_path / "broken"))
    python.chmod(0o755)
    return context_in(tmp_path, root=root)


def calls(context):
    file = context.root.parent / "calls"
    return file.read_text().splitlines() if file.exists() else []


def test_it_is_made_once_from_wheels_with_hashes(context):
    assert not policies.current(context.root)
    assert "installed as locked, by pip" in policies.ensure(context, Step()).line
    assert policies.current(context.root)
    assert (context.root / ".slipway/policies/bin/python").exists()
    made, installed = calls(context)
    assert "-m venv --without-pip" in made
    assert "--require-hashes --only-binary :all:" in installed
    assert policies.ensure(context, Step()).line == "current"
    assert len(calls(context)) == 2


def test_another_lock_is_another_environment(context):
    policies.ensure(context, Step())
    (context.root / "policies/requirements.lock").write_text("pulumi-policy==2 --hash=sha256:00\n")
    assert not policies.current(context.root)
    policies.ensure(context, Step())
    assert policies.current(context.root)
    assert len(list((context.cache.home / "policies").iterdir())) == 2


def test_one_that_is_in_the_cache_is_only_linked(context):
    policies.ensure(context, Step())
    (context.root / ".slipway/policies").unlink()
    assert policies.ensure(context, Step()).line == "in the cache"
    assert len(calls(context)) == 2


def test_an_installation_that_failed_is_made_anew(context):
    broken = context.root.parent / "broken"
    broken.touch()
    with pytest.raises(ToolchainError, match="Installing the policies' packages"):
        policies.ensure(context, Step())
    assert not policies.current(context.root)
    broken.unlink()
    policies.ensure(context, Step())
    assert policies.current(context.root)


def test_without_the_checkouts_environment_the_set_up_is_asked_for(context):
    (context.venv / "bin/python").unlink()
    with pytest.raises(ToolchainError, match="is missing") as caught:
        policies.ensure(context, Step())
    assert "make setup" in str(caught.value)
