"""Tools in the cache are complete or absent, and are what was put there."""

import os

import pytest

from toolchain.cache import Cache
from toolchain.tools import Tools, digest_of


@pytest.fixture
def tools(tmp_path):
    cache = Cache(tmp_path / "cache")
    cache.prepare()
    return Tools(cache)


def write_program(folder):
    (folder / "program").write_text("#!/bin/sh\n")


def test_an_installed_tool_is_ready(tools):
    folder = tools.install("program-1", write_program)
    assert tools.ready("program-1")
    assert (folder / "program").read_text() == "#!/bin/sh\n"


def test_a_tool_that_was_never_installed_is_not_ready_and_not_damaged(tools):
    assert not tools.ready("program-1")
    assert not tools.damaged("program-1")


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_build_leaves_nothing_and_the_next_one_succeeds(tools, interruption):
    def interrupted(folder):
        write_program(folder)
        raise interruption

    with pytest.raises(interruption):
        tools.install("program-1", interrupted)
    assert list(tools.folder("program-1").parent.iterdir()) == []
    tools.install("program-1", write_program)
    assert tools.ready("program-1")


def test_a_failed_rebuild_keeps_the_tool_that_was_there(tools):
    tools.install("program-1", write_program)

    def failing(folder):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        tools.install("program-1", failing)
    assert tools.ready("program-1")


@pytest.mark.parametrize(
    "damage",
    [
        lambda program: program.write_text("#!/bin/rm\n"),
        lambda program: program.unlink(),
        lambda program: (program.parent / "MANIFEST.json").write_text("{"),
    ],
    ids=["changed", "missing", "no manifest"],
)
def test_a_damaged_tool_is_not_used_even_if_it_was_checked_before(tools, damage):
    folder = tools.install("program-1", write_program)
    assert tools.ready("program-1")
    damage(folder / "program")
    assert not tools.ready("program-1")
    assert tools.damaged("program-1")


def test_a_tool_that_was_only_touched_is_still_good(tools):
    folder = tools.install("program-1", write_program)
    assert tools.ready("program-1")
    os.utime(folder / "program", (1, 1))
    assert tools.ready("program-1")


def test_a_changed_lock_is_another_tool(tmp_path):
    lock = tmp_path / "go.sum"
    lock.write_text("one")
    before = digest_of([lock])
    lock.write_text("two")
    assert digest_of([lock]) != before
