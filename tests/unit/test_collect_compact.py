"""Parts become Parquet, and no reader ever sees a row twice: not after a kill, not with two that compact at once."""

import itertools
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring import collect
from scoring.collect.compact import compact
from scoring.collect.compactor import Compactor
from scoring.collect.read import read
from scoring.storage import FolderStore
from tests.unit.collect_harness import data_of, settings_of, until

ROOT = Path(__file__).parents[2]
HOUR = "iris/1/request/2025/03/01/10"
LATER = 1_800_000_000.0  # 2027: that hour is over.


def put_part(store, name, rows, hour=HOUR):
    lines = [json.dumps({"_time": "2025-03-01T10:00:00.000001+00:00", **row}) for row in rows]
    store.put(f"{hour}/{name}.jsonl", "".join(f"{line}\n" for line in lines).encode())


def rows_in(folder):
    return [data_of(row) for row in read(str(folder), "iris", "1", "request")]


def names_in(folder, hour=HOUR):
    return sorted(path.name for path in (Path(folder) / hour).iterdir())


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path)


def test_an_hours_parts_become_one_parquet_file(store, tmp_path):
    put_part(store, "a-000001", [{"n": 1}, {"n": 2}])
    put_part(store, "b-000001", [{"n": 3}])
    assert compact(store, "iris", LATER) == 1
    assert names_in(tmp_path) == ["rows-0000.parquet"]
    assert rows_in(tmp_path) == [{"n": 1}, {"n": 2}, {"n": 3}]
    (row,) = itertools.islice(read(str(tmp_path), "iris", "1", "request"), 1)
    assert row["_time"].isoformat() == "2025-03-01T10:00:00.000001+00:00"


def test_an_hour_that_is_not_over_is_left_alone(store, tmp_path):
    put_part(store, "a-000001", [{"n": 1}])
    at_eleven = 1_740_826_800.0
    assert compact(store, "iris", at_eleven + 60) == 0
    assert names_in(tmp_path) == ["a-000001.jsonl"]
    assert compact(store, "iris", at_eleven + 600) == 1


def test_a_late_part_becomes_a_further_file(store, tmp_path):
    put_part(store, "a-000001", [{"n": 1}])
    compact(store, "iris", LATER)
    put_part(store, "a-000002", [{"n": 2}])
    compact(store, "iris", LATER)
    assert names_in(tmp_path) == ["rows-0000.parquet", "rows-0001.parquet"]
    assert rows_in(tmp_path) == [{"n": 1}, {"n": 2}]


def test_a_part_that_is_uploaded_once_more_after_its_compaction_does_not_count(store, tmp_path):
    put_part(store, "a-000001", [{"n": 1}])
    compact(store, "iris", LATER)
    put_part(store, "a-000001", [{"n": 1}])
    assert rows_in(tmp_path) == [{"n": 1}]
    assert compact(store, "iris", LATER) == 0
    assert names_in(tmp_path) == ["rows-0000.parquet"]


class DiedError(Exception):
    """In place of a kill."""


class Dying:
    """A store whose process dies before its Nth change, or right after it."""

    def __init__(self, store, steps, *, after):
        self._store, self._steps, self._after = store, steps, after
        self.get, self.sizes = store.get, store.sizes

    def _change(self, change, *arguments):
        if self._steps == 0 and not self._after:
            raise DiedError
        result = change(*arguments) if self._steps >= 0 else None
        if self._steps <= 0:
            self._steps = -1
            raise DiedError
        self._steps -= 1
        return result

    def put(self, name, content):
        return self._change(self._store.put, name, content)

    def create(self, name, content):
        return self._change(self._store.create, name, content)

    def delete(self, name):
        # After its death a process does not clean up either.
        return self._change(self._store.delete, name)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("steps", range(5))
