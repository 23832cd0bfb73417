"""Rows a second of a batch job, against the bare loop, against a request for each row; and its memory.

    .venv/bin/python bench/batch_rows.py [--rows 4000000] [--rounds 3]

The bare loop reads Parquet, predicts and writes Parquet with pyarrow and the model, vectorized. Both are timed without
the start of Python and the loading of the model. Rounds alternate; ratios are of medians.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
SIZE = 65536
SCRIPT = """
import os
import joblib
import pandas as pd
def init():
    global model
    model = joblib.load(os.environ["AZUREML_MODEL_DIR"] + "/model.joblib")
def run(mini_batch: pd.DataFrame):
    return model.predict(mini_batch.to_numpy())
"""
WEB = """
import json
import os
import joblib
def init():
    global model
    model = joblib.load(os.environ["AZUREML_MODEL_DIR"] + "/model.joblib")
def run(data):
    return model.predict(json.loads(data)["data"])
"""
BARE = """
import sys, time
import joblib, pyarrow as pa, pyarrow.parquet as pq
import pandas, sklearn.linear_model, sklearn.ensemble
model = joblib.load(sys.argv[1])
pa.set_cpu_count(int(sys.argv[4]))
started = time.perf_counter()
source = pq.ParquetFile(sys.argv[2])
rows = 0
with pq.ParquetWriter(sys.argv[3], pa.schema([("prediction", pa.int64())])) as out:
    for batch in source.iter_batches(batch_size=65536):
        out.write_table(pa.table({"prediction": model.predict(batch.to_pandas().to_numpy())}))
        rows += batch.num_rows
print(rows / (time.perf_counter() - started))
"""
PEAK = """
import sys, resource, subprocess
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def environment(folder: Path, script: str) -> dict[str, str]:
    (folder / "score.py").write_text(script)
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    ours = {"AML_APP_ROOT": str(folder), "AZUREML_ENTRY_SCRIPT": "score.py", "AZUREML_MODEL_DIR": str(folder)}
    return {**os.environ, **one, **ours, "PYTHONPATH": str(ROOT), "SLIPWAY_LOG": "text"}


def write_rows(path: Path, rows: int, group: int = SIZE) -> None:
    data = load_breast_cancer().data
    schema = pa.schema([(f"f{number}", pa.float64()) for number in range(data.shape[1])])
    random = np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, schema) as out:
        for start in range(0, rows, group):
            chosen = data[random.integers(0, len(data), min(group, rows - start))]
            chosen = chosen * random.uniform(0.9, 1.1, chosen.shape)
            out.write_table(pa.Table.from_arrays([pa.array(column) for column in chosen.T], schema=schema))


def batch_command(source: Path, out: Path, processes: int) -> list[str]:
    options = ["--input", str(source), "--output", str(out), "--processes", str(processes)]
    sizes = ["--mini-batch-size", str(SIZE), "--block-bytes", str(64 << 20), "--part-bytes", str(8 << 20)]
    return [sys.executable, "-m", "scoring", "batch", *options, *sizes, "--timeout", "600"]


def batch_rate(folder: Path, source: Path, processes: int, round_: int) -> float:
    out = folder / f"out-{processes}-{round_}-{time.monotonic_ns()}"
    command = batch_command(source, out, processes)
    subprocess.run(command, env=environment(folder, SCRIPT), check=True, stdout=subprocess.DEVNULL)
    told = json.loads((out / "job" / "progress" / "0-of-1.json").read_text())
    assert told["failed"] == 0
    return float(told["items_per_second"])


def bare_rate(folder: Path, source: Path, threads: int) -> float:
    command = [sys.executable, "-c", BARE, str(folder / "model.joblib"), str(source), str(folder / "bare.parquet")]
    run = subprocess.run(
        [*command, str(threads)], env=environment(folder, SCRIPT), check=True, capture_output=True, text=True
    )
    return float(run.stdout)


def request_rate(folder: Path, requests: int) -> float:
    """One connection, one row a request."""
    variables = {**environment(folder, WEB), "SERVER_PORT": "0", "SLIPWAY_HOST": "127.0.0.1"}
    command = [sys.executable, "-m", "scoring", "serve"]
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        line = next(line for line in server.stdout if "starting:" in line)
        client = http.client.HTTPConnection("127.0.0.1", int(line.rpartition(":")[2]))
        body = json.dumps({"data": load_breast_cancer().data[:1].tolist()})
        while True:
            client.request("GET", "/ready")
            answer = client.getresponse()
            answer.read()
            if answer.status == 200:
                break
            time.sleep(0.1)
        started = time.perf_counter()
        for _ in range(requests):
            client.request("POST", "/score", body)
            answer = client.getresponse()
            answer.read()
            assert answer.status == 200
        rate = requests / (time.perf_counter() - started)
        server.terminate()
        # To its end: it logs what it does.
        server.communicate()
    return rate


def peak_mebibytes(folder: Path, source: Path, name: str) -> float:
    command = batch_command(source, folder / f"peak-{name}", 1)
    run = subprocess.run(
        [sys.executable, "-c", PEAK, *command],
        env=environment(folder, SCRIPT),
        check=True,
        capture_output=True,
        text=True,
    )
    return int(run.stdout) / 1024


def trained() -> Iterator[tuple[str, Any]]:
    """Yield the models that rows are scored with, by name."""
    data = load_breast_cancer()
    yield "logistic", LogisticRegression(max_iter=10_000).fit(data.data, data.target)
    yield "forest", RandomForestClassifier(20, random_state=0).fit(data.data, data.target)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    for name, model in trained():
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            joblib.dump(model, folder / "model.joblib")
            source = folder / "in" / "rows.parquet"
            write_rows(source, given.rows)
            rates: dict[str, list[float]] = {"bare loop": [], "batch, 1 process": [], "batch, 2 processes": []}
            for round_ in range(given.rounds):
                rates["bare loop"].append(bare_rate(folder, source, os.cpu_count() or 1))
                rates["batch, 1 process"].append(batch_rate(folder, source, 1, round_))
                rates["batch, 2 processes"].append(batch_rate(folder, source, 2, round_))
            rates["a request for each row"] = [request_rate(folder, 2000)]
            middle = statistics.median(rates["bare loop"])
            print(f"\n{name}, {given.rows} rows of 30 numbers, Parquet to Parquet\n")
            print("| | rows/s | min | max | ratio |\n|---|---|---|---|---|")
            for what, found in rates.items():
                median = statistics.median(found)
                print(f"| {what} | {median:,.0f} | {min(found):,.0f} | {max(found):,.0f} | {median / middle:.4g} |")
            if name == "logistic":
                print("\n| input, rows | MiB of Parquet | peak of the largest process, MiB |\n|---|---|---|")
                for times in (1, 10, 100):
                    path = folder / f"{times}" / "rows.parquet"
                    write_rows(path, 10_000 * times, 10_000)
                    peak = peak_mebibytes(folder, path, str(times))
                    print(f"| {10_000 * times} | {path.stat().st_size / 2**20:.0f} | {peak:.0f} |")


if __name__ == "__main__":
    main()
