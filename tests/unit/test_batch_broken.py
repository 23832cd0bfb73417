"""Inputs with something broken in them: only that fails, and what is lost is never told as complete."""

import json
import os

import pyarrow as pa
import pytest

from scoring.batch.items import Table
from scoring.batch.results import table_of
from tests.unit import batch_harness as jobs

JSON_IN = """
import json
def init():
    pass
def run(data):
    return {"n": [len(str(row)) for row in json.loads(data)["rows"]]}
"""
BODY = '{"rows": "$rows"}'


def run(folder, expect=0, **options):
    return jobs.run(folder, JSON_IN, expect, body=BODY, **{"keep": "id", **options})


def ids(folder):
    return sorted(row["id"] for row in jobs.results(folder))


@pytest.mark.parametrize("rows", [3, 20_000])
def test_of_a_csv_file_with_a_byte_that_is_no_utf_8_only_that_row_fails(tmp_path, rows):
    at = rows - 2
    lines = [b"%d,%s\n" % (n, b"caf\xe9" if n == at else b"tea") for n in range(rows)]
    jobs.put(tmp_path, "a.csv", b"id,x\n1000000,good\n")
    jobs.put(tmp_path, "b.csv", b"id,x\n" + b"".join(lines))
    run(tmp_path, block_bytes=65536, error_threshold=1)
    assert ids(tmp_path) == [*(n for n in range(rows) if n != at), 1_000_000]
    (error,) = jobs.errors(tmp_path)
    assert (error["row"], error["content"]) == (at, f"{at},caf�")
    assert "no UTF-8: byte 0xe9" in error["reason"]


def test_the_byte_may_also_be_in_the_first_file_that_says_the_types(tmp_path):
    jobs.put(tmp_path, "a.csv", b"id,x\n1,caf\xe9\n2,tea\n")
    run(tmp_path, keep="*")
    assert [(row["id"], row["x"]) for row in jobs.results(tmp_path)] == [(2, "tea")]
    assert [error["row"] for error in jobs.errors(tmp_path)] == [0]


@pytest.mark.parametrize("part_bytes", [1024, 4000, 10**6])
def test_a_quote_that_is_not_closed_in_its_line_fails_that_row_alone_whatever_the_parts(tmp_path, part_bytes):
    lines = [f"{n},{chr(34) * (n in {10, 400})}a, b{chr(34) * (n == 11)}".replace(", ", " ") for n in range(500)]
    jobs.put(tmp_path, "a.csv", "id,x\n" + "\n".join(lines) + "\n")
    run(tmp_path, part_bytes=part_bytes)
    assert ids(tmp_path) == [n for n in range(500) if n not in {10, 400}]
    assert [error["content"][:4] for error in jobs.errors(tmp_path)] == ['10,"', "400,"]
    assert all("quote is opened and not closed" in error["reason"] for error in jobs.errors(tmp_path))


def test_rows_behind_a_quote_that_is_never_closed_are_told_as_lost(tmp_path):
    lines = [f"{n},{chr(34) * (n == 100)}a" for n in range(50_000)]
    jobs.put(tmp_path, "a.csv", "id,x\n" + "\n".join(lines) + "\n")
    jobs.put(tmp_path, "b.csv", 'id,x\n60000,"a\nb"\n')
    log = run(tmp_path, expect=1, multiline="true", block_bytes=1024)
    assert "1 part of the input has rows that could not be read" in log
    found = ids(tmp_path)
    assert found == [*range(100), 60_000]
    (error,) = jobs.errors(tmp_path)
    assert "never closed" in error["reason"]
    # The parts are finished, and so is what is known of them.
    assert "could not be read" in run(tmp_path, expect=1, multiline="true", block_bytes=1024)


def test_a_first_file_that_is_no_text_is_told_and_the_next_one_says_the_types(tmp_path):
    jobs.put(tmp_path, "a.csv", "id,bläh\n1,2\n".encode("latin-1"))
    jobs.put(tmp_path, "b.csv", "id,x\n5,6\n")
    run(tmp_path, expect=1)
    assert ids(tmp_path) == [5]
    (error,) = jobs.errors(tmp_path)
    assert error["file"].endswith("in/a.csv")
    assert "in the header, the line is no UTF-8" in error["reason"]


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ("id,x\n1,2\n", {"keep": "id,nope"}, "no column nope, which --keep or --columns names: it has id, x"),
        ("id,x\n1,2\n", {"columns": "nix"}, "no column nix"),
        ("id,id,x\n1,2,3\n", {}, "a.csv: the input has the column id more than once"),
        ("id,x\n1,2\n", {"keep": "id,id"}, "SLIPWAY_JOB_KEEP names id more than once"),
    ],
)
def test_columns_that_cannot_be_had_are_refused_before_any_row(tmp_path, content, options, said):
    jobs.put(tmp_path, "a.csv", content)
    assert said in run(tmp_path, expect=2, **options)
    assert not (tmp_path / "out" / "predictions").exists()


