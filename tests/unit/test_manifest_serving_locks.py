"""The locks of what an image has beside the runtime's own packages: of one mind, whichever of them are installed."""

import re
from pathlib import Path
from typing import get_args

import pytest

from manifest.platforms import WITHOUT_WHEEL
from manifest.serving import Extra

SCORING = Path(__file__).parents[2] / "scoring"
EXTRAS = get_args(Extra)


def locked(name):
    """Package to its pinned versions, which may differ by Python's version."""
    found = {}
    for one, version in re.findall(r"^([a-z0-9-]+)==(\S+)", (SCORING / name).read_text(), re.MULTILINE):
        found.setdefault(one, set()).add(version)
    return found


def asked(name):
    lines = (SCORING / name).read_text().splitlines()
    return {re.split(r"[\[<>=~!]", line)[0].lower().replace("_", "-") for line in lines if not line.startswith("#")}


def test_the_runtime_alone_has_what_it_serves_with():
    assert asked("requirements.in") <= locked("requirements.lock").keys()
    assert "uvicorn" not in locked("requirements.lock")


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_is_locked_with_all_that_it_asks_for(extra):
    wanted = asked(f"requirements.{extra}.in")
    assert wanted
    assert wanted <= locked(f"requirements.{extra}.lock").keys()


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_package_of_two_locks_has_one_version_in_both(extra):
    mine = locked(f"requirements.{extra}.lock")
    for other in ("requirements.lock", *(f"requirements.{one}.lock" for one in EXTRAS)):
        theirs = locked(other)
        # A lock may hold the versions of fewer Pythons.
        differing = [name for name in mine.keys() & theirs.keys() if not mine[name] & theirs[name]]
        assert differing == [], other


@pytest.mark.parametrize("lock", ["requirements.lock", *(f"requirements.{extra}.lock" for extra in EXTRAS)])
def test_every_package_has_its_hashes(lock):
    parts = re.split(r"^(?=[a-z0-9-]+==)", (SCORING / lock).read_text(), flags=re.MULTILINE)[1:]
    assert parts
    assert [part.split()[0] for part in parts if "--hash=sha256:" not in part] == []


def test_make_lock_renews_the_lock_of_every_extra():
    recipe = (SCORING.parent / "Makefile").read_text()
    [extras] = re.findall(r"for extra in ([a-z ]+);", recipe)
    assert tuple(extras.split()) == EXTRAS


def test_what_is_said_to_have_no_wheel_is_what_the_runtime_would_need():
    for extra, package in WITHOUT_WHEEL.items():
        assert package in locked(f"requirements.{extra}.lock")
    [left_out] = re.findall(r"sed '/\^\\\((.*)\\\)==/", (SCORING / "environment.Dockerfile").read_text())
    names = left_out.split(r"\|")
    assert "httptools" in names
    assert set(names) <= locked("requirements.lock").keys()
