"""What a second process of a batch job brings on a second core, beside what it brings the bare loop.

    .venv/bin/python bench/batch_scaling.py [--rows 4000000] [--times 4] [--rounds 3]

One process is held to one core, two have two; the bare loop is run in the same way, each process over its half of the
rows. The input is the same file some times over, by hard links. Rounds alternate.

Other work on the machine takes time from two processes that one does not miss. So beside the time that passed there is
what such work does not change: the processor time of all processes, which shows work that two do and one does not, and
for how long a core that they may use had nothing to do, which shows what one waits for. Of a job, both are of the rows
alone: what a job of a few rows has of it is taken off.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import joblib
from batch_rows import SCRIPT, SIZE, batch_command, environment, trained, write_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

BARE = """
import sys, time
import joblib, pyarrow as pa, pyarrow.parquet as pq
import pandas, sklearn.linear_model, sklearn.ensemble
_, model, given, out, part, of, times = sys.argv
model, part, of = joblib.load(model), int(part), int(of)
pa.set_cpu_count(1)
print("ready", flush=True)
sys.stdin.readline()
started, used = time.monotonic(), time.process_time()
with pq.ParquetWriter(out, pa.schema([("prediction", pa.int64())])) as out:
    for _ in range(int(times)):
        source = pq.ParquetFile(given)
        groups = list(range(source.num_row_groups))[part::of]
        for batch in source.iter_batches(batch_size=65536, row_groups=groups, use_threads=False):
            out.write_table(pa.table({"prediction": model.predict(batch.to_pandas().to_numpy())}))
print(started, time.monotonic(), time.process_time() - used)
"""


@dataclass(frozen=True)
class Took:
    """What some rows took: seconds that passed, those of processors, and those in which the cores had nothing to do."""

    passed: float
    used: float
    idle: float


def _idle(cores: Iterable[int]) -> float:
    """Seconds so far in which nothing ran on some cores."""
    names = {f"cpu{core}" for core in cores}
    found = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    return sum(int(one[4]) + int(one[5]) for one in found if one[0] in names) / os.sysconf("SC_CLK_TCK")


def bare(folder: Path, source: Path, times: int, cores: Iterable[int], processes: int) -> Took:
    """The loop in some processes at once, each begun when all are ready."""
    variables = environment(folder, SCRIPT)
    running = []
    for number in range(processes):
        places = [str(folder / "model.joblib"), str(source), str(folder / f"bare-{number}.parquet")]
        command = [sys.executable, "-c", BARE, *places, str(number), str(processes), str(times)]
        process = subprocess.Popen(_held(command, cores), env=variables, stdin=-1, stdout=-1, text=True)
        running.append(process)
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    idle = _idle(cores)
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    told = [list(map(float, process.communicate()[0].split())) for process in running]
    passed = max(one[1] for one in told) - min(one[0] for one in told)
    return Took(passed, sum(one[2] for one in told), _idle(cores) - idle)


def job(folder: Path, source: Path, cores: Iterable[int], processes: int) -> Took:
    """A job, by what it tells of its rate, and the processor time of all of its processes."""
    out = folder / f"out-{time.monotonic_ns()}"
    command = _held(batch_command(source.parent, out, processes), cores)
    idle = _idle(cores)
    process = subprocess.Popen(command, env=environment(folder, SCRIPT), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    told = json.loads((out / "job" / "progress" / "0-of-1.json").read_text())
    assert told["failed"] == 0
    return Took(told["items"] / told["items_per_second"], usage.ru_utime + usage.ru_stime, _idle(cores) - idle)


def _held(command: list[str], cores: Iterable[int]) -> list[str]:
    return ["taskset", "--cpu-list", ",".join(map(str, cores)), *command]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--times", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    both = sorted(os.sched_getaffinity(0))[:2]
    if len(both) < len("12"):
        parser.error("this machine has one core, on which two processes bring nothing")
    for name, model in trained():
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            joblib.dump(model, folder / "model.joblib")
            source, few = folder / "in" / "rows.parquet", folder / "few" / "rows.parquet"
            write_rows(source, given.rows)
            for number in range(1, given.times):
                (source.parent / f"again-{number}.parquet").hardlink_to(source)
            write_rows(few, SIZE)
            found: dict[str, list[Took]] = {}
            for _ in range(given.rounds):
                for processes in (1, 2):
                    cores = both[:processes]
                    found.setdefault(f"bare loop, {processes}", []).append(
                        bare(folder, source, given.times, cores, processes)
                    )
                    whole, start = (job(folder, which, cores, processes) for which in (source, few))
                    rest = Took(whole.passed, whole.used - start.used, max(0.0, whole.idle - start.idle))
                    found.setdefault(f"job, {processes}", []).append(rest)
            rows = given.rows * given.times
            _show(f"{name}, {rows:,} rows of 30 numbers", rows, found)


def _show(title: str, rows: int, found: dict[str, list[Took]]) -> None:
    print(f"\n{title}\n\n| | rows/s | min | max | of one | processor s | of one | idle s |")
    print("|---|---|---|---|---|---|---|---|")
    for what, all_ in found.items():
        rates = [rows / one.passed for one in all_]
        first = found[f"{what.rpartition(' ')[0]} 1"]
        # Of each round, since what else the machine does changes from one to the next.
        times = statistics.median(one.passed / two.passed for one, two in zip(first, all_, strict=True))
        used = statistics.median(one.used for one in all_)
        idle = statistics.median(one.idle for one in all_)
        more = used / statistics.median(one.used for one in first)
        shown = " | ".join(f"{one:,.0f}" for one in (statistics.median(rates), min(rates), max(rates)))
        print(f"| {what} | {shown} | {times:.2f} | {used:.2f} | {more:.2f} | {idle:.2f} |")


if __name__ == "__main__":
    main()
