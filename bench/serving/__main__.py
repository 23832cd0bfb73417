"""Slipway's runtime, its neighbours and two bare programs, all on one model in one run.

Each server is pinned to one core and the load to another, on 127.0.0.1. In each round every server is started, measured
in every cell and stopped, so that what else the machine does falls on all of them; a cell is its round with the least
processor time for a request.

    .venv/bin/python -m bench.serving [--quick] [--only NAME ...] [--rounds 3] [--seconds 3] [--draw docs/images]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.serving import load
from bench.serving.draw import draw
from bench.serving.environments import DEFAULT_FOLDER, UnavailableError, environment
from bench.serving.report import markdown
from bench.serving.results import CONNECTIONS, EVEN, PACED, RANDOM, WORKLOADS, Results, Row, cell, paced_cell
from bench.serving.running import Running, alone, cores, free_ports
from bench.serving.server import LOCKS, ROOT, Place, Server
from bench.serving.servers import azureml, bare, bentoml, litserve, mlflow, mlserver, slipway

if TYPE_CHECKING:
    from collections.abc import Sequence

SERVERS: list[Server] = [
    *slipway.SERVERS,
    *bare.SERVERS,
    *azureml.SERVERS,
    *mlserver.SERVERS,
    *litserve.SERVERS,
    *bentoml.SERVERS,
    *mlflow.SERVERS,
]
_RESULTS = ROOT / "bench/results/serving.json"
_PACED_SHARE, _PACED_REQUESTS = 0.7, 600
_ALONE = """import json, os, joblib, numpy
model = joblib.load(os.environ["BENCH_MODEL"])
print(model.predict(numpy.asarray(json.loads(os.environ["BENCH_ROWS"]))).tolist())
"""


class Bench:
    """One run."""

    def __init__(self, folder: Path, environments: Path, *, seconds: float, paced: bool) -> None:
        """Prepare what all servers share: the models, the requests' rows and a copy of the runtime.

        Args:
            folder: For everything that is written.
            environments: Where virtual environments are kept.
            seconds: How long each cell is measured.
            paced: Whether to measure at a part of the highest rate too.
        """
        self._folder = folder
        self._environments = environments
        self._seconds = seconds
        self._paced = paced
        self.python = environment("slipway", slipway.SERVERS[0].locks, environments) / "python"
        # A copy, as an image has one: what is edited meanwhile does not come into it.
        shutil.copytree(ROOT / "scoring", folder / "runtime/scoring", ignore=shutil.ignore_patterns("__pycache__"))
        subprocess.run([self.python, "-m", "compileall", "-q", folder / "runtime"], check=True)
        subprocess.run([self.python, LOCKS.parent / "train.py", folder], check=True)
        self._rows: list[list[float]] = json.loads((folder / "rows.json").read_text())

    def measure(self, server: Server, row: Row) -> None:
        """Start a server with each model and measure it.

        Raises:
            UnavailableError: It cannot take part.
        """
        binaries = environment(server.environment, server.locks, self._environments)
        if server.package is not None and not row.version:
            row.version = _version(binaries, server.package)
        for model in dict.fromkeys(model for model, _ in WORKLOADS):
            workloads = [workload for workload in WORKLOADS if workload[0] == model]
            own = self._folder / f"{server.name.replace(' ', '-')}-{model}"
            own.mkdir(exist_ok=True)
            place = Place(own, binaries, self._folder / model / "model.joblib", free_ports())
            expected = json.loads((self._folder / model / "expected.json").read_text())
            with Running(server, place, server.start(place), self._rows, expected) as running:
                if model == WORKLOADS[0][0]:
                    row.cold.append(running.cold_seconds)
                for workload in workloads:
                    self._cells(server, row, workload, running)
                if model == WORKLOADS[0][0]:
                    row.memory.append(running.memory())

    def alone(self) -> float:
        """Return the seconds that a program takes that loads the model, answers once and ends."""
        env = {"BENCH_MODEL": str(self._folder / "logistic/model.joblib"), "BENCH_ROWS": json.dumps(self._rows)}
        return alone([self.python, "-c", _ALONE], env)

    def _cells(self, server: Server, row: Row, workload: tuple[str, int], running: Running) -> None:
        model, rows = workload
        body = self._folder / f"{server.name.replace(' ', '-')}-{rows}.json"
        body.write_bytes(server.body(self._rows[:rows]))
        load.saturate(running.port, server.path, body, CONNECTIONS[1], 1, self._folder)
        highest = 0.0
        for connections in CONNECTIONS:
            before = running.processor_seconds()
            figures = load.saturate(running.port, server.path, body, connections, self._seconds, self._folder)
            used = running.processor_seconds() - before
            answered = max(1.0, figures.rate * self._seconds)
            row.add(cell(model, rows, connections), replace(figures, processor=used / answered * 1e6))
            highest = max(highest, figures.rate)
        if self._paced and workload in PACED:
            # Until what 64 connections have left behind unanswered is worked off.
            load.saturate(running.port, server.path, body, CONNECTIONS[0], 1, self._folder)
            for name in (EVEN, RANDOM):
                rate, at_random = _PACED_SHARE * highest, name == RANDOM
                # The 99th percentile is of at least some hundred requests.
                seconds = max(self._seconds, _PACED_REQUESTS / rate)
                figures = load.paced(running.port, server.path, body, rate, seconds, at_random=at_random)
                row.add(paced_cell(model, name), figures)


def _version(binaries: Path, package: str) -> str:
    program = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
    done = subprocess.run([binaries / "python", "-c", program, package], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _chosen(names: Sequence[str]) -> list[Server]:
    chosen = [server for server in SERVERS if not names or any(name.lower() in server.name.lower() for name in names)]
    if not chosen:
        raise SystemExit(f"--only: no server is called so; there are: {'; '.join(server.name for server in SERVERS)}")
    return chosen


def _about(rounds: int, seconds: float) -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return (
        f"{processor}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}; "
        f"the best of {rounds} rounds of {seconds:g} s, servers on core {cores()[0]}, load on core {cores()[1]}; "
        f"load average at the start {os.getloadavg()[0]:.2f}."
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="servers whose name has this in it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of each cell")
    parser.add_argument("--quick", action="store_true", help="one round of one second: to see that everything works")
    parser.add_argument("--environments", type=Path, default=DEFAULT_FOLDER, help="where they are kept (%(default)s)")
    parser.add_argument("--draw", type=Path, metavar="FOLDER", help="write the pictures there")
    parser.add_argument("--again", action="store_true", help="print and draw the last run instead of measuring")
    options = parser.parse_args()
    # An end from outside stops the server under test too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if options.again:
        results = Results.read(_RESULTS)
    else:
        load.check()
        rounds, seconds = (1, 1) if options.quick else (options.rounds, options.seconds)
        with tempfile.TemporaryDirectory(prefix="slipway-bench-") as temporary:
            results = _measure(Path(temporary), options.environments, _chosen(options.only), rounds, seconds)
        results.write(_RESULTS)
    print(markdown(results))
    if options.draw is not None:
        for path in draw(results, options.draw):
            print(f"wrote {path}", file=sys.stderr)


def _measure(folder: Path, environments: Path, servers: Sequence[Server], rounds: int, seconds: int) -> Results:
    results = Results([Row(one.name, one.kind, one.batches) for one in servers], [], _about(rounds, seconds))
    bench = Bench(folder, environments, seconds=seconds, paced=True)
    for number in range(rounds):
        for server, row in zip(servers, results.rows, strict=True):
            if row.problem:
                continue
            print(f"round {number + 1}: {server.name}", file=sys.stderr, flush=True)
            if row.kind == "ours":
                # Beside the start that it is compared with: both suffer alike from what else the machine does.
                results.alone.append(bench.alone())
            try:
                bench.measure(server, row)
            except UnavailableError as error:
                row.problem = str(error)
            except Exception as error:  # noqa: BLE001 - one server's trouble must not stop the others
                traceback.print_exc()
                row.problem = f"{type(error).__name__}: {error}"
            if row.problem:
                print(f"{server.name}: {row.problem}", file=sys.stderr, flush=True)
    return results


if __name__ == "__main__":
    main()