def test_a_parquet_file_without_a_column_that_is_asked_for_is_refused_and_a_later_one_is_told(tmp_path):
    jobs.put_rows(tmp_path, "b.parquet", [{"x": 1}])
    assert "b.parquet: the input has no column id" in run(tmp_path, expect=2)
    jobs.put_rows(tmp_path, "a.parquet", [{"id": 7}])
    run(tmp_path, expect=1)
    assert ids(tmp_path) == [7]
    assert ["has no column id" in error["reason"] for error in jobs.errors(tmp_path)] == [True]


def test_a_file_name_that_is_no_utf_8_is_scored_and_told_readably(tmp_path):
    jobs.put(tmp_path, "a.csv", "id,x\n1,2\n")
    for name, content in {b"bad\xff.csv": "id,x\n5,6\n7\n", b"bad\xfe.csv": "id,x\n8,9\n"}.items():
        with open(os.path.join(os.fsencode(tmp_path / "in"), name), "w") as file:  # noqa: PTH118, PTH123 - of bytes
            file.write(content)
    run(tmp_path)
    assert ids(tmp_path) == [1, 5, 8]
    assert [error["file"] for error in jobs.errors(tmp_path)] == [str(tmp_path / "in" / "bad�.csv")]


def test_errors_name_files_as_who_asked_knows_them(tmp_path):
    jobs.put(tmp_path, "a.csv", "id,x\n1\n")
    names = {"SLIPWAY_JOB_NAMES": json.dumps({str(tmp_path / "in"): "/home/me/data", str(tmp_path / "i"): "/no"})}
    jobs.run(tmp_path, JSON_IN, body=BODY, variables=names)
    assert [error["file"] for error in jobs.errors(tmp_path)] == ["/home/me/data/a.csv"]
    missing = jobs.run(tmp_path, JSON_IN, 2, body=BODY, variables=names, keep="nope", output=tmp_path / "other")
    assert "/home/me/data/a.csv: the input has no column nope" in missing


def test_a_kept_column_that_run_returns_as_well_is_there_beside_it(tmp_path):
    jobs.put(tmp_path, "a.csv", "id,n\n1,100\n2,200\n")
    run(tmp_path, keep="id,n")
    assert [list(row) for row in jobs.results(tmp_path)] == [["id", "input.n", "n"]] * 2
    assert [row["input.n"] for row in jobs.results(tmp_path)] == [100, 200]


@pytest.mark.parametrize("big", [99999999999999999999999, -(2**64), 2**63])
def test_integers_of_json_lines_stay_what_they_are_however_large(tmp_path, big):
    jobs.put(tmp_path, "a.jsonl", f'{{"id": {big}, "t": "12345678901234567890123"}}\n{{"id": 5, "t": 1.5e30}}\n')
    run(tmp_path, keep="*", format="jsonl")
    assert [str(row["id"]) for row in jobs.results(tmp_path)] == [str(big), "5"]
    assert not jobs.errors(tmp_path)


def test_a_file_whose_reading_ends_the_process_each_time_is_told_as_lost(tmp_path):
    script = """
        import os
        import pandas as pd
        from scoring.batch import reading
        def init():
            read = reading.blocks
            reading.blocks = lambda part, *rest: os._exit(9) if part.name.startswith("b") else read(part, *rest)
        def run(mini_batch: pd.DataFrame):
            return mini_batch["x"]
    """
    for name in ("a.csv", "b.csv"):
        jobs.put(tmp_path, name, "id,x\n1,2\n3,4\n")
    log = jobs.run(tmp_path, script, 1, keep="id", max_retries=0)
    assert "1 part of the input has rows that could not be read" in log
    assert ids(tmp_path) == [1, 3]
    (error,) = jobs.errors(tmp_path)
    assert (error["file"], error["content"]) == (str(tmp_path / "in/b.csv"), None)


def test_kept_columns_have_a_name_each_whatever_run_returns():
    items = Table(pa.table({"n": [1], "input.n": [2], "id": [3]}), "a.csv", range(1))
    found = table_of([{"n": 4, "input.n": 5}], items, ("*",))
    assert found.to_pylist() == [{"input.input.input.n": 1, "input.input.n": 2, "id": 3, "n": 4, "input.n": 5}]