def test_a_compaction_that_dies_at_any_step_doubles_and_loses_no_row(store, tmp_path, monkeypatch, steps, after):
    expected = [{"n": 1}, {"n": 2}, {"n": 3}]
    put_part(store, "a-000001", expected[:2])
    put_part(store, "b-000001", expected[2:])
    with pytest.raises(DiedError):
        compact(Dying(store, steps, after=after), "iris", LATER)
    assert sorted(rows_in(tmp_path), key=str) == expected
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600)  # The dead process's lease is over.
    compact(store, "iris", LATER)
    assert names_in(tmp_path) == ["rows-0000.parquet"]
    assert rows_in(tmp_path) == expected


def test_a_lease_that_another_holds_is_respected(store, tmp_path):
    put_part(store, "a-000001", [{"n": 1}])
    lease = json.dumps({"until": time.time() + 60, "holder": "another"}).encode()
    store.put(f"{HOUR}/.compaction.json", lease)
    assert compact(store, "iris", LATER) == 0
    store.put(f"{HOUR}/.compaction.json", lease.replace(b'"until": 1', b'"until": 0.1'))
    assert compact(store, "iris", LATER) == 1


class Crossing:
    """A store during whose every change another process compacts the same hour, unhindered by leases."""

    def __init__(self, store):
        self._store = store
        self.get, self.sizes, self.put, self.delete = store.get, store.sizes, store.put, store.delete

    def create(self, name, content):
        if name.endswith(".parquet"):
            put_part(self._store, "late-000001", [{"n": 9}])
            lease = f"{HOUR}/.compaction.json"
            self._store.delete(lease)
            compact(self._store, "iris", LATER)
        return self._store.create(name, content)


def test_two_that_compact_the_same_hour_with_different_views_of_it_double_no_row(store, tmp_path):
    put_part(store, "a-000001", [{"n": 1}])
    compact(Crossing(store), "iris", LATER)
    assert sorted(rows_in(tmp_path), key=str) == [{"n": 1}, {"n": 9}]
    assert names_in(tmp_path) == ["rows-0000.parquet"]


def test_processes_that_compact_at_once_and_are_killed_double_no_row(store, tmp_path):
    for part in range(40):
        put_part(store, f"a-{part:06d}", [{"n": part * 10 + n} for n in range(10)])
    command = [sys.executable, "-m", "scoring.collect", str(tmp_path), "iris"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for _ in range(3):
        killed = [subprocess.Popen(command, env=environment) for _ in range(2)]
        until(lambda: any(path.suffix == ".json" for path in (tmp_path / HOUR).iterdir()) or killed[0].poll() == 0)  # noqa: B023
        for process in killed:
            process.kill()
            process.wait()
        assert sorted(row["n"] for row in rows_in(tmp_path)) == list(range(400))
        (tmp_path / HOUR / ".compaction.json").unlink(missing_ok=True)
    last = [subprocess.Popen(command, env=environment) for _ in range(2)]
    assert [process.wait() for process in last] == [0, 0]
    assert sorted(row["n"] for row in rows_in(tmp_path)) == list(range(400))
    assert not list(tmp_path.rglob("*.jsonl"))


def test_a_damaged_part_stays_and_does_not_hold_up_the_others(store, tmp_path):
    put_part(store, "a-000001", [{"n": 1}])
    store.put(f"{HOUR}/b-000001.jsonl", b"no json\n")
    assert compact(store, "iris", LATER) == 1
    assert names_in(tmp_path) == ["b-000001.jsonl", "rows-0000.parquet"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "int64"),
        ([1, 2.5], "double"),
        ([1, None], "int64"),
        ([None, None], "null"),
        ([True, False], "bool"),
        ([True, 1], "string"),
        (["a", "b"], "string"),
        (["a", 1], "string"),
        ([2**60, 0.5], "string"),
        ([2**63], "string"),
        ([[1, 2], [0.5]], "list<element: double>"),
        ([[1], ["a"]], "string"),
        ([[], [1]], "list<element: int64>"),
        ([[[1]], [[2.5]]], "list<element: list<element: double>>"),
        ([{"x": 1}, {"y": 2}], "string"),
        ([[1], 1], "string"),
    ],
)
def test_rows_that_disagree_have_one_column_that_holds_all_of_them(store, tmp_path, values, kind):
    put_part(store, "a-000001", [{"v": values[0]}])
    for number, value in enumerate(values[1:]):
        put_part(store, f"b-{number:06d}", [{"v": value, "other": "x"}])
    compact(store, "iris", LATER)
    (file,) = tmp_path.rglob("*.parquet")
    assert str(pq.read_schema(file).field("v").type) == kind
    found = [row.get("v") for row in rows_in(tmp_path)]
    assert found == [float(value) if kind == "double" and value is not None else value for value in values]


