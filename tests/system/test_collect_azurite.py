"""Collection to real blob storage, which is slow, refuses, is full, loses answers, hangs or is down."""

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import fsspec
import pytest

from scoring.collect.compact import compact
from scoring.collect.read import read
from scoring.storage import open_store
from tests.unit.collect_harness import collecting, data_of, record, until

pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[2]
HOUR = "iris/1/request/2025/03/01/10"
LATER = 1_800_000_000.0
MEBIBYTE = 1024 * 1024
PATIENCE = 60.0


@pytest.fixture
def url(storage, proxy, monkeypatch):
    """A container of the test, seen through the proxy by all but this fixture."""
    container = f"test-{uuid.uuid4().hex}"
    direct = storage.connection_string()
    fsspec.filesystem("abfs", connection_string=direct, skip_instance_cache=True).mkdir(container)
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", storage.connection_string(proxy.port))
    return f"abfs://{container}/kept"


def ids_in(url, collection="request"):
    return [row["_request_id"] for row in read(url, "iris", "1", collection)]


def record_numbers(sink, numbers):
    for number in numbers:
        record(sink, json.dumps({"n": number}).encode(), request_id=str(number))


def test_inputs_and_outputs_reach_blob_storage_and_become_parquet(url):
    with collecting(url, hash=["email"]) as sink:
        record(sink, b'{"data": [{"a": 1, "email": "x"}, {"a": "two"}]}', b'{"data": [1, 2]}')
        assert sink.close(PATIENCE)
    store = open_store(url)
    before = list(read(url, "iris", "1", "request"))
    assert [row["a"] for row in before] == [1, "two"]
    assert compact(store, "iris", time.time() + 7200) == 2
    assert all(name.endswith(".parquet") for name in store.sizes("iris"))
    assert list(read(url, "iris", "1", "request")) == before
    assert [data_of(row) for row in read(url, "iris", "1", "response")] == [{"value": 1}, {"value": 2}]


@pytest.mark.parametrize("mode", ["refuse", "full", "cut", "down"])
def test_a_storage_that_fails_for_a_while_gets_every_row_once_when_it_is_back(url, proxy, mode):
    proxy.mode = mode
    with collecting(url, rows=5, seconds=1) as sink:
        record_numbers(sink, range(20))
        until(lambda: sink.last_error)
        seen = proxy.seen
        until(lambda: proxy.seen > seen)
        assert sink.counts().collected == 0
        proxy.mode = "pass"
        until(lambda: sink.counts().collected == 40)
        assert sink.last_error == ""
        assert sink.counts().dropped == {}
    for collection in ("request", "response"):
        assert sorted(map(int, ids_in(url, collection))) == list(range(20))


def test_the_error_names_what_is_wrong_and_no_credential(url, proxy, monkeypatch, storage):
    with collecting(url.replace("test-", "none-"), seconds=1) as sink:
        record_numbers(sink, range(1))
        until(lambda: sink.last_error)
        assert "container" in sink.last_error
        assert storage.key not in sink.last_error


def test_a_slow_storage_gets_every_row(url, proxy):
    proxy.delay = 0.5
    with collecting(url, rows=10, outputs=False) as sink:
        record_numbers(sink, range(50))
        assert sink.close(PATIENCE)
    assert sorted(map(int, ids_in(url))) == list(range(50))


def test_while_the_storage_hangs_memory_is_bounded_drops_are_counted_and_closing_takes_no_longer_than_allowed(
    url, proxy
):
    proxy.mode = "stuck"
    body = json.dumps({"a": "x" * 100_000}).encode()
    with collecting(url, memory=MEBIBYTE, rows=1, outputs=False) as sink:
        record(sink, body)
        until(lambda: proxy.seen)
        for _ in range(200):
            record(sink, body)
        assert sink.waiting_bytes <= MEBIBYTE
        assert sink.counts().dropped["queue full"] > 180
        assert not sink.close(0.2)
        assert sum(sink.counts().dropped.values()) == 201


