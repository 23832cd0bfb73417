"""What a job reads and writes: formats, ranges of files, rows that are none."""

import gzip
import io
import json
import math

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scoring.batch import lines, results
from scoring.batch.csv_rows import CsvRows
from scoring.batch.items import Objects
from scoring.batch.plan import Part, of_task
from scoring.batch.settings import JobSettings, with_options
from scoring.variables import Reader
from tests.unit import batch_harness as jobs

ROWS = [{"id": n, "x": n / 4, "name": f'ä, "{n}"', "empty": None} for n in range(500)]


@given(
    st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=20),
    st.booleans(),
    st.integers(1, 40),
    st.integers(1, 16),
)
def test_every_line_is_in_one_range_whatever_the_ranges_and_blocks_are(texts, ends, step, size):
    content = b"\n".join(texts) + (b"\n" if ends and texts else b"")
    found = b""
    for start in range(0, len(content), step):
        end = min(start + step, len(content))
        for block in lines.blocks(io.BytesIO(content), start, end, size, starts_line=start == 0):
            assert block.endswith(b"\n") or content.endswith(block)
            found += block
    assert found == content


@given(st.lists(st.integers(0, 10**9), max_size=60), st.integers(1, 9))
def test_every_part_is_in_one_task_and_no_task_has_much_more_than_its_share(sizes, of):
    parts = [Part(f"{number:03}", "csv", ("a",), 0, size, size) for number, size in enumerate(sizes)]
    tasks = [of_task(parts, task, of) for task in range(of)]
    assert sorted(part.name for task in tasks for part in task) == [part.name for part in parts]
    loads = [sum(part.size for part in task) for task in tasks]
    assert max(loads) - min(loads) <= max(sizes, default=0) + len(sizes)
    assert [of_task(list(reversed(parts)), task, of) for task in range(of)] == tasks


VALUES = st.one_of(st.integers(-(2**40), 2**40), st.sampled_from(["", "1.5", "x", "NA", "1e3", " 1"]))


@settings(max_examples=60)
@given(st.lists(st.tuples(VALUES, st.integers(0, 3)), max_size=12))
def test_of_a_csv_block_the_rows_that_fit_are_read_and_the_others_told_with_their_places(given_rows):
    block = "".join(f"{value}{',y' * (1 + extra % 2)}\n" for value, extra in given_rows)
    reader = CsvRows(b"a,b\n", {"a": "int64", "b": "string"}, "f", multiline=False, threads=False)
    table, bad, total = reader.table(block.encode(), 100)
    nulls = {"", "NA"}
    good = [
        (100 + place, None if value in nulls else value)
        for place, (value, extra) in enumerate(given_rows)
        if extra % 2 == 0 and (isinstance(value, int) or value in nulls)
    ]
    # Arrow takes spaces around a number for nothing.
    spaced = {100 + place for place, (value, extra) in enumerate(given_rows) if value == " 1"}
    assert total == len(given_rows)
    assert [pair for pair in zip(table._rows, table.records(["a"]), strict=True) if pair[0] not in spaced] == [
        (place, {"a": value}) for place, value in good
    ]
    assert sorted([*table._rows, *(one.row for one in bad)]) == list(range(100, 100 + total))


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("source", ["a.parquet", "a.csv", "a.jsonl", "a.csv.gz", "a.jsonl.gz", "day=1/a.csv"])
def test_rows_come_back_as_they_were_whatever_the_formats(tmp_path, source, form):
    path = jobs.put_rows(tmp_path, source.removesuffix(".gz"), ROWS, group=70)
    if source.endswith(".gz"):
        (tmp_path / "in" / source).write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    jobs.run(tmp_path, keep="*", part_bytes=5000, block_bytes=1024, mini_batch_size=7, format=form)
    rows = sorted(jobs.results(tmp_path), key=lambda row: row["id"])
    assert [{**row, "empty": row["empty"] or None} for row in rows] == [{**row, "twice": row["x"] * 2} for row in ROWS]
    assert not jobs.errors(tmp_path)
    assert len(list((tmp_path / "out" / "predictions").rglob("*.*"))) > 2
    if "/" in source:
        assert all("/day=1/" in str(path) for path in (tmp_path / "out" / "predictions").rglob(f"*.{form}"))


def test_csv_values_may_hold_line_ends_where_that_is_said(tmp_path):
    rows = [{"x": n, "text": f'line\n"{n}",\n\n' * (n % 4)} for n in range(300)]
    jobs.put_rows(tmp_path, "a.csv", rows)
    jobs.run(tmp_path, keep="*", multiline="true", part_bytes=2000, block_bytes=1024)
    found = sorted(jobs.results(tmp_path), key=lambda row: row["x"])
    assert [(row["x"], row["text"] or "") for row in found] == [(row["x"], row["text"]) for row in rows]


