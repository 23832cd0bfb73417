"""Which of the states that the engine keeps takes the place of one that a full disk has cut off."""

import json

import pytest

from cli.deployment.recovery import recover
from cli.errors import CliError
from cli.stack.kept_states import newest_whole
from cli.stack.project import Project
from cli.stack.pulumi import Pulumi
from tests.unit.cli_harness import FakePulumi


def state(minute, **latest):
    """A state as the engine writes it, of a minute past ten."""
    latest = {"manifest": {"time": f"2026-11-30T10:{minute:02}:00.123456789Z"}, **latest}
    return json.dumps({"version": 3, "checkpoint": {"stack": "dev", "latest": latest}})


def cut(minute):
    return state(minute)[:-9]


@pytest.fixture
def project(tmp_path):
    made = FakePulumi(tmp_path)
    made.configure("config:\n  slipway:targets: [aci]\n")
    return made


@pytest.fixture
def keep(project):
    """Writes what the engine keeps; returns the last state's file."""

    def keep(last, bak=None, backups=()):
        folder = project.root / "state/.pulumi"
        file = folder / "stacks/shop/dev.json"
        file.parent.mkdir(parents=True)
        file.write_text(last)
        if bak is not None:
            file.with_name("dev.json.bak").write_text(bak)
        beside = folder / "backups/shop/dev"
        beside.mkdir(parents=True)
        for number, text in enumerate(backups):
            backup = beside / f"dev.{1796033000000000000 + number}.json"
            backup.write_text(text)
            backup.with_name(f"{backup.name}.attrs").write_text("{}")
        return file

    return keep


def _pulumi(project):
    shop = Project(project.root, "shop")
    return Pulumi(shop, "dev", shop.environment())


@pytest.mark.parametrize("last", ["", cut(9)])
@pytest.mark.parametrize(
    ("bak", "backups", "taken"),
    [
        (state(8), [state(1), state(5)], state(8)),
        (cut(8), [state(1), state(5)], state(5)),
        ("", [state(1), state(5), cut(9), ""], state(5)),
        (None, [state(5)], state(5)),
        # The copy to `.bak` did not fit: the state from before the last operation's end stayed there.
        (state(4), [state(1), state(5)], state(5)),
    ],
)
def test_a_state_that_was_cut_off_is_replaced_by_the_newest_whole_one(project, keep, last, bak, backups, taken):
    file = keep(last, bak, backups)
    said = []
    assert recover(_pulumi(project), said.append)
    assert file.read_text() == taken
    [told] = said
    assert "was cut off, as by a full disk: the one of 2026-11-30 " in told
    assert recover(_pulumi(project), said.append)
    assert said == [told]


def test_a_state_that_was_put_back_is_compared_with_what_is_there(project, keep):
    keep(cut(9), state(8))
    recover(_pulumi(project), print)
    [(_, called)] = project.calls()
    assert called.startswith("refresh --stack dev ")


def test_what_could_not_be_compared_is_told_with_what_to_do(project, keep):
    file = keep(cut(9), state(8))
    project.answers(code=1)
    said = []
    assert recover(_pulumi(project), said.append)
    assert said[-1].endswith("slipway up --stack dev -- --refresh")
    assert file.read_text() == state(8)


def test_operations_that_the_older_state_has_under_way_are_done_again(project, keep):
    pending = [{"type": "updating", "resource": {"type": "a:b:C"}}]
    keep(cut(9), state(8, pending_operations=pending))
    project.answers({"version": 3, "deployment": {"pending_operations": pending}})
    said = []
    assert recover(_pulumi(project), said.append)
    assert said[-1] == "An earlier run was interrupted: 1 operation that it had begun will be done again."
    assert [called.split()[:2] for _, called in project.calls()] == [
        ["stack", "export"],
        ["stack", "import"],
        ["refresh", "--stack"],
    ]


@pytest.mark.parametrize(("bak", "backups"), [(None, []), (cut(8), [cut(5), "{}", "[]", '{"checkpoint": {}}'])])
def test_where_no_state_is_whole_that_is_told_with_what_to_do(project, keep, bak, backups):
    file = keep(cut(9), bak, backups)
    with pytest.raises(CliError) as caught:
        recover(_pulumi(project), print)
    assert str(caught.value) == (
        f"The stack's state {file} is cut off, as by a full disk, and none before it is kept whole."
    )
    assert "slipway down --stack dev" in caught.value.hint
    assert file.read_text() == cut(9)
    assert not project.calls_file.exists()


def test_another_stacks_states_are_not_taken(keep):
    file = keep(cut(9))
    beside = file.parents[2] / "backups/shop/dev-2"
    beside.mkdir()
    (beside / "dev-2.1796033000000000000.json").write_text(state(5))
    (file.parent / "dev-2.json.bak").write_text(state(5))
    assert newest_whole(file) is None
