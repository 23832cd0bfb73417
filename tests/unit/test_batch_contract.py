"""Batch scripts as Azure ML's documentation has them, and scripts of web services, over files and rows."""

import json
import signal
import time

import pytest

from tests.unit.batch_harness import DOUBLE, PATIENCE, errors, progress, put, put_rows, results, run, start

# From "Author scoring scripts for batch deployments" of Azure ML's documentation, the model replaced by arithmetic.
AZURE_FILES = """
import os
import glob
import pandas as pd
from typing import List, Any

def init():
    global model
    model_path = os.environ["AZUREML_MODEL_DIR"]
    model_file = glob.glob(f"{model_path}/*.txt")[-1]
    model = int(open(model_file).read())

def run(mini_batch: List[str]):
    results = []
    for file in mini_batch:
        data = pd.read_csv(file)
        data["prediction"] = data["x"] * model
        data["file"] = os.path.basename(file)
        results.append(data)
    return pd.concat(results)
"""
AZURE_LIST = """
import argparse
import os
import sys

def init():
    global logger, args
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--limit", type=int, default=0)
    args, _ = parser.parse_known_args()

def run(mini_batch):
    print(f"run method start: {__file__}, run({len(mini_batch)} files)")
    resultList = []
    for image in mini_batch:
        size = len(open(image, "rb").read())
        if size > args.limit:
            resultList.append("{}: {}".format(os.path.basename(image), size))
    return resultList
"""
AZURE_OWN_OUTPUT = """
import os
from pathlib import Path
import pandas as pd

def init():
    global output_path
    output_path = os.environ["AZUREML_BI_OUTPUT_PATH"]

def run(mini_batch):
    for file_path in mini_batch:
        data = pd.read_csv(file_path)
        data["twice"] = data["x"] * 2
        data.to_parquet(Path(output_path) / (Path(file_path).stem + ".parquet"))
    return mini_batch
"""