CELLS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=2),
    max_leaves=5,
)


@given(
    st.lists(st.lists(st.dictionaries(st.sampled_from("abc"), CELLS, max_size=3), max_size=3), min_size=1, max_size=4)
)
def test_every_row_is_read_once_and_unchanged_before_and_after_compaction(tmp_path_factory, parts):
    folder = tmp_path_factory.mktemp("kept")
    store = FolderStore(folder)
    for number, rows in enumerate(parts):
        put_part(store, f"a-{number:06d}", rows)
    before = rows_in(folder)
    assert len(before) == sum(map(len, parts))
    compact(store, "iris", LATER)
    assert rows_in(folder) == before
    # Other tools' readers take the Parquet files alone.
    assert ds.dataset(list(map(str, folder.rglob("*.parquet")))).count_rows() == len(before)


@pytest.mark.parametrize("worker", [0, 5])
def test_any_worker_compacts_what_an_earlier_process_left(store, tmp_path, monkeypatch, worker):
    put_part(store, "a-000001", [{"n": 1}])
    monkeypatch.setattr("scoring.collect.compactor.Compactor", partial(Compactor, first=0))
    sink = collect.start(settings_of(tmp_path), worker)
    until(lambda: names_in(tmp_path) == ["rows-0000.parquet"])
    sink.close(1)


def test_one_worker_at_a_time_has_parts_compacted_and_another_goes_on_when_it_is_gone(store, tmp_path):
    put_part(store, "a-000001", [{"n": 1}])
    code = (
        "import sys, time\n"
        "from scoring.collect.compactor import Compactor\n"
        "compactor = Compactor(sys.argv[1], 'iris', first=0)\n"
        "while True:\n"
        "    compactor.look()\n"
        "    time.sleep(0.02)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
    until(lambda: names_in(tmp_path) == ["rows-0000.parquet"])
    put_part(store, "a-000002", [{"n": 2}])
    ours = Compactor(str(tmp_path), "iris", first=0)
    for _ in range(20):
        ours.look()
        assert not ours.is_at_work
    other.kill()
    other.wait()
    until(lambda: ours.look() or names_in(tmp_path) == ["rows-0000.parquet", "rows-0001.parquet"])
    ours.stop()


def test_a_compaction_that_says_much_ends_all_the_same(tmp_path, monkeypatch, caplog):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.stderr.write('a warning\\n' * 100_000)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    compactor = Compactor("abfs://no-such-thing/x", "iris", first=0)
    until(lambda: compactor.look() or "not compacted" in caplog.text)
    assert "a warning" not in caplog.text


def test_a_compaction_that_fails_is_told_in_one_line(tmp_path, caplog):
    compactor = Compactor("abfs://no-such-thing/x", "iris", first=0)
    until(lambda: compactor.look() or "not compacted" in caplog.text)
    assert "Traceback" not in caplog.text


def test_without_pyarrow_parts_stay_json_lines_and_it_is_said_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("scoring.collect.compactor.importlib.util.find_spec", lambda _: None)
    sink = collect.start(settings_of(tmp_path), worker=0)
    sink.close(1)
    (said,) = [record.getMessage() for record in caplog.records if "pyarrow" in record.getMessage()]
    assert said.startswith("collected parts stay JSON Lines: compaction to Parquet needs pyarrow")
    assert "`collect` in models.yaml" in said
