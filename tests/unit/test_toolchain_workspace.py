"""The checkout's own folder: its passphrase, its environment, and what a shell makes of it."""

import json
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.unit.toolchain_harness import context_in
from toolchain import setup, workspace
from toolchain.context import Taken
from toolchain.report import ToolchainError
from toolchain.users import Users


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "it's a checkout"
    folder.mkdir()
    return folder


def test_the_passphrase_is_random_private_and_never_replaced(tmp_path, checkout):
    context = context_in(tmp_path, root=checkout)
    path = workspace.passphrase_file(context)
    first = path.read_text()
    assert len(first) >= 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert workspace.passphrase_file(context).read_text() == first
    other = tmp_path / "other"
    other.mkdir()
    assert workspace.passphrase_file(context_in(tmp_path, root=other)).read_text() != first


def test_a_checkout_has_its_own_state_and_passphrase(tmp_path, checkout):
    found = workspace.variables(context_in(tmp_path, root=checkout), [])
    assert found["PULUMI_BACKEND_URL"] == (checkout / ".slipway" / "state").as_uri()
    assert found["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(checkout / ".slipway" / "passphrase")
    assert (checkout / ".slipway" / "state").is_dir()


@pytest.mark.parametrize("name", ["a #1", "50%", "who?", "50%25", "für $x 'q' \"d\""])
def test_the_state_of_a_checkout_is_in_it_whatever_its_folder_is_called(tmp_path, name):
    root = tmp_path / name
    (root / ".slipway").mkdir(parents=True)
    address = urlsplit(workspace.variables(context_in(tmp_path, root=root), [])["PULUMI_BACKEND_URL"])
    assert (address.scheme, address.netloc, address.query, address.fragment) == ("file", "", "", "")
    assert Path(unquote(address.path)) == root / ".slipway" / "state"


@pytest.mark.parametrize(
    ("name", "value", "hidden"),
    [
        ("PULUMI_BACKEND_URL", "s3://states", "PULUMI_BACKEND_URL"),
        ("PULUMI_CONFIG_PASSPHRASE", "", "PULUMI_CONFIG_PASSPHRASE_FILE"),
        ("PULUMI_CONFIG_PASSPHRASE_FILE", "/run/secret", "PULUMI_CONFIG_PASSPHRASE_FILE"),
    ],
)
def test_what_the_user_set_stays(tmp_path, checkout, name, value, hidden):
    assert hidden not in workspace.variables(context_in(tmp_path, {name: value}, root=checkout), [])


def test_a_set_up_in_a_shell_that_has_the_environment_already_writes_the_same(tmp_path, checkout):
    first = workspace.variables(context_in(tmp_path, root=checkout), [])
    assert workspace.variables(context_in(tmp_path, first, root=checkout), []) == first


def test_what_was_found_is_written_down_for_the_command_line(tmp_path, checkout):
    context = context_in(tmp_path, root=checkout)
    steps = [
        Taken("Pulumi", "v3 found", path=(Path("/p"),), env=(("PULUMI_HOME", "/h"),)),
        Taken("Base image", "made", path=(Path("/p"), Path("/q"))),
    ]
    workspace.write(context, steps)
    found = json.loads((checkout / ".slipway" / "toolchain.json").read_text())
    assert found["path"] == ["/p", "/q"]
    assert found["env"]["PULUMI_HOME"] == "/h"
    assert found["taken"] == {"pulumi": "v3 found", "base-image": "made"}


def test_a_stack_is_in_use_for_as_long_as_it_has_resources(tmp_path, checkout):
    context = context_in(tmp_path, root=checkout)
    assert workspace.stacks_in_use(context) == []
    folder = checkout / ".slipway" / "state" / ".pulumi" / "stacks" / "slipway"
    folder.mkdir(parents=True)
    for name, latest in {"dev": {"resources": [{"urn": "u"}]}, "gone": {"resources": []}, "new": None}.items():
        (folder / f"{name}.json").write_text(json.dumps({"version": 3, "checkpoint": {"latest": latest}}))
        (folder / f"{name}.json.bak").write_text("{}")
    assert workspace.stacks_in_use(context) == ["dev"]


def test_services_stay_while_another_stack_of_the_checkout_is_deployed(tmp_path, checkout):
    context = context_in(tmp_path, root=checkout)
    Users(context.cache).add(checkout)
    folder = checkout / ".slipway" / "state" / ".pulumi" / "stacks" / "slipway"
    folder.mkdir(parents=True)
    (folder / "prod.json").write_text('{"checkpoint": {"latest": {"resources": [{}]}}}')
    setup.stop(context)
    assert Users(context.cache).all() == [checkout]
    assert "make down STACK=prod" in context.report.stream.getvalue()


def test_a_shell_gets_the_environment_whatever_the_paths_contain(tmp_path, checkout):
    context = context_in(tmp_path, root=checkout)
    workspace.write(context, [Taken("Pulumi", "", path=(checkout / "bin",), env=(("NAME", "$HOME `x` \"'"),))])
    script = f'{workspace.exports(context)}\nprintf "%s\\n" "$NAME" "$PATH"'
    told = subprocess.run(
        ["/bin/sh", "-c", script], env={"PATH": "/before"}, capture_output=True, text=True, check=True
    )
    assert told.stdout.splitlines() == ["$HOME `x` \"'", f"{checkout / 'bin'}:/before"]


def test_the_environment_of_a_checkout_that_is_not_set_up_says_what_to_do(tmp_path, checkout):
    with pytest.raises(ToolchainError, match="make setup"):
        workspace.exports(context_in(tmp_path, root=checkout))


@pytest.mark.parametrize(
    ("name", "value", "hidden"),
    [
        ("PULUMI_BACKEND_URL", "s3://states", "PULUMI_BACKEND_URL"),
        ("PULUMI_CONFIG_PASSPHRASE", "mine", "PULUMI_CONFIG_PASSPHRASE_FILE"),
        ("PULUMI_CONFIG_PASSPHRASE_FILE", "/run/secret", "PULUMI_CONFIG_PASSPHRASE_FILE"),
    ],
)
def test_a_shell_keeps_its_own_backend_and_passphrase(tmp_path, checkout, name, value, hidden):
    workspace.write(context_in(tmp_path, root=checkout), [])
    assert f"export {hidden}=" in workspace.exports(context_in(tmp_path, root=checkout))
    assert f"export {hidden}=" not in workspace.exports(context_in(tmp_path, {name: value}, root=checkout))


def test_a_lost_passphrase_is_not_replaced_while_there_are_stacks(tmp_path, checkout):
    context = context_in(tmp_path, root=checkout)
    folder = checkout / ".slipway" / "state" / ".pulumi" / "stacks" / "slipway"
    folder.mkdir(parents=True)
    (folder / "dev.json").write_text("{}")
    with pytest.raises(ToolchainError, match=r"passphrase is gone.*\n.*restore .*remove "):
        workspace.variables(context, [])
    assert not (checkout / ".slipway" / "passphrase").exists()
    own = context_in(tmp_path, {"PULUMI_CONFIG_PASSPHRASE": "mine"}, root=checkout)
    assert "PULUMI_BACKEND_URL" in workspace.variables(own, [])
