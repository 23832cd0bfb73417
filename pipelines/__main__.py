"""`python -m pipelines COMMAND`: one command for each step of the workflows.

Addresses and credentials come from the variables that GitHub Actions and Azure Pipelines set.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.changes import Preview, UnreadableError, read_previews
from pipelines.events import failure
from pipelines.hosts import AzureDevOps, GitHub, HostError
from pipelines.markdown import PREVIEW_MARKER, comment, drift_issue, drift_marker

if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130
_NOT_THERE = (
    "The preview did not come far enough to say what changes; the run has the reason. "
    "A fork's pull request sees no state and no secrets."
)
_OF_A_FORK = (
    "This pull request comes from a fork: its preview ran without credentials and without the stacks' state, so all "
    "models show as created, and the figures are what the fork's code says."
)


class PipelineError(Exception):
    """A step cannot be done; the message says why."""


def main(arguments: Sequence[str]) -> int:
    """Run one step; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipelines", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (("preview", "Preview a stack."), ("drift", "Look for drift in a stack.")):
        one = commands.add_parser(name, help=what)
        one.add_argument("--stack", required=True)
        one.add_argument("--out", type=Path, required=True, help="The file for what is found.")
    for name, what in (
        ("comment", "Comment on the pull request of a finished run, from its results (GitHub, on workflow_run)."),
        ("azure-comment", "Comment on the pull request that is built, from its results (Azure Pipelines)."),
        ("drift-issues", "Open, renew or close an issue for each stack that was looked at (GitHub)."),
        ("show", "Print results as Markdown."),
    ):
        one = commands.add_parser(name, help=what)
        one.add_argument("--results", type=Path, required=True, help="The folder with what was found.")
        if name == "show":
            one.add_argument("--fail-on-changes", action="store_true", help="End with 1 where there are any.")
    given = parser.parse_args(arguments)
    try:
        return _step(given)
    except (PipelineError, HostError) as error:
        sys.stderr.write(f"{error}\n")
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return _INTERRUPTED
    except OSError as error:
        _tell(given.command, f"{error.filename or 'a file or connection'}: {error.strerror or error}")
    except KeyError as error:
        _tell(given.command, f"{error} is missing in what was read")
    except ValueError as error:
        _tell(given.command, f"a value is not what it has to be: {error}")
    return 1


def _step(given: argparse.Namespace) -> int:
    if given.command in {"preview", "drift"}:
        # They need the whole project; the steps that only write need no set-up.
        from pipelines import runs  # noqa: PLC0415 - see above

        worked: bool = getattr(runs, given.command)(given.stack, given.out)
        return int(not worked)
    if given.command == "show":
        return _show(given.results, fail_on_changes=given.fail_on_changes)
    {"comment": _comment, "azure-comment": _azure_comment, "drift-issues": _drift_issues}[given.command](given.results)
    return 0


def _tell(command: str, why: str) -> None:
    lines = failure(f"`python -m pipelines {command}` cannot be done: {why}".splitlines(), os.environ)
    sys.stderr.write("".join(f"{line}\n" for line in lines))


def _comment(results: Path) -> None:
    run = _event()["workflow_run"]
    head = run["head_repository"]
    # Which pull request is meant is GitHub's word; the results come from the pull request's code.
    number = _github().pull_request(head["owner"]["login"], run["head_branch"], run["head_sha"])
    if number is None:
        sys.stdout.write("The pull request is closed, or has newer commits: nothing to say.\n")
        return
    is_fork = head["full_name"] != _variable("GITHUB_REPOSITORY")
    body = _body(results, commit=run["head_sha"], run=run["html_url"], notes=[_OF_A_FORK] if is_fork else [])
    _github().comment(number, PREVIEW_MARKER, body)


def _azure_comment(results: Path) -> None:
    collection, project = _variable("SYSTEM_COLLECTIONURI"), _variable("SYSTEM_TEAMPROJECT")
    host = AzureDevOps(collection, project, _variable("BUILD_REPOSITORY_ID"), _variable("SYSTEM_ACCESSTOKEN"))
    run = f"{collection.rstrip('/')}/{project}/_build/results?buildId={_number('BUILD_BUILDID')}"
    commit = os.environ.get("SYSTEM_PULLREQUEST_SOURCECOMMITID") or _variable("BUILD_SOURCEVERSION")
    number = _number("SYSTEM_PULLREQUEST_PULLREQUESTID")
    host.comment(number, PREVIEW_MARKER, _body(results, commit=commit, run=run.replace(" ", "%20"), notes=[]))


def _drift_issues(results: Path) -> None:
    run = f"{_variable('GITHUB_SERVER_URL')}/{_variable('GITHUB_REPOSITORY')}/actions/runs/{_variable('GITHUB_RUN_ID')}"
    failed = []
    for one in _previews(results):
        marker = drift_marker(one.stack)
        if one.failed:
            # Nothing is known: an issue stays as it is, and the step fails.
            failed.append(one.stack)
        elif any(change.action != "unchanged" for change in one.changes):
            _github().open_issue(marker, f"Drift in {one.stack}", drift_issue(one, run=run))
        else:
            _github().close_issue(marker)
    if failed:
        raise PipelineError(f"Not known whether these have drifted: {', '.join(failed)}; see the run's log.")


def _show(results: Path, *, fail_on_changes: bool) -> int:
    sys.stdout.write(_body(results, commit=os.environ.get("GITHUB_SHA", ""), run="#", notes=[]))
    changes = (change for one in _previews(results) for change in one.changes) if fail_on_changes else ()
    return int(any(change.action != "unchanged" for change in changes))


def _body(results: Path, *, commit: str, run: str, notes: list[str]) -> str:
    try:
        previews = read_previews(results)
    except UnreadableError as error:
        return comment([], commit=commit, run=run, notes=[*notes, f"The preview's result cannot be read: {error}."])
    return comment(previews, commit=commit, run=run, notes=notes if previews else [*notes, _NOT_THERE])


def _previews(results: Path) -> list[Preview]:
    try:
        return read_previews(results)
    except UnreadableError as error:
        raise PipelineError(f"The results cannot be read: {error}.") from None


def _github() -> GitHub:
    return GitHub(_variable("GITHUB_API_URL"), _variable("GITHUB_REPOSITORY"), _variable("GITHUB_TOKEN"))


def _event() -> dict[str, Any]:
    path = _variable("GITHUB_EVENT_PATH")
    try:
        event = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise PipelineError(f"The event at GITHUB_EVENT_PATH, {path}, cannot be read: {error.strerror}.") from None
    except ValueError:
        raise PipelineError(f"The event at GITHUB_EVENT_PATH, {path}, is no JSON.") from None
    if not isinstance(event, dict) or not isinstance(event.get("workflow_run"), dict):
        raise PipelineError(
            f"The event at GITHUB_EVENT_PATH, {path}, has no workflow_run: this step runs on `workflow_run`."
        )
    return event


def _number(name: str) -> int:
    value = _variable(name)
    try:
        return int(value)
    except ValueError:
        raise PipelineError(f"The variable {name} is {value[:40]!r}; it has to be a number.") from None


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise PipelineError(f"The variable {name} is not set: this step runs in a pipeline.")
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
