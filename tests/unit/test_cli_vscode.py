"""The editor's files name what is there: tasks, commands, ports and paths."""

import inspect
import json
from pathlib import Path

import pytest

from cli.commands import debug
from cli.editing.debugging import REMOTE_ROOT
from cli.main import COMMANDS

ROOT = Path(__file__).parents[2]


def _read(name):
    return json.loads((ROOT / ".vscode" / name).read_text())


@pytest.fixture
def tasks():
    return {task["label"]: task for task in _read("tasks.json")["tasks"]}


def test_the_manifest_is_checked_by_its_schema():
    [(schema, files)] = _read("settings.json")["yaml.schemas"].items()
    assert (ROOT / schema).is_file()
    assert (ROOT / files).is_file()


def test_tasks_call_targets_of_make_and_commands_that_there_are(tasks):
    targets = {line.split(":")[0] for line in (ROOT / "Makefile").read_text().splitlines() if ": " in line}
    for task in tasks.values():
        program, *rest = f"{task['command']} {' '.join(task.get('args', []))}".split()
        assert rest[0] in (targets if program == "make" else COMMANDS), task["label"]


def test_debugging_attaches_to_what_its_task_starts(tasks):
    [launch] = _read("launch.json")["configurations"]
    task = tasks[launch["preLaunchTask"]]
    assert task["args"][0] == "debug"
    default = inspect.signature(debug.command).parameters["debug_port"].default
    assert launch["connect"] == {"host": "127.0.0.1", "port": default}
    assert launch["pathMappings"] == [{"localRoot": "${workspaceFolder}", "remoteRoot": REMOTE_ROOT}]
    assert task["problemMatcher"]["background"]["endsPattern"] in Path(debug.__file__).read_text()
