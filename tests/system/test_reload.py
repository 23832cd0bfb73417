"""Edits of a script with `reload: true` while its container runs, without the engine."""

import httpx
import pytest

pytestmark = [pytest.mark.engine, pytest.mark.system]


@pytest.fixture
def live(project):
    project.model("alpha", reload=True)
    project.run("up")
    return project


def _edit(project, text):
    """Save as editors do: write beside it, then rename over it."""
    script = project.script("alpha")
    beside = script.with_name("score.py.tmp")
    beside.write_text(text)
    beside.replace(script)


def test_an_edit_is_answered_by_the_same_container(live):
    container = live.containers()["alpha"].id
    _edit(live, live.script("alpha").read_text().replace("first", "edited"))
    live.wait_for(lambda: live.answer("alpha")["answer"] == "edited")
    assert live.containers()["alpha"].id == container


def test_a_broken_edit_keeps_the_last_good_script_and_shows_the_error(live):
    good = live.script("alpha").read_text()
    _edit(live, "def init(:\n")
    status = f"http://127.0.0.1:{live.ports['alpha']}/status"
    live.wait_for(lambda: httpx.get(status, timeout=60).json()["reload"]["error"])
    assert "SyntaxError" in httpx.get(status, timeout=60).json()["reload"]["error"]
    assert live.answer("alpha")["answer"] == "first"
    assert "SyntaxError" in live.run("status").stdout
    _edit(live, good.replace("first", "mended"))
    live.wait_for(lambda: live.answer("alpha")["answer"] == "mended")
    assert httpx.get(status, timeout=60).json()["reload"]["error"] is None