def test_a_script_over_files_returns_a_data_frame_of_rows(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.txt").write_text("3")
    for number in range(25):
        put(tmp_path, f"{number:02}.csv", f"x\n{number}\n{number + 100}\n")
    run(tmp_path, AZURE_FILES, variables={"AZUREML_MODEL_DIR": str(tmp_path / "model")})
    rows = results(tmp_path)
    assert [(row["file"], row["prediction"]) for row in rows] == [
        (f"{number:02}.csv", 3 * x) for number in range(25) for x in (number, number + 100)
    ]


def test_a_script_over_files_returns_a_list_and_reads_its_arguments(tmp_path):
    for number in range(23):
        put(tmp_path, f"images/{number:02}.png", b"x" * (number + 1))
    log = run(tmp_path, AZURE_LIST, arguments=["--limit", "-1", "--unknown", "1"], format="csv")
    assert [row["prediction"] for row in results(tmp_path)] == [
        f"{number:02}.png: {number + 1}" for number in range(23)
    ]
    assert [log.count(f"run({size} files)") for size in (10, 3)] == [2, 1]


def test_fewer_results_than_files_are_failures(tmp_path):
    for number in range(10):
        put(tmp_path, f"{number}.png", b"x" * number)
    run(tmp_path, AZURE_LIST, arguments=["--limit", "3"])
    assert len(results(tmp_path)) == 6
    assert progress(tmp_path)["failed"] == 4
    assert "6 results for 10" in errors(tmp_path)[0]["reason"]


def test_summary_only_leaves_the_output_to_the_script(tmp_path):
    for number in range(3):
        put(tmp_path, f"{number}.csv", f"x\n{number}\n")
    run(tmp_path, AZURE_OWN_OUTPUT, output_action="summary_only")
    assert results(tmp_path) == []
    assert sorted(path.name for path in (tmp_path / "out" / "written").iterdir()) == [f"{n}.parquet" for n in range(3)]
    assert progress(tmp_path)["items"] == 3


@pytest.mark.parametrize(
    ("given", "allowed", "code"), [(-1, "any", 0), (3, "as many as fail", 0), (2, "fewer than fail", 1)]
)
def test_the_error_threshold_is_that_of_azure(tmp_path, given, allowed, code):
    put_rows(tmp_path, "a.jsonl", [{"x": number} for number in range(40)])
    script = """
        def init(): pass
        def run(mini_batch: "pd.DataFrame"):
            if (mini_batch["x"] % 15 == 1).any():
                raise ValueError("one too many")
            return list(mini_batch["x"])
    """
    log = run(tmp_path, script, expect=code, error_threshold=given, mini_batch_size=8)
    if code:
        assert "3 items failed, more than the 2 of --error-threshold" in log
        assert progress(tmp_path)["state"] == "failed"
        return
    assert [row["prediction"] for row in results(tmp_path)] == [n for n in range(40) if n % 15 != 1]
    assert [(row["row"], row["content"]) for row in errors(tmp_path)] == [(n, {"x": n}) for n in (1, 16, 31)]
    assert "ValueError: one too many (score.py, line 5)" in errors(tmp_path)[0]["reason"]


def test_what_was_too_much_is_told_though_its_part_is_not_finished(tmp_path):
    put_rows(tmp_path, "a.jsonl", [{"x": number} for number in range(400)])
    script = """
        import time
        def init(): pass
        def run(mini_batch: "pd.DataFrame"):
            time.sleep(0.02)
            if (mini_batch["x"] % 15 == 1).any():
                raise ValueError("one too many")
            return list(mini_batch["x"])
    """
    run(tmp_path, script, expect=1, error_threshold=2, mini_batch_size=8, max_retries=0)
    assert results(tmp_path) == []
    assert [row["row"] for row in errors(tmp_path)][:3] == [1, 16, 31]
    run(tmp_path, script.replace("% 15", "% 500"), error_threshold=2, mini_batch_size=8)
    assert [row["row"] for row in errors(tmp_path)] == [1]


def test_the_threshold_counts_what_failed_before_a_resume(tmp_path):
    put(tmp_path, "a.jsonl", '{"x": 1}\nno\n')
    run(tmp_path, error_threshold=1)
    assert "failed" in run(tmp_path, expect=1, error_threshold=0)


def test_what_fails_now_and_then_is_tried_again(tmp_path):
    put_rows(tmp_path, "a.jsonl", [{"x": number} for number in range(10)])
    script = """
        import collections
        seen = collections.Counter()
        def init(): pass
        def run(mini_batch: "pd.DataFrame"):
            seen[len(mini_batch)] += 1
            if seen[len(mini_batch)] <= 2:
                raise OSError("busy")
            return list(mini_batch["x"])
    """
    run(tmp_path, script, error_threshold=0, mini_batch_size=10)
    assert [row["prediction"] for row in results(tmp_path)] == list(range(10))


def test_a_call_that_takes_too_long_fails_alone(tmp_path):
    put_rows(tmp_path, "a.jsonl", [{"x": number} for number in range(6)])
    script = """
        import time
        def init(): pass
        def run(mini_batch: "pd.DataFrame"):
            while (mini_batch["x"] == 3).any():
                time.sleep(0.01)
            return list(mini_batch["x"])
    """
    run(tmp_path, script, mini_batch_size=2, timeout=2, max_retries=1)
    assert [row["prediction"] for row in results(tmp_path)] == [0, 1, 4, 5]
    assert {row["reason"] for row in errors(tmp_path)} == {"run() took longer than 2 s (--timeout)"}


def test_a_process_that_dies_is_replaced_and_only_the_rows_that_end_it_fail(tmp_path):
    put_rows(tmp_path, "a.jsonl", [{"x": number} for number in range(6)])
    put_rows(tmp_path, "b.jsonl", [{"x": number} for number in range(10, 16)])
    script = """
        import os, signal
        def init(): pass
        def run(mini_batch: "pd.DataFrame"):
            if (mini_batch["x"] == 3).any():
                os.kill(os.getpid(), signal.SIGKILL)
            return list(mini_batch["x"])
    """
    run(tmp_path, script, mini_batch_size=2, max_retries=1, processes=2)
    assert [row["prediction"] for row in results(tmp_path)] == [0, 1, 4, 5, *range(10, 16)]
    assert [(row["content"]["x"], row["reason"]) for row in errors(tmp_path)] == [
        (number, "a process was ended by signal 9") for number in (2, 3)
    ]


def test_shutdown_is_called_once_in_each_process(tmp_path):
    for number in range(8):
        put_rows(tmp_path, f"{number}.jsonl", [{"x": 1}])
    script = DOUBLE + "import time\ndef shutdown():\n    print('all over')\n"
    script = script.replace("    return", "    time.sleep(0.3)\n    return")
    assert run(tmp_path, script, processes=2).count("all over") == 2


def test_a_script_that_cannot_be_loaded_ends_the_job_with_its_traceback(tmp_path):
    put_rows(tmp_path, "a.jsonl", [{"x": 1}])
    log = run(tmp_path, "def init():\n    raise RuntimeError('no weights')\ndef run(mini_batch): pass\n", expect=3)
    assert "RuntimeError: no weights" in log
    assert not results(tmp_path)


WEB = """
import json
def init(): pass
def run(data):
    rows = json.loads(data)["data"]
    if any(row[0] == 7 for row in rows):
        raise ValueError("no sevens")
    return {"predictions": [{"sum": sum(row)} for row in rows]}
"""


def test_a_web_services_script_gets_rows_in_the_shape_of_its_sample(tmp_path):
    put_rows(tmp_path, "a.csv", [{"id": number, "x": number, "y": 0.5} for number in range(20)])
    (tmp_path / "sample.json").write_text('{"data": [[1, 0.5]]}')
    variables = {"SLIPWAY_SAMPLE": str(tmp_path / "sample.json")}
    run(tmp_path, WEB, variables=variables, columns="x,y", keep="id")
    assert results(tmp_path) == [{"id": number, "sum": number + 0.5} for number in range(20) if number != 7]
    assert [row["content"]["id"] for row in errors(tmp_path)] == [7]


def test_a_web_services_script_may_get_one_row_at_a_time(tmp_path):
    put_rows(tmp_path, "a.jsonl", [{"x": number} for number in range(5)])
    script = "import json\ndef init(): pass\ndef run(data):\n    return {'y': json.loads(data)['row']['x'] + 1}\n"
    run(tmp_path, script, body='{"row": "$row"}', format="jsonl")
    assert results(tmp_path) == [{"y": number + 1} for number in range(5)]


def test_decorated_scripts_are_web_services(tmp_path):
    put_rows(tmp_path, "a.parquet", [{"x": number, "y": 1.0} for number in range(50)])
    script = """
        import pandas as pd
        from inference_schema.schema_decorators import input_schema
        from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
        from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
        def init(): pass
        sample = PandasParameterType(pd.DataFrame({"x": [1], "y": [1.0]}))
        @input_schema("Inputs", StandardPythonParameterType({"data": sample}))
        @input_schema("GlobalParameters", StandardPythonParameterType(1.0))
        def run(Inputs, GlobalParameters):
            data = Inputs["data"]
            return {"Results": (data["x"] + data["y"] * GlobalParameters).tolist()}
    """
    (tmp_path / "sample.json").write_text('{"Inputs": {"data": [{"x": 1, "y": 1.0}]}, "GlobalParameters": 2.0}')
    run(tmp_path, script, variables={"SLIPWAY_SAMPLE": str(tmp_path / "sample.json")})
    assert [row["Results"] for row in results(tmp_path)] == [number + 2.0 for number in range(50)]


def test_a_batched_script_gets_many_rows_at_once_and_the_bad_one_fails_alone(tmp_path):
    put_rows(tmp_path, "a.jsonl", [{"x": number} for number in range(30)])
    script = """
        from slipway import batched, decoded
        def init(): pass
        @batched(max_size=16)
        @decoded
        def run(requests):
            print("calls", len(requests))
            return [ValueError("bad") if request["x"] == 11 else {"y": request["x"]} for request in requests]
    """
    log = run(tmp_path, script)
    assert "calls 16" in log
    assert [row["y"] for row in results(tmp_path)] == [number for number in range(30) if number != 11]
    assert len(errors(tmp_path)) == 1


def test_a_web_services_script_takes_files_as_bodies(tmp_path):
    for number in range(3):
        put(tmp_path, f"{number}.txt", "x" * number)
    run(tmp_path, "def init(): pass\ndef run(data):\n    return {'length': len(data)}\n", keep="file")
    assert [(row["file"][-5:], row["length"]) for row in results(tmp_path)] == [(f"{n}.txt", n) for n in range(3)]


def test_sigterm_stops_after_the_call_under_way_and_the_next_run_goes_on(tmp_path):
    for number in range(6):
        put_rows(tmp_path, f"{number}.jsonl", [{"x": 10 * number + k} for k in range(10)])
    script = """
        import os, pathlib, time
        go = pathlib.Path(os.environ["AML_APP_ROOT"], "go")
        def init(): pass
        def run(mini_batch: "pd.DataFrame"):
            while mini_batch["x"][0] == 20 and not go.exists():
                go.with_name("held").touch()
                time.sleep(0.01)
            return list(mini_batch["x"])
    """
    process = start(tmp_path, script, mini_batch_size=5)
    deadline = time.monotonic() + PATIENCE
    while not (tmp_path / "app/held").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    for line in process.stdout:
        if "stopping after the calls under way" in line:
            break
    (tmp_path / "app/go").touch()
    log = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 75, log
    assert progress(tmp_path)["state"] == "unfinished"
    some = results(tmp_path)
    assert len(some) % 10 == 0
    assert len(some) < 60
    assert "finished before" in run(tmp_path, None, mini_batch_size=5) or not some
    assert [row["prediction"] for row in results(tmp_path)] == list(range(60))


def test_tasks_share_a_job_without_overlap(tmp_path):
    for number in range(9):
        put_rows(tmp_path, f"{number}.jsonl", [{"x": 100 * number + k} for k in range(number * 5 + 1)])
    for task in range(3):
        # As an Indexed Job of Kubernetes tells it.
        run(tmp_path, of=3, variables={"JOB_COMPLETION_INDEX": str(task)})
    assert [row["twice"] for row in results(tmp_path)] == [
        2 * (100 * number + k) for number in range(9) for k in range(number * 5 + 1)
    ]
    sizes = [progress(tmp_path, task, 3)["bytes"]["of"] for task in range(3)]
    assert max(sizes) - min(sizes) < 600


def test_how_far_a_task_is_can_be_read_while_it_runs(tmp_path):
    for name in "ab":
        put_rows(tmp_path, f"{name}.jsonl", [{"x": 1}])
    script = DOUBLE.replace(
        "def run(mini_batch: pd.DataFrame):",
        """
import os, pathlib, time
calls = 0
def run(mini_batch: pd.DataFrame):
    global calls
    calls += 1
    while calls == 2 and not pathlib.Path(os.environ["AML_APP_ROOT"], "go").exists():
        time.sleep(0.01)""",
    )
    process = start(tmp_path, script, progress_seconds=1, timeout=PATIENCE)
    try:
        told, deadline = {}, time.monotonic() + PATIENCE
        while told.get("parts") != {"done": 1, "of": 2}:
            assert time.monotonic() < deadline, told
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.05)
            if (tmp_path / "out/job/progress/0-of-1.json").exists():
                told = progress(tmp_path)
        assert (told["state"], told["items"]) == ("running", 1)
        (tmp_path / "app/go").touch()
        log, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, log
    finally:
        process.kill()
    assert progress(tmp_path)["state"] == "complete"


