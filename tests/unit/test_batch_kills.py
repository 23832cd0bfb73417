"""Jobs that are killed, run twice at once, or have much input: what they leave is exact, and their memory bounded."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.unit.batch_harness import DOUBLE, PATIENCE, ROOT, command_of, errors, progress, put_rows, results, run, start

SLOW = """
import time
import pandas as pd
def init(): pass
def run(mini_batch: pd.DataFrame):
    time.sleep(0.01)
    if (mini_batch["x"] == 333).any():
        raise ValueError("unlucky")
    return pd.DataFrame({"twice": mini_batch["x"] * 2})
"""
# Each process tells that it runs, and what it has goes on only once the test lets it.
HELD = """
import os, pathlib, time
import pandas as pd
here = pathlib.Path(os.environ["AML_APP_ROOT"])
def init(): pass
def run(mini_batch: pd.DataFrame):
    (here / f"running-{os.getpid()}").touch()
    while not (here / "go").exists():
        time.sleep(0.01)
    if (mini_batch["x"] == 333).any():
        raise ValueError("unlucky")
    return pd.DataFrame({"twice": mini_batch["x"] * 2})
"""
LAYOUT = {"part_bytes": 2000, "block_bytes": 1024, "mini_batch_size": 20, "keep": "x", "max_retries": 0}


@pytest.fixture
def expected(tmp_path):
    """Puts 2000 rows in three formats; returns what has to come of them."""
    rows = [{"x": number} for number in range(2000)]
    put_rows(tmp_path, "a.csv", rows[:700])
    put_rows(tmp_path, "b.jsonl", rows[700:1400])
    put_rows(tmp_path, "c.parquet", rows[1400:], group=50)
    return [{"x": number, "twice": 2 * number} for number in range(2000) if number != 333]


def check(folder, expected):
    assert sorted(results(folder), key=lambda row: row["x"]) == expected
    assert [row["content"]["x"] for row in errors(folder)] == [333]


def children_of(process):
    found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in found]


@pytest.mark.parametrize("seed", range(2))
def test_a_job_that_is_killed_again_and_again_is_exact_when_it_is_complete(tmp_path, expected, seed):
    chance = random.Random(seed)
    kills = 0
    for _ in range(12):
        process = start(tmp_path, SLOW, processes=2, **LAYOUT)
        try:
            # The first before it can be complete, however fast the machine is.
            process.wait(chance.uniform(0.3, 2.5) if kills else 0.25)
        except subprocess.TimeoutExpired:
            kills += 1
            process.send_signal(chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
        log, _ = process.communicate(timeout=PATIENCE)
        if process.returncode == 0:
            break
        assert process.returncode in {-signal.SIGKILL, 75, -signal.SIGTERM}, log
        # Whatever is there is there once, and whole.
        seen = [row["x"] for row in results(tmp_path)]
        assert len(seen) == len(set(seen))
    else:
        run(tmp_path, SLOW, processes=2, **LAYOUT)
    assert kills
    check(tmp_path, expected)


def test_processes_that_are_killed_are_replaced(tmp_path, expected):
    process = start(tmp_path, HELD, processes=2, **{**LAYOUT, "max_retries": 5})
    log = []
    reader = threading.Thread(target=lambda: log.extend(process.stdout))
    reader.start()
    killed = set()
    deadline = time.monotonic() + PATIENCE
    while len(killed) < 4:
        assert process.poll() is None, "".join(log)
        assert time.monotonic() < deadline
        # What is killed while it loads the script ends the job, so only those that have.
        running = {int(path.name.partition("-")[2]) for path in (tmp_path / "app").glob("running-*")} - killed
        for child in running.intersection(children_of(process.pid)):
            os.kill(child, signal.SIGKILL)
            killed.add(child)
        time.sleep(0.05)
    (tmp_path / "app/go").touch()
    assert process.wait(PATIENCE) == 0, "".join(log)
    reader.join()
    check(tmp_path, expected)


def test_the_processes_of_a_killed_job_end_with_it(tmp_path, expected):
    process = start(tmp_path, SLOW, processes=2, **LAYOUT)
    deadline = time.monotonic() + PATIENCE
    while len(children := children_of(process.pid)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while any(is_alive(child) for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_two_runs_of_the_same_task_at_once_leave_one_result(tmp_path, expected):
    runs = [start(tmp_path, SLOW, **LAYOUT) for _ in range(2)]
    for process in runs:
        log, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, log
    check(tmp_path, expected)
    assert progress(tmp_path)["items"] == 2000


def test_any_number_of_processes_and_tasks_leaves_the_same_files(tmp_path, expected):
    run(tmp_path, SLOW, **LAYOUT)
    one = {
        path.relative_to(tmp_path / "out"): path.read_bytes()
        for path in (tmp_path / "out" / "predictions").rglob("*.parquet")
    }
    (tmp_path / "out").rename(tmp_path / "before")
    for task in (2, 0, 1):
        run(tmp_path, SLOW, processes=2, of=3, task=task, **LAYOUT)
    assert {
        path.relative_to(tmp_path / "out"): path.read_bytes()
        for path in (tmp_path / "out" / "predictions").rglob("*.parquet")
    } == one


def test_a_finished_part_is_not_worked_on_again(tmp_path, expected):
    script = SLOW.replace("    time.sleep(0.01)", "    print('called')")
    assert "called" in run(tmp_path, script, **LAYOUT)
    assert "called" not in run(tmp_path, script, **LAYOUT)
    next((tmp_path / "out" / "job" / "done").glob("a.csv*")).unlink()
    assert 1 <= run(tmp_path, script, **LAYOUT).count("called") <= 60
    check(tmp_path, expected)


PEAK = """
import sys, resource, subprocess
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_of(folder, **options):
    """The largest memory of any process of a job, in KiB."""
    command, environment = command_of(folder, DOUBLE, options)
    told = subprocess.run(
        [sys.executable, "-c", PEAK, *command], env=environment, capture_output=True, text=True, check=True, cwd=folder
    ).stdout.split()
    assert told[0] == "0"
    return int(told[1])


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_twenty_times_the_input_takes_no_more_memory(tmp_path, name):
    peaks = []
    for times in (1, 20):
        folder = tmp_path / str(times)
        folder.mkdir()
        put_rows(folder, name, [{"x": n, "text": f"{n}" * 10} for n in range(40_000 * times)], group=5_000)
        peaks.append(peak_of(folder, part_bytes=500_000, block_bytes=100_000, keep="*"))
        assert json.loads((folder / "out/job/progress/0-of-1.json").read_text())["items"] == 40_000 * times
    # The input grows by more than 50 MiB; what an allocator keeps differs by some 20 between runs.
    assert peaks[1] < peaks[0] + 32 * 1024


def test_a_process_whose_parent_was_killed_before_it_could_follow_it_ends(tmp_path):
    script = (
        "import multiprocessing, os, pathlib, time\n"
        "from scoring.batch.worker import follow_parent\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "def late():\n"
        "    (here / 'child').write_text(str(os.getpid()))\n"
        "    while not (here / 'go').exists():\n"
        "        time.sleep(0.01)\n"
        "    follow_parent()\n"
        "    time.sleep(1000)\n"
        "multiprocessing.get_context('fork').Process(target=late).start()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    deadline = time.monotonic() + PATIENCE
    while not (written := tmp_path / "child").exists() or not written.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child = int(written.read_text())
    parent.kill()
    parent.wait()
    (tmp_path / "go").touch()
    while is_alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)
