"""What is recorded is written once, in the background, within its bounds; what does not fit is counted."""

import base64
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import ormsgpack
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring import collect
from scoring.collect.read import read
from scoring.collect.settings import CollectSettings
from scoring.storage import FolderStore
from tests.unit.collect_harness import collecting, data_of, record, until

ROOT = Path(__file__).parents[2]
MEBIBYTE = 1024 * 1024


def written(folder, collection="request"):
    return list(read(str(folder), "iris", "1", collection))


def rows_written(folder, collection="request"):
    return [data_of(row) for row in written(folder, collection)]


def test_nothing_is_started_where_nothing_is_collected():
    assert collect.start(CollectSettings()) is None


def test_the_scripts_collectors_find_the_sink_of_their_process(tmp_path):
    with collecting(tmp_path) as sink:
        assert collect.sink() is sink


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (b'{"a": 1, "b": [1, 2]}', [{"a": 1, "b": [1, 2]}]),
        (b'{"data": [{"a": 1}, {"a": 2}]}', [{"a": 1}, {"a": 2}]),
        (b'{"data": [[1, 2], [3, 4]]}', [{"value": [1, 2]}, {"value": [3, 4]}]),
        (b'{"columns": ["a", "b"], "data": [[1, 2]]}', [{"a": 1, "b": 2}]),
        (b'{"input_data": {"columns": ["a"], "index": [0], "data": [[1]]}}', [{"a": 1}]),
        (b'{"Inputs": {"data": [{"a": 1}]}, "GlobalParameters": 2.5}', [{"GlobalParameters": 2.5, "a": 1}]),
        (b'[{"a": 1}, 2]', [{"a": 1}, {"value": 2}]),
        (b'{"data": [1], "other": 2}', [{"data": [1], "other": 2}]),
        (b'{"data": []}', []),
        (b'{"a": NaN}', [{}]),
        (b'"[{\\"a\\": 1}]"', [{"a": 1}]),
        (b"5", [{"value": 5}]),
        (b'{"_row": 7, "_x": 1, "__time": 2}', [{"__row": 7, "_x": 1, "___time": 2}]),
        (b"a,b\n1,2", [{"value": "a,b\n1,2"}]),
        (b'{"a": "\\ud800"}', [{"value": '{"a": "\\ud800"}'}]),
        (b"\x89PNG\xff", [{"base64": base64.b64encode(b"\x89PNG\xff").decode()}]),
        (b"\x00", [{"base64": "AA=="}]),
        (b"", [{"value": ""}]),
    ],
)
def test_a_body_becomes_its_rows(tmp_path, body, rows):
    with collecting(tmp_path) as sink:
        record(sink, body)
        assert sink.close(30)
    added = {"request_id", "correlation_id", "time", "model", "version", "row", "status"}
    own = [{name: value for name, value in row.items() if name[1:] not in added} for row in written(tmp_path)]
    assert own == rows


@pytest.mark.parametrize(
    ("query", "row"),
    [
        ("x=1&x=2&n=é".encode(), {"x": [1, 2], "n": "é"}),
        (b"n=%C3%A9&x=a&x=", {"n": "é", "x": ["a", ""]}),
        (b"x=%5B1%5D&y=%7B", {"x": [1], "y": "{"}),
        (b'x="\\ud800"', {"value": 'x="\\ud800"'}),
    ],
    ids=["repeated", "escaped", "JSON", "half a character"],
)
def test_a_query_is_collected_as_run_gets_it(tmp_path, query, row):
    with collecting(tmp_path) as sink:
        record(sink, b"", query=query)
        assert sink.close(30)
    assert rows_written(tmp_path) == [row]


def test_a_msgpack_body_becomes_its_rows(tmp_path):
    with collecting(tmp_path) as sink:
        record(sink, ormsgpack.packb([{"a": 1}]), headers=[(b"content-type", b"application/msgpack")])
        assert sink.close(30)
    assert rows_written(tmp_path) == [{"a": 1}]


