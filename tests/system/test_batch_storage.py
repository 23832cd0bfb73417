"""Batch jobs on real blob storage that fails now and then, and on S3's protocol."""

import io
import json
import uuid

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from scoring.batch.places import Places
from tests.system import azurite
from tests.unit.batch_harness import run, run_killed_until_complete, run_until_complete

pytestmark = pytest.mark.system
LAYOUT = {"part_bytes": 3000, "block_bytes": 1024, "mini_batch_size": 50, "keep": "x"}


class Account:
    """A container of the test: the test sees it directly, jobs through the proxy."""

    def __init__(self, storage, proxy):
        self.container = f"batch-{uuid.uuid4().hex}"
        self.files = fsspec.filesystem(
            "abfs", connection_string=storage.connection_string(), skip_instance_cache=True, use_listings_cache=False
        )
        self.files.mkdir(self.container)
        self.variables = {"AZURE_STORAGE_CONNECTION_STRING": storage.connection_string(proxy.port)}
        self.options = {"input": f"abfs://{self.container}/in", "output": f"abfs://{self.container}/out"}

    def put(self, name, content):
        self.files.pipe_file(f"{self.container}/in/{name}", content)

    def read(self, folder):
        self.files.invalidate_cache()
        found = self.files.find(f"{self.container}/out/{folder}")
        return {name.partition(f"/out/{folder}/")[2]: self.files.cat_file(name) for name in sorted(found)}

    def rows(self):
        tables = [pq.read_table(io.BytesIO(content)) for content in self.read("predictions").values()]
        return [row for table in tables for row in table.to_pylist()]

    def has_all(self, numbers):
        return sorted((row["x"], row["twice"]) for row in self.rows()) == [(n, 2 * n) for n in numbers]


@pytest.fixture
def account(storage, proxy):
    return Account(storage, proxy)


def put_inputs(account):
    for number in range(4):
        rows = range(500 * number, 500 * (number + 1))
        account.put(f"day={number}/a.csv", b"x\n" + b"".join(b"%d\n" % n for n in rows))
    account.put("b.jsonl", b"".join(b'{"x": %d}\n' % n for n in range(2000, 2500)))
    out = io.BytesIO()
    pq.write_table(pa.table({"x": list(range(2500, 3000))}), out, row_group_size=100)
    account.put("c.parquet", out.getvalue())
    return range(3000)


def test_a_job_reads_and_writes_blob_storage(tmp_path, account):
    numbers = put_inputs(account)
    run(tmp_path, variables=account.variables, processes=2, **account.options, **LAYOUT)
    assert account.has_all(numbers)
    assert any(name.startswith("day=3/a.csv.") for name in account.read("predictions"))
    assert json.loads(account.read("job/progress")["0-of-1.json"])["state"] == "complete"
    before = account.read("predictions")
    assert "finished before" in run(tmp_path, variables=account.variables, **account.options, **LAYOUT)
    assert account.read("predictions") == before


def test_what_is_found_in_the_account_of_an_address_is_read_there(account, monkeypatch):
    for name, value in account.variables.items():
        monkeypatch.setenv(name, value)
    account.put("day=1/a.csv", b"content")
    places = Places()
    url = f"abfss://{account.container}@devstoreaccount1.dfs.core.windows.net/in"
    [(path, inside, size)] = places.find(f"{url}/**/*.csv")
    assert (path, inside, size) == (f"{url}/day=1/a.csv", "day=1/a.csv", 7)
    with places.open(path) as stream:
        assert stream.read() == b"content"


def test_files_are_brought_to_the_script_and_its_own_output_taken_away(tmp_path, account):
    for number in range(25):
        account.put(f"images/{number:02}.png", b"x" * number)
    script = """
        import os
        from pathlib import Path
        def init(): pass
        def run(mini_batch):
            for path in map(Path, mini_batch):
                own = Path(os.environ["AZUREML_BI_OUTPUT_PATH"]) / f"{path.stem}.txt"
                own.write_text(str(len(path.read_bytes())))
            return [f"{Path(path).name} {len(Path(path).read_bytes())}" for path in mini_batch]
    """
    run(tmp_path, script, variables=account.variables, **account.options)
    assert [row["prediction"] for row in account.rows()] == [f"{n:02}.png {n}" for n in range(25)]
    assert account.read("written") == {f"{n:02}.txt": str(n).encode() for n in range(25)}


@pytest.mark.parametrize("mode", ["refuse", "cut", "down"])
@pytest.mark.parametrize("method", [b"PUT", b"GET"])
def test_a_storage_that_fails_now_and_then_gets_an_exact_result(tmp_path, storage, mode, method):
    proxy = azurite.Flaky(storage.ports["blob"])
    account = Account(storage, proxy)
    numbers = put_inputs(account)
    proxy.methods = {method}
    proxy.mode = mode
    run_until_complete(tmp_path, account.variables, **account.options, **LAYOUT)
    proxy.close()
    assert proxy.failed
    assert account.has_all(numbers)
    assert account.read("errors") == {}


def test_tasks_that_are_preempted_again_and_again_leave_an_exact_result(tmp_path, account):
    numbers = put_inputs(account)
    run_killed_until_complete(tmp_path, account.variables, **account.options, **LAYOUT)
    assert account.has_all(numbers)
    assert len(account.read("job/done")) == len(json.loads(account.read("job")["plan.json"])["parts"])


def test_a_storage_that_is_down_or_has_no_such_container_is_told_in_one_line(tmp_path, account, proxy):
    account.put("a.jsonl", b'{"x": 1}\n')
    proxy.methods = {b"GET", b"PUT", b"HEAD"}
    proxy.mode = "refuse"
    log = run(tmp_path, variables=account.variables, expect=75, **account.options)
    proxy.mode = "pass"
    options = {**account.options, "input": "abfs://no-such-container/in"}
    log += run(tmp_path, variables=account.variables, expect=2, **options)
    assert "Traceback" not in log
    assert "has no files" in log
    key = account.variables["AZURE_STORAGE_CONNECTION_STRING"].partition("AccountKey=")[2].partition(";")[0]
    assert key
    assert key not in log


def test_a_job_reads_and_writes_s3(tmp_path):
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        url = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
        variables = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": url,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        files = fsspec.filesystem("s3", key="test", secret="test", endpoint_url=url, skip_instance_cache=True)
        files.mkdir("bucket")
        files.pipe_file("bucket/in/a.csv", b"x\n" + b"".join(b"%d\n" % n for n in range(2000)))
        run(
            tmp_path, variables=variables, input="s3://bucket/in/*.csv", output="s3://bucket/out", processes=2, **LAYOUT
        )
        files.invalidate_cache()
        parts = [pq.read_table(io.BytesIO(files.cat_file(name))) for name in files.find("bucket/out/predictions")]
        assert len(parts) > 2
        rows = [row for part in parts for row in part.to_pylist()]
        assert sorted(rows, key=lambda row: row["x"]) == [{"x": n, "twice": 2 * n} for n in range(2000)]
    finally:
        server.stop()
