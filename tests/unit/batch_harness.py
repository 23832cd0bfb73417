"""Batch jobs as processes of their own, and what they wrote: what the tests of `scoring/batch` share."""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
PATIENCE = 120
DOUBLE = """
import pandas as pd
def init():
    pass
def run(mini_batch: pd.DataFrame):
    return pd.DataFrame({"twice": mini_batch["x"] * 2})
"""


def command_of(folder, script, options, variables=None, arguments=()):
    """The command and the environment of a job with a script, whose input is `in` and whose output is `out`."""
    app = folder / "app"
    app.mkdir(exist_ok=True)
    if script is not None:
        (app / "score.py").write_text(textwrap.dedent(script))
    ours = {
        "AML_APP_ROOT": str(app),
        "AZUREML_ENTRY_SCRIPT": "score.py",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": os.environ["PATH"],
        "SLIPWAY_LOG": "text",
        "SLIPWAY_JOB_INPUT": str(folder / "in"),
        "SLIPWAY_JOB_OUTPUT": str(folder / "out"),
        **(variables or {}),
    }
    given = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "scoring", "batch", *given, *(["--", *arguments] if arguments else [])], ours


def start(folder, script=DOUBLE, variables=None, arguments=(), **options):
    command, environment = command_of(folder, script, options, variables, arguments)
    return subprocess.Popen(
        command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run(folder, script=DOUBLE, expect=0, variables=None, arguments=(), **options):
    """Run a job to its end, and return its log."""
    process = start(folder, script, variables, arguments, **options)
    log, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == expect, log
    return log


def run_until_complete(folder, variables, **options):
    """Run a job on a storage that fails now and then, as often as it takes."""
    for _ in range(10):
        process = start(folder, DOUBLE, variables, processes=2, **options)
        log, _ = process.communicate(timeout=300)
        if process.returncode == 0:
            break
        # It says that the same again goes on.
        assert process.returncode == 75, log
    assert process.returncode == 0, log


def run_killed_until_complete(folder, variables, **options):
    """Run a job in three tasks, each of which is killed or told to stop a few times."""
    script = DOUBLE.replace("    return", "    time.sleep(0.05)\n    return") + "import time\n"
    chance = random.Random(3)
    waiting = {0: 0, 1: 0, 2: 0}
    while waiting:
        running = {task: start(folder, script, variables, of=3, task=task, **options) for task in waiting}
        for task, process in running.items():
            waiting[task] += 1
            if waiting[task] < 4:
                time.sleep(chance.uniform(0.5, 1.5))
                process.send_signal(chance.choice([signal.SIGKILL, signal.SIGTERM]))
        for task, process in running.items():
            log, _ = process.communicate(timeout=PATIENCE)
            assert process.returncode in {0, 75, -signal.SIGKILL, -signal.SIGTERM}, log
            if process.returncode == 0:
                del waiting[task]


def put(folder, name, content):
    path = folder / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def put_rows(folder, name, rows, group=1000):
    """Write records in the format that the name says."""
    table = pa.Table.from_pylist(rows)
    path = folder / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".parquet"):
        pq.write_table(table, path, row_group_size=group)
    elif name.endswith(".csv"):
        pacsv.write_csv(table, path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def results(folder):
    """All rows that a job wrote, by name of file, one after the other."""
    rows = []
    for path in sorted((folder / "out" / "predictions").rglob("*.*")) if (folder / "out").exists() else ():
        if path.name.startswith(".") or not path.is_file():
            continue
        if path.suffix == ".parquet":
            rows += pq.read_table(path).to_pylist()
        elif path.suffix == ".csv":
            rows += pacsv.read_csv(path).to_pylist()
        else:
            rows += [json.loads(line) for line in path.read_text().splitlines()]
    return rows


def errors(folder):
    return [
        json.loads(line)
        for path in sorted((folder / "out" / "errors").rglob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]


def progress(folder, task=0, of=1):
    return json.loads((folder / "out" / "job" / "progress" / f"{task}-of-{of}.json").read_text())
