"""What only tests need is provided for those that are to be run: a cluster takes minutes, and unit tests need none."""

import pytest

from toolchain import browser, main, mosquitto, object_checks, test_tools
from toolchain.context import Taken

FOR_UNIT_TESTS = ["browser", "power_query", "linter"]
FOR_PROGRAM_TESTS = ["objects"]
FOR_OTHERS = ["azurite", "cluster", "mosquitto", "tool", "tool"]


@pytest.fixture
def provided(monkeypatch):
    """What is provided, by name; nothing really is."""
    names = []

    def noting(name):
        def ensure(_context, _step):
            names.append(name)
            return Taken(name, "there")

        return ensure

    for module, name in ((browser, "browser"), (object_checks, "objects"), (mosquitto, "mosquitto")):
        monkeypatch.setattr(module, "ensure", noting(name))
    for name in ("azurite", "power_query", "linter", "cluster"):
        monkeypatch.setattr(test_tools, f"_{name}", noting(name))
    monkeypatch.setattr(test_tools, "_supply_chain", lambda tool: noting("tool"))
    return names


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["unit"], FOR_UNIT_TESTS),
        (["program"], FOR_PROGRAM_TESTS),
        (["engine"], [*FOR_UNIT_TESTS, *FOR_PROGRAM_TESTS, *FOR_OTHERS]),
        (["system"], [*FOR_UNIT_TESTS, *FOR_PROGRAM_TESTS, *FOR_OTHERS]),
        ([], [*FOR_UNIT_TESTS, *FOR_PROGRAM_TESTS, *FOR_OTHERS]),
    ],
)
def test_each_level_gets_what_it_needs(provided, tmp_path, monkeypatch, arguments, expected):
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path))
    assert main.main(["tests", *arguments]) == 0
    assert sorted(provided) == sorted(expected)


def test_a_level_is_no_action_of_another_command(capsys):
    with pytest.raises(SystemExit):
        main.main(["kubernetes", "unit"])
    assert "kubernetes takes no unit: that is for tests" in capsys.readouterr().err
