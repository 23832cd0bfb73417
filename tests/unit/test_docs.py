"""What the pages say that can be checked without running it: links, commands, options, settings."""

import re
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from cli.main import COMMANDS, _application
from manifest import Environment

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "bench/README.md", ROOT / "standins/README.md", *(ROOT / "docs").rglob("*.md")]
)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s#]*)(?:#([^)\s]+))?\)")
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)


def _anchors(text):
    """As GitHub makes them of headings."""
    plain = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", plain, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _code(pages=PAGES):
    """Each piece of code, with its page."""
    return [(page.name, found) for page in pages for found in CODE.findall(page.read_text())]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    text = page.read_text()
    wrong = []
    for path, anchor in LINK.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target.read_text())):
            wrong.append(f"{path}#{anchor}" if anchor else path)
    assert wrong == []


def test_every_page_is_linked_from_another():
    linked = {(page.parent / path).resolve() for page in PAGES for path, _ in LINK.findall(page.read_text()) if path}
    alone = [page.name for page in (ROOT / "docs").glob("*.md") if page not in linked]
    assert alone == []


def test_targets_of_make_that_are_told_are_there():
    there = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = {(page, name) for page, code in _code() for name in re.findall(r"\bmake (?:-s )?([a-z][a-z-]+)\b", code)}
    assert len(told) > 10
    assert {one for one in told if one[1] not in there} == set()


def test_commands_and_options_that_are_told_are_there():
    application = get_command(_application([]))
    assert isinstance(application, typer.core.TyperGroup)
    wrong = []
    for page, code in _code():
        for line in re.findall(r"(?<!from )\bslipway ([a-z][^\n`|]*)", code):
            words = line.partition(" #")[0].partition(" -- ")[0].split()
            if words[0] not in COMMANDS:
                wrong.append(f"{page}: slipway {words[0]}")
                continue
            command = application.commands[words[0]]
            if isinstance(command, typer.core.TyperGroup) and len(words) > 1 and words[1] in command.commands:
                command = command.commands[words[1]]
            options = {option for one in command.params for option in (*one.opts, *one.secondary_opts)} | {
                "-h",
                "--help",
            }
            given = [word.partition("=")[0].rstrip(",.;:)") for word in words[1:] if re.match(r"--?[a-z]", word)]
            wrong += [f"{page}: slipway {words[0]} {one}" for one in given if one not in options]
    assert wrong == []
    page = (ROOT / "docs/cli.md").read_text()
    assert [name for name in COMMANDS if f"| `{name}" not in page] == []


def test_settings_of_a_stack_are_told_and_are_there():
    there = {field.alias or name for name, field in Environment.model_fields.items()}
    told = {
        (page, name)
        for page, code in _code()
        for name in re.findall(r"(?<![\w:])slipway:([a-zA-Z]+)\b(?!:index)", code)
    }
    assert {one for one in told if one[1] not in there | {"index"}} == set()
    assert there - {name for _, name in told} == set()
