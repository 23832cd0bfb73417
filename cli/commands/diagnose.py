"""`slipway diagnose`: look at everything that a deployment needs, and say what is wrong and how to mend it."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from cli.diagnosis.context import Context
from cli.diagnosis.finding import Finding
from cli.diagnosis.run import diagnose
from cli.errors import Exit
from cli.options import DEFAULT_STACK, JsonOption, StackOption
from cli.stack.project import find_project
from cli.table import console, print_json

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "bold red", "skipped": "dim"}


def command(
    stack: StackOption = DEFAULT_STACK,
    timeout: Annotated[float, typer.Option(min=1, max=86_400, help="Seconds that each check may take.")] = 20.0,
    json: JsonOption = False,
) -> None:
    """Look at everything that a deployment needs; say what is wrong, and how to mend it. Nothing is changed."""
    found = []
    for finding in diagnose(Context(find_project(), stack), timeout):
        found.append(finding)
        if not json:
            _print(finding)
    problems = sum(one.status == "problem" for one in found)
    if json:
        print_json({"stack": stack, "problems": problems, "findings": [asdict(one) for one in found]})
    else:
        console().print(f"\n{_summary(found)}")
    if problems:
        raise typer.Exit(Exit.FAILED)


def _print(finding: Finding) -> None:
    subject = f"{finding.model}: " if finding.model else ""
    line = Text(f"{finding.check:<12}")
    line.append(f"{finding.status:<9}", style=_COLOURS[finding.status])
    indent = "\n" + " " * len(line)
    line.append((subject + finding.message).replace("\n", indent))
    if finding.mend:
        line.append(f"{indent}-> {finding.mend}".replace("\n\n", "\n"), style="bold")
    console().print(line, soft_wrap=True)


def _summary(found: list[Finding]) -> str:
    counts = {status: sum(one.status == status for one in found) for status in ("problem", "warning", "skipped")}
    if not counts["problem"] and not counts["skipped"]:
        return "Nothing is wrong." if not counts["warning"] else f"Nothing is wrong; {_counted(counts)}."
    return f"{_counted(counts)}."


def _counted(counts: dict[str, int]) -> str:
    names = {"problem": ("problem", "problems"), "warning": ("warning", "warnings"), "skipped": ("skipped", "skipped")}
    return ", ".join(f"{count} {names[status][count != 1]}" for status, count in counts.items() if count)
