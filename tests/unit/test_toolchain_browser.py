"""Which browser the tests of pages get."""

import io

import pytest

from tests.unit.toolchain_harness import context_in
from toolchain import browser
from toolchain.report import Step, ToolchainError


def program(path, says="Chromium 1.2.3", code=0):
    """A program that says what browsers say of themselves."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def environ(tmp_path):
    (tmp_path / "bin").mkdir()
    return {"PATH": str(tmp_path / "bin"), "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path / "browsers")}


def test_the_users_choice_comes_first(tmp_path, environ):
    program(tmp_path / "bin" / "chromium")
    chosen = program(tmp_path / "mine")
    assert browser.find({**environ, "CHROME": str(chosen)}) == (chosen, "that of CHROME")


@pytest.mark.parametrize("says", ["Mozilla Firefox 1.2", None])
def test_a_choice_that_is_no_browser_is_an_error(tmp_path, environ, says):
    chosen = program(tmp_path / "mine", says) if says else tmp_path / "missing"
    with pytest.raises(ToolchainError, match="which is no browser that starts"):
        browser.find({**environ, "CHROME": str(chosen)})


def test_the_systems_browser_is_used(tmp_path, environ):
    path = program(tmp_path / "bin" / "google-chrome", "Google Chrome 1.2.3")
    assert browser.find(environ) == (path, "the system's")


def test_a_package_that_only_names_another_is_passed_over(tmp_path, environ):
    program(tmp_path / "bin" / "chromium-browser", "Chromium: requires the snap to be installed", code=1)
    path = program(tmp_path / "browsers" / "chromium-1200" / "chrome-linux" / "chrome")
    assert browser.find(environ) == (path, "Playwright's")


def test_without_any_there_is_none(environ):
    assert browser.find(environ) is None


def test_what_was_found_is_told_in_one_line(tmp_path, environ):
    path = program(tmp_path / "bin" / "chromium")
    taken = browser.ensure(context_in(tmp_path, environ), Step("Browser", io.StringIO()))
    assert taken.line == f"Chromium 1.2.3 at {path}: the system's"
    assert taken.env == (("CHROME", str(path)),)


def test_where_none_can_be_installed_the_message_says_what_to_do(tmp_path, environ):
    context = context_in(tmp_path, environ, root=tmp_path)
    with pytest.raises(ToolchainError) as failed:
        browser.ensure(context, Step("Browser", io.StringIO()))
    assert "Downloading Playwright's Chromium" in str(failed.value)
    assert "set CHROME to its program" in str(failed.value)


def test_playwrights_download_is_the_last_way(tmp_path, environ):
    downloaded = tmp_path / "browsers" / "chromium-1200" / "chrome-linux64" / "chrome"
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        f"#!/bin/sh\nPATH=/usr/bin:/bin\n[ \"$*\" = '-m playwright install chromium' ] || exit 1\n"
        f"mkdir -p {downloaded.parent}\nprintf '#!/bin/sh\\necho Chromium 9' >{downloaded}\nchmod +x {downloaded}\n",
        encoding="utf-8",
    )
    python.chmod(0o755)
    taken = browser.ensure(context_in(tmp_path, environ, root=tmp_path), Step("Browser", io.StringIO()))
    assert taken.line == f"Chromium 9 at {downloaded}: downloaded by Playwright"