def test_each_row_says_where_and_when_it_is_from(tmp_path):
    with collecting(tmp_path) as sink:
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        record(sink, b"[1, 2]", request_id="one", headers=[(b"traceparent", f"00-{trace}-00f0-01".encode())])
        record(sink, request_id="two", headers=[(b"x-ms-client-request-id", b"mine")])
        record(sink, request_id="three")
        assert sink.close(30)
    first, second, third, fourth = written(tmp_path)
    assert (first["_request_id"], first["_correlation_id"], first["_row"]) == ("one", trace, 0)
    assert (second["_request_id"], second["_row"], second["_status"]) == ("one", 1, 200)
    assert (first["_model"], first["_version"], first["_time"].utcoffset().seconds) == ("iris", "1", 0)
    assert (third["_correlation_id"], fourth["_correlation_id"]) == ("mine", "three")


def test_parts_are_in_folders_by_model_version_collection_and_hour(tmp_path):
    with collecting(tmp_path) as sink:
        sink.put_frame("a/../b", pd.DataFrame({"a": [1]}), request_id="id")
        assert sink.close(30)
    (part,) = tmp_path.rglob("*.jsonl")
    assert part.relative_to(tmp_path).parts[:3] == ("iris", "1", "a_.._b")
    assert len(part.relative_to(tmp_path).parts) == 8


def test_a_failed_call_leaves_its_input_but_no_output(tmp_path):
    with collecting(tmp_path) as sink:
        record(sink, status=500, answer=b'{"message": "no"}')
        assert sink.close(30)
    assert [row["_status"] for row in written(tmp_path)] == [500]
    assert written(tmp_path, "response") == []


def test_both_sides_of_a_request_are_in_the_sample_or_neither(tmp_path):
    with collecting(tmp_path, sample=0.2) as sink:
        for number in range(1000):
            record(sink, request_id=f"request-{number}")
            sink.put_frame("frames", pd.DataFrame({"a": [1]}), request_id=f"request-{number}")
        assert sink.close(30)
    sides = [{row["_request_id"] for row in written(tmp_path, name)} for name in ("request", "response", "frames")]
    assert sides[0] == sides[1] == sides[2]
    assert 120 < len(sides[0]) < 280


def test_a_table_is_recorded_as_it_was_when_it_was_collected(tmp_path):
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [np.nan, 1.5], "d": [[1], [2]]})
    with collecting(tmp_path) as sink:
        assert sink.put_frame("model_inputs", frame, request_id="id", correlation="other")
        frame.loc[0, "a"] = 7
        frame.loc[0, "d"].append(7)
        assert sink.close(30)
    assert rows_written(tmp_path, "model_inputs") == [
        {"a": 1, "b": "x", "d": [1]},
        {"a": 2, "c": 1.5, "d": [2]},
    ]
    assert written(tmp_path, "model_inputs")[0]["_correlation_id"] == "other"


def test_a_table_that_cannot_be_kept_is_counted(tmp_path):
    with collecting(tmp_path) as sink:
        assert not sink.put_frame("model_inputs", pd.DataFrame({"a": [lambda: None]}), request_id="id")
        assert sink.counts().dropped == {"unreadable": 1}


def test_what_is_too_large_is_counted_and_the_other_side_is_kept(tmp_path):
    with collecting(tmp_path, largest=100) as sink:
        record(sink, b" " * 101)
        assert sink.close(30)
        assert sink.counts().dropped == {"too large": 1}
    assert rows_written(tmp_path, "response") == [{"value": 1}]


def test_a_table_of_very_many_rows_is_one_row(tmp_path):
    with collecting(tmp_path, rows=10) as sink:
        record(sink, json.dumps(list(range(11))).encode())
        assert sink.close(30)
    assert rows_written(tmp_path) == [{"value": list(range(11))}]


def test_a_part_is_closed_at_its_rows_and_at_its_age(tmp_path):
    with collecting(tmp_path, rows=2, seconds=1, outputs=False) as sink:
        for _ in range(3):
            record(sink)
        until(lambda: sink.counts().collected == 3)
        assert sorted(len(path.read_text().splitlines()) for path in tmp_path.rglob("*.jsonl")) == [1, 2]