def test_rows_that_are_none_are_told_and_the_rest_goes_on(tmp_path):
    jobs.put(tmp_path, "a.csv", "x,y\n1,a\n2\nthree,b\n4,c\n5,d,e\n6,f\n")
    jobs.put(tmp_path, "b.jsonl", '{"x": 1}\n{"x": \n[1]\n\n{"x": 3}')
    jobs.put(tmp_path, "c.parquet", b"PAR1 no, it is none PAR1")
    jobs.put(tmp_path, "d.jsonl.gz", gzip.compress(b'{"x": 5}\n' * 1000)[:-20])
    # Of the last two, nobody knows how many rows are lost.
    log = jobs.run(tmp_path, expect=1, types='{"x": "int64"}', keep="x")
    assert "2 parts of the input have rows that could not be read" in log
    rows = jobs.results(tmp_path)
    assert [row["x"] for row in rows if row["x"] != 5] == [1, 4, 6, 1, 3]
    told = [(error["file"][-7:], error["row"], error["reason"].partition(":")[0]) for error in jobs.errors(tmp_path)]
    assert told[:5] == [
        ("n/a.csv", 1, "the line has 1 values and the header 2"),
        ("n/a.csv", 2, "column x"),
        ("n/a.csv", 4, "the line has 3 values and the header 2"),
        ("b.jsonl", 1, "the line is no JSON"),
        ("b.jsonl", 2, "the line is no JSON object"),
    ]
    assert told[5] == ("parquet", 0, "the file cannot be read as parquet from here on")
    assert told[6][0] == "sonl.gz"
    assert len(told) == 7


def test_empty_files_are_done_with(tmp_path):
    for name in ("a.csv", "b.jsonl", "c.csv.gz"):
        jobs.put(tmp_path, name, gzip.compress(b"") if name.endswith("gz") else b"")
    jobs.put(tmp_path, "d.csv", "x\n")
    jobs.run(tmp_path, error_threshold=0)
    assert jobs.results(tmp_path) == []


def test_an_input_is_a_glob_a_list_or_several_of_them(tmp_path):
    for name in ("a/1.jsonl", "a/b/2.jsonl", "c/1.jsonl", "c/4.txt", "_hidden/5.jsonl"):
        jobs.put(tmp_path, name, json.dumps({"x": int(name[-7]) if name[-1] == "l" else 0}) + "\n")
    (tmp_path / "list").write_text(f"{tmp_path}/in/a/**/*.jsonl\n{tmp_path}/in/c/1.jsonl\n")
    jobs.run(tmp_path, input=f"@{tmp_path}/list")
    assert sorted(row["twice"] for row in jobs.results(tmp_path)) == [2, 2, 4]
    (tmp_path / "out").rename(tmp_path / "before")
    jobs.run(tmp_path, input="in/a/*.jsonl\nin/c/1.jsonl")
    assert sorted(row["twice"] for row in jobs.results(tmp_path)) == [2, 2]
    assert "format is not known" in jobs.run(tmp_path, expect=2, output=tmp_path / "other")


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(max_size=5)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=5,
)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.lists(JSON, min_size=1, max_size=5), min_size=1, max_size=3),
    st.sampled_from(["parquet", "csv", "jsonl"]),
)
def test_whatever_a_script_returns_is_written_as_a_row_for_each(batches, form):
    tables = [results.table_of(batch, Objects(batch, "f", range(len(batch))), ()) for batch in batches]
    content = results.written(tables, form)
    read = {
        "parquet": lambda: pq.read_table(io.BytesIO(content)).num_rows,
        "csv": lambda: (
            pacsv.read_csv(
                io.BytesIO(content), parse_options=pacsv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
            ).num_rows
        ),
        "jsonl": lambda: len(content.splitlines()) if b"\x0b" not in content else content.count(b"\n"),
    }
    # A value that is nothing is an empty line where it is the only column of a CSV file.
    assume(form != "csv" or any(table.column(0).null_count == 0 for table in tables))
    assert read[form]() == sum(map(len, batches))


@given(st.lists(st.floats() | st.integers(-5, 5) | TEXT, min_size=1, max_size=6))
def test_values_of_one_type_keep_it(values):
    table = results.table_of(values, Objects(values, "f", range(len(values))), ())
    found = table.column("prediction").to_pylist()
    kinds = {type(value) for value in values}
    if len(kinds) == 1:
        assert all(one == other or math.isnan(one) for one, other in zip(found, values, strict=True))
    assert len(found) == len(values)


def test_options_win_over_variables_and_the_rest_is_the_scripts():
    variables, arguments, problems = with_options(
        ["--input", "a", "--multiline", "--error-threshold=-1", "--", "--limit", "3"],
        {"SLIPWAY_JOB_INPUT": "b", "SLIPWAY_JOB_OUTPUT": "c"},
    )
    reader = Reader(variables)
    job = JobSettings.from_reader(reader, arguments)
    assert (problems, reader.problems) == ([], [])
    assert (job.input, job.output, job.multiline, job.error_threshold) == ("a", "c", True, -1)
    assert job.arguments == ("--limit", "3")


def test_serving_s_batch_settings_do_not_touch_a_job():
    reader = Reader({"SLIPWAY_JOB_INPUT": "a", "SLIPWAY_JOB_OUTPUT": "b", "SLIPWAY_BATCH_SIZE": "7"})
    assert JobSettings.from_reader(reader).batch_size("rows") != 7


def test_a_table_of_arrow_is_written_as_it_is():
    table = pa.table({"a": [1, 2]})
    assert results.table_of(table, Objects([1, 2], "f", range(2)), ()).equals(table)