def test_a_part_whose_upload_was_answered_too_late_is_not_there_twice_after_compaction(url, proxy):
    proxy.mode = "cut"
    with collecting(url, seconds=1, outputs=False) as sink:
        record_numbers(sink, range(3))
        until(lambda: sink.last_error)  # The part is there; its writer does not know.
        proxy.methods.clear()
        compact(open_store(url), "iris", time.time() + 7200)
        proxy.methods.add(b"PUT")
        proxy.mode = "pass"
        until(lambda: sink.counts().collected == 3)
    names = sorted(name.rpartition(".")[2] for name in open_store(url).sizes("iris"))
    assert names == ["jsonl", "parquet"]
    assert sorted(map(int, ids_in(url))) == [0, 1, 2]


def put_parts(url, parts):
    store = open_store(url)
    for part in range(parts):
        rows = [json.dumps({"_time": "2025-03-01T10:00:00+00:00", "_request_id": f"{part}-{n}"}) for n in range(5)]
        store.put(f"{HOUR}/part-{part:06d}.jsonl", "".join(f"{row}\n" for row in rows).encode())
    return sorted(f"{part}-{n}" for part in range(parts) for n in range(5))


def start_compaction(url):
    command = [sys.executable, "-m", "scoring.collect", url, "iris"]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})


@pytest.mark.parametrize(
    ("method", "mode", "nth"),
    [
        (b"PUT", "stuck", 1),
        (b"PUT", "cut", 2),
        (b"PUT", "stuck", 2),
        (b"DELETE", "stuck", 1),
        (b"DELETE", "cut", 1),
        (b"DELETE", "stuck", 3),
    ],
    ids=["taking the lease", "Parquet just written", "writing Parquet", "before deleting", "deleting", "half deleted"],
)
def test_a_compaction_killed_at_any_point_doubles_and_loses_no_row(url, proxy, monkeypatch, method, mode, nth):
    ids = put_parts(url, 4)
    proxy.methods = {method}
    proxy.seen = 0
    proxy.fail_from(nth, mode)
    process = start_compaction(url)
    until(lambda: proxy.failed)
    time.sleep(0.2)  # A request that is passed on and loses its answer is done by then.
    process.kill()
    process.wait()
    proxy.mode = "pass"
    assert sorted(ids_in(url)) == ids
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600)  # The killed process's lease is over.
    compact(open_store(url), "iris", LATER)
    assert sorted(ids_in(url)) == ids
    assert [name.rpartition("/")[2] for name in open_store(url).sizes("iris")] == ["rows-0000.parquet"]


def test_two_workers_that_compact_at_once_while_a_third_reads_double_and_lose_no_row(url):
    ids = put_parts(url, 20)
    done, seen = threading.Event(), []

    def keep_reading():
        while not done.is_set():
            seen.append(sorted(ids_in(url)) == ids)

    reader = threading.Thread(target=keep_reading)
    reader.start()
    processes = [start_compaction(url) for _ in range(2)]
    statuses = [process.wait() for process in processes]
    done.set()
    reader.join()
    assert statuses == [0, 0]
    assert seen
    assert all(seen)
    assert [name.rpartition("/")[2] for name in open_store(url).sizes("iris")] == ["rows-0000.parquet"]
    assert sorted(ids_in(url)) == ids


WRITING = """
import sys
from tests.unit.collect_harness import collecting, record
with collecting(sys.argv[1], rows=20, outputs=False) as sink:
    number = 0
    while True:
        record(sink, b'{"n": 1}', request_id=str(number))
        number += 1
        if number % 50 == 0:
            print(sink.counts().collected, flush=True)
"""


def test_a_process_killed_while_it_uploads_leaves_each_row_once(url):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITING, url],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    told = 0
    while told < 200:
        told = int(process.stdout.readline())
    process.kill()
    process.communicate()
    ids = ids_in(url)
    assert len(ids) == len(set(ids)) >= told