def test_a_body_nested_too_deeply_does_not_end_the_collection(tmp_path):
    with collecting(tmp_path, drop=["ssn"]) as sink:
        record(sink, b'{"a":' * 900 + b"1" + b"}" * 900, request_id="deep")
        record(sink, request_id="flat")
        assert sink.close(30)
        assert sink.counts().dropped.get("unreadable", 0) == 1
    assert [row["_request_id"] for row in written(tmp_path)] == ["flat"]


def test_while_the_storage_is_down_memory_is_bounded_and_drops_are_counted_and_then_all_that_was_kept_is_written(
    tmp_path,
):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    with collecting(blocked, memory=MEBIBYTE, rows=1, outputs=False) as sink:
        body = json.dumps({"a": "x" * 100_000}).encode()
        record(sink, body, request_id="first")
        until(lambda: sink.last_error)
        for number in range(100):
            record(sink, body, request_id=str(number))
        assert sink.waiting_bytes <= MEBIBYTE
        dropped = sink.counts().dropped["queue full"]
        assert dropped > 80
        blocked.unlink()
        until(lambda: sink.counts().collected + dropped == 101)
        assert sink.last_error == ""
    assert len({row["_request_id"] for row in written(blocked)}) == len(written(blocked)) == 101 - dropped


def test_the_queue_has_a_bound_by_number_too(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with collecting(tmp_path / "file", rows=1, outputs=False) as sink:
        record(sink)
        until(lambda: sink.last_error)
        for _ in range(1600):
            record(sink)
        assert sink.counts().dropped == {"queue full": 100}


def test_what_cannot_be_written_until_the_deadline_is_counted(tmp_path):
    (tmp_path / "file").write_text("")
    with collecting(tmp_path / "file") as sink:
        record(sink)
        record(sink)
        assert not sink.close(0.5)
        assert sink.counts().dropped == {"not written": 4}
        record(sink)
        assert sink.counts().dropped["closed"] == 2


def test_a_full_disk_leaves_no_half_of_a_part(tmp_path):
    store = FolderStore(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        for write in (store.put, store.create):
            with pytest.raises(OSError, match="too large"):
                write("a/part.jsonl", b"x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert list((tmp_path / "a").iterdir()) == []
    store.put("a/part.jsonl", b"x" * 2000)
    assert store.sizes("a") == {"a/part.jsonl": 2000}


def test_what_a_killed_writer_left_half_written_is_removed_later_and_never_read(tmp_path):
    store = FolderStore(tmp_path)
    store.put("a/part.jsonl", b"{}\n")
    old, new = (tmp_path / "a" / f".part.jsonl.{name}.partial" for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"{")
    os.utime(old, (1, 1))
    assert list(store.sizes("a")) == ["a/part.jsonl"]
    assert (old.exists(), new.exists()) == (False, True)


KILLED = """
import sys
from tests.unit.collect_harness import collecting, record
with collecting(sys.argv[1], rows=3, outputs=False) as sink:
    number = 0
    while True:
        record(sink, b'[{"n": 1}]', request_id=str(number))
        number += 1
        if number % 100 == 0:
            print(sink.counts().collected, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 20, 60])
def test_a_process_killed_while_writing_leaves_whole_parts_with_each_row_once(tmp_path, lines):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    told = 0
    while lines or not told:
        told = int(process.stdout.readline())
        lines = max(lines - 1, 0)
    process.kill()
    process.communicate()
    ids = [row["_request_id"] for row in written(tmp_path)]
    assert len(ids) == len(set(ids)) >= told > 0


@given(st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=20), st.integers(1, 4))
def test_every_row_is_written_exactly_once(tmp_path_factory, bodies, rows):
    folder = tmp_path_factory.mktemp("kept")
    with collecting(folder, rows=rows * 5, outputs=False) as sink:
        for number, body in enumerate(bodies):
            record(sink, json.dumps([{"n": n} for n in body]).encode(), request_id=str(number))
        assert sink.close(30)
    found = sorted((int(row["_request_id"]), row["_row"], row["n"]) for row in written(folder))
    assert found == [(number, row, n) for number, body in enumerate(bodies) for row, n in enumerate(body)]
