"""Batch jobs from Azure Files to Azure Files: killed, on a storage that fails now and then, by an identity."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from standins.azure_files.access import CONTRIBUTOR, READER
from tests.system.azurite import Flaky
from tests.unit.azure_files_harness import share, share_for_identities
from tests.unit.batch_harness import DOUBLE, errors, put, run, run_killed_until_complete, run_until_complete

LAYOUT = {"part_bytes": 3000, "block_bytes": 1024, "mini_batch_size": 50, "keep": "x"}


@pytest.fixture
def served():
    with share() as found:
        yield found


def places(served):
    return {"input": f"{served.url}/in/**/*.*", "output": f"{served.url}/out"}


def put_inputs(served, days=4):
    for number in range(days):
        rows = range(500 * number, 500 * (number + 1))
        served.put(f"in/Tag={number}/Größe a.csv", b"x\n" + b"".join(b"%d\n" % n for n in rows))
    end = 500 * days
    served.put("in/b.jsonl", b"".join(b'{"x": %d}\n' % n for n in range(end, end + 500)))
    out = io.BytesIO()
    pq.write_table(pa.table({"x": list(range(end + 500, end + 1000))}), out, row_group_size=100)
    served.put("in/c.parquet", out.getvalue())
    served.put("in/_SUCCESS", b"")
    return range(end + 1000)


def has_all(served, numbers):
    contents = [content for name, content in served.files("out/predictions").items() if not name.endswith(".partial")]
    rows = [row for content in contents for row in pq.read_table(io.BytesIO(content)).to_pylist()]
    return sorted((row["x"], row["twice"]) for row in rows) == [(n, 2 * n) for n in numbers]


def test_a_job_reads_and_writes_a_share(tmp_path, served):
    numbers = put_inputs(served)
    # More parts than connections.
    layout = {**LAYOUT, "part_bytes": 1024}
    log = run(tmp_path, variables=served.variables, processes=2, **places(served), **layout)
    assert has_all(served, numbers)
    assert any(name.startswith("Tag=3/Größe a.csv.") for name in served.files("out/predictions"))
    assert json.loads(served.files("out/job/progress")["0-of-1.json"])["state"] == "complete"
    before = served.files("out/predictions")
    log += run(tmp_path, variables=served.variables, **places(served), **layout)
    assert "finished before" in log
    assert "WARNING" not in log.upper()
    assert served.files("out/predictions") == before
    assert not [name for name in served.files() if name.endswith(".partial")]


def test_files_are_brought_to_the_script_and_its_own_output_taken_away(tmp_path, served):
    for number in range(25):
        served.put(f"in/images/{number:02}.png", b"x" * number)
    script = """
        import os
        from pathlib import Path
        def init(): pass
        def run(mini_batch):
            for path in map(Path, mini_batch):
                own = Path(os.environ["AZUREML_BI_OUTPUT_PATH"]) / f"{path.stem}.txt"
                own.write_text(str(len(path.read_bytes())))
            return [Path(path).name for path in mini_batch]
    """
    run(tmp_path, script, variables=served.variables, format="jsonl", **places(served))
    lines = [json.loads(line) for one in served.files("out/predictions").values() for line in one.splitlines()]
    assert sorted(row["prediction"] for row in lines) == [f"{n:02}.png" for n in range(25)]
    assert served.files("out/written") == {f"{n:02}.txt": str(n).encode() for n in range(25)}


def test_what_a_script_writes_under_names_that_a_share_has_not_is_there_by_others(tmp_path, served):
    served.put("in/a.csv", b"x\n1\n")
    script = """
        import os
        from pathlib import Path
        def init(): pass
        def run(mini_batch):
            for name in ("12:30.txt", "a?.txt", "b/c|d.txt"):
                own = Path(os.environ["AZUREML_BI_OUTPUT_PATH"]) / name
                own.parent.mkdir(exist_ok=True)
                own.write_text(name)
            return mini_batch
    """
    run(tmp_path, script, variables=served.variables, **places(served))
    written = {"12%3A30.txt": b"12:30.txt", "a%3F.txt": b"a?.txt", "b/c%7Cd.txt": b"b/c|d.txt"}
    assert served.files("out/written") == written


@pytest.mark.parametrize("failing", ["lists/all", "in/a.csv", "out/job/done"])
def test_a_read_before_the_first_part_that_gets_no_answer_leaves_the_job_unfinished(
    tmp_path, monkeypatch, served, failing
):
    served.put("in/a.csv", b"x\n1\n")
    served.put("lists/all", b"azfiles://data/in\n")
    options = {"variables": served.variables, "input": "@azfiles://data/lists/all", "output": f"{served.url}/out"}
    if failing == "out/job/done":
        run(tmp_path, **options)
    answered = served.server.operations.get_file

    def get_file(request):
        if request.path.startswith(failing):
            raise ConnectionResetError
        return answered(request)

    with monkeypatch.context() as while_it_fails:
        while_it_fails.setattr(served.server.operations, "get_file", get_file)
        log = run(tmp_path, expect=75, **options)
    assert f"{failing.removeprefix('out/')}" in log
    assert "cannot be read: ServiceResponseError" in log
    assert "Traceback" not in log
    run(tmp_path, **options)
    assert json.loads(served.files("out/job/progress")["0-of-1.json"])["state"] == "complete"


@pytest.mark.parametrize("call", ["rows", "files"])
def test_a_job_that_goes_on_without_what_leads_to_its_input_ends_for_good(tmp_path, served, call):
    for name in "ab":
        served.put(f"in/{name}.csv", b"x\n1\n")
    script = DOUBLE if call == "rows" else "def init(): pass\ndef run(mini_batch): return mini_batch\n"
    options = {"input": f"{served.url}/in", "of": 2, "mini_batch_size": 1}
    run(tmp_path, script, variables=served.variables, task=0, **options)
    log = run(tmp_path, script, expect=1, task=1, **options)
    assert log.count("it names no account; write azfiles://SHARE@ACCOUNT/PATH") == 1
    assert "Traceback" not in log
    assert errors(tmp_path) == []


@pytest.mark.parametrize("mode", ["refuse", "cut", "down"])
@pytest.mark.parametrize("method", [b"PUT", b"GET"])
def test_a_share_that_fails_now_and_then_gets_an_exact_result(tmp_path, served, mode, method):
    numbers = put_inputs(served, days=1)
    port = served.server.server_address[1]
    proxy = Flaky(port)
    proxy.methods = {method}
    proxy.mode = mode
    string = served.server.connection_string.replace(f":{port}/", f":{proxy.port}/")
    options = {**LAYOUT, "part_bytes": 6000}
    run_until_complete(tmp_path, {"AZURE_STORAGE_CONNECTION_STRING": string}, **places(served), **options)
    proxy.close()
    assert proxy.failed
    assert has_all(served, numbers)
    assert served.files("out/errors") == {}


def test_tasks_that_are_killed_again_and_again_leave_an_exact_result(tmp_path, served):
    numbers = put_inputs(served)
    run_killed_until_complete(tmp_path, served.variables, **places(served), **LAYOUT)
    assert has_all(served, numbers)
    done = [name for name in served.files("out/job/done") if not name.endswith(".partial")]
    assert len(done) == len(json.loads(served.files("out/job")["plan.json"])["parts"])


def test_a_job_reads_and_writes_as_an_identity(tmp_path):
    with share_for_identities(tmp_path / "identity", CONTRIBUTOR) as served:
        numbers = put_inputs(served)
        run(tmp_path, variables=served.variables, processes=2, **places(served), **LAYOUT)
        assert has_all(served, numbers)


def test_a_job_that_may_not_write_says_which_role_it_lacks(tmp_path):
    with share_for_identities(tmp_path / "identity", READER) as served:
        put_inputs(served)
        log = run(tmp_path, variables=served.variables, expect=2, **places(served), **LAYOUT)
        assert "an identity needs Storage File Data Privileged Contributor on the share" in log
        assert "Traceback" not in log
        assert served.issued[0]["access_token"] not in log


def test_inputs_that_differ_in_capitals_or_have_other_letters_than_a_share_takes_have_results_each(tmp_path, served):
    names = ["a.csv", "A.csv", "12:30?.csv"]
    for number, name in enumerate(names):
        put(tmp_path, name, f"x\n{number}\n")
    run(tmp_path, variables=served.variables, output=f"{served.url}/out", keep="x")
    assert has_all(served, range(3))
    assert any(name.startswith("12%3A30%3F.csv.") for name in served.files("out/predictions"))


@pytest.mark.parametrize("output", ["azfiles://missing/out", "azfiles://Data/out"])
def test_a_share_that_is_not_there_is_told_in_one_line(tmp_path, served, output):
    put(tmp_path, "a.csv", "x\n1\n")
    expect = 75 if "missing" in output else 2
    log = run(tmp_path, variables=served.variables, expect=expect, output=output)
    wrong = "the output azfiles://Data/out cannot be used: it has to be azfiles://SHARE@ACCOUNT/PATH"
    assert ("ShareNotFound" if expect == 75 else wrong) in log
    assert "Traceback" not in log