def test_what_is_added_to_the_input_later_belongs_to_the_next_job(tmp_path):
    put_rows(tmp_path, "b.jsonl", [{"x": 1}])
    run(tmp_path, of=2, task=0)
    put_rows(tmp_path, "a.jsonl", [{"x": 2}])
    run(tmp_path, of=2, task=1)
    assert results(tmp_path) == [{"twice": 2}]


def test_all_mistakes_are_in_one_message(tmp_path):
    log = run(tmp_path, expect=2, format="xml", task=5, of=2, bogus=1, timeout="soon", types="[]", output="")
    for part in ("FORMAT is 'xml'", "TASK is '5'", "--bogus", "TIMEOUT is 'soon'", "TYPES has to be", "OUTPUT"):
        assert part in log
    assert "Traceback" not in log


def test_an_input_without_files_and_a_credential_in_a_url_are_refused(tmp_path):
    assert "has no files" in run(tmp_path, expect=2)
    log = run(tmp_path, expect=2, input="https://account.blob.core.windows.net/c?sv=1&sig=hidden")
    assert "credential" in log
    assert "hidden" not in log


def test_an_output_of_another_job_is_refused(tmp_path):
    put_rows(tmp_path, "a.jsonl", [{"x": 1}])
    run(tmp_path)
    assert "other settings (format)" in run(tmp_path, expect=2, format="csv")


def test_a_shared_model_is_loaded_once(tmp_path):
    put_rows(tmp_path, "a.jsonl", [{"x": 1}])
    script = DOUBLE.replace("pass", "print('loaded')")
    assert run(tmp_path, script, processes=3, variables={"WORKER_PRELOAD": "true"}).count("loaded") == 1
    assert json.loads((tmp_path / "out" / "job" / "plan.json").read_text())["version"] == 1
