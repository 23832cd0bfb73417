"""A browser for the tests of pages: one that is here is used; else one is installed where we may."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain import apt
from toolchain.context import Taken
from toolchain.process import capture, run
from toolchain.report import ToolchainError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from toolchain.context import Context
    from toolchain.report import Step

NAME = "Browser"
VARIABLE = "CHROME"
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
# Below the folder of Playwright's browsers; newer versions name the folders after the architecture, too.
_OF_PLAYWRIGHT = (
    "chromium-*/chrome-linux*/chrome",
    "chromium_headless_shell-*/chrome-*/*headless*shell",
    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
)
_PACKAGES = ("chromium", "fonts-dejavu-core")
_DOWNLOAD_SECONDS = 900.0
_ANSWER_SECONDS = 30.0


def find(environ: Mapping[str, str]) -> tuple[Path, str] | None:
    """Return a browser of Chromium's kind that starts, and where it was found; None where there is none.

    Raises:
        ToolchainError: CHROME names none.
    """
    chosen = environ.get(VARIABLE)
    if chosen:
        path = shutil.which(chosen, path=environ.get("PATH"))
        if path is None or _version(path, environ) is None:
            raise ToolchainError(
                f"{VARIABLE} is {chosen!r}, which is no browser that starts.",
                to_do=f"set {VARIABLE} to the program of Chromium or Chrome, or unset it.",
            )
        return Path(path), f"that of {VARIABLE}"
    for path, where in _candidates(environ):
        # Ubuntu's package is a script that says to install something else.
        if _version(path, environ) is not None:
            return Path(path), where
    return None


def ensure(context: Context, step: Step) -> Taken:
    """Find or provide a browser for the tests; its program is then in the variable CHROME.

    Raises:
        ToolchainError: If there is none and we may not or cannot install one.
    """
    found = find(context.environ)
    if found is None:
        found = _provide(context, step)
    path, how = found
    version = _version(str(path), context.environ)
    return Taken(NAME, f"{version} at {path}: {how}", env=((VARIABLE, str(path)),))


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for program in _PROGRAMS:
        path = shutil.which(program, path=environ.get("PATH"))
        if path is not None:
            yield path, "the system's"
    if sys.platform == "darwin":
        for application in _APPLICATIONS:
            if Path(application).is_file():
                yield application, "the system's"
    folder = _playwrights_folder(environ)
    for pattern in _OF_PLAYWRIGHT:
        # The newest first.
        for found in sorted(folder.glob(pattern), reverse=True):
            yield str(found), "Playwright's"


def _playwrights_folder(environ: Mapping[str, str]) -> Path:
    """Where Playwright keeps its browsers."""
    chosen = environ.get("PLAYWRIGHT_BROWSERS_PATH")
    if chosen and chosen != "0":
        return Path(chosen)
    home = Path(environ.get("HOME") or Path.home())
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "ms-playwright"
    return Path(environ.get("XDG_CACHE_HOME") or home / ".cache") / "ms-playwright"


def _version(path: str, environ: Mapping[str, str]) -> str | None:
    """What a browser calls itself; None where it does not start."""
    told = capture([path, "--version"], env=environ, timeout=_ANSWER_SECONDS)
    first = (told or "").strip().partition("\n")[0].strip()
    return first if "chrom" in first.lower() else None


def _provide(context: Context, step: Step) -> tuple[Path, str]:
    failed = ""
    if apt.available(context):
        try:
            apt.install(context, step, _PACKAGES, "A browser for the tests")
        except ToolchainError as error:
            # Ubuntu has it as a snap only.
            failed = f"{error.what} "
        found = find(context.environ)
        if found is not None:
            return found[0], "installed from the system's packages"
    step.doing("downloading Playwright's Chromium")
    to_do = (
        f"install Chromium or Chrome, or set {VARIABLE} to its program, and start again. "
        "On Debian: sudo apt-get install chromium."
    )
    run(
        [str(context.venv / "bin" / "python"), "-m", "playwright", "install", "chromium"],
        log=context.log("browser"),
        what=f"{failed}Downloading Playwright's Chromium",
        to_do=to_do,
        env=context.environ,
        timeout=_DOWNLOAD_SECONDS,
    )
    found = find(context.environ)
    if found is None:
        raise ToolchainError(
            "Playwright's Chromium was downloaded, and does not start.",
            to_do=f"run `{context.venv}/bin/python -m playwright install-deps chromium` as root, or {to_do}",
        )
    return found[0], "downloaded by Playwright"
