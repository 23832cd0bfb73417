"""Queries for Power BI: the very text of two of them, and Microsoft's own parser over all."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from cli.errors import Exit
from cli.main import run
from cli.power_query.queries import NoConnectorError, literal, results_query, service_query
from tests.unit.cli_harness import FakePulumi
from toolchain import npm
from toolchain.context import context_of
from toolchain.report import Report

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).with_name("golden")
PARSE = """
const {DefaultSettings, TaskUtils} = require("@microsoft/powerquery-parser");
(async () => {
  for (const text of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
    const task = await TaskUtils.tryLexParse(DefaultSettings, text);
    console.log(TaskUtils.isParseStageOk(task) ? "ok" : `no query: ${task.error.message}`);
  }
})();
"""
SAMPLES = {
    "values": b'{"data": [[5.1, 3.5], [6.7, 3.1]]}',
    "records": b'[{"age": 59, "sex": null}, {"a b": true}]',
    "deep": b'{"Inputs": {"WebServiceInput0": [{"x": 1}]}, "GlobalParameters": {"method": "pre\\"dict"}}',
    "one row": b'{"x": 1, "text": "two\\nlines"}',
    "no JSON": b"\x89PNG",
    "none": None,
}


@pytest.fixture(scope="module")
def parsed():
    """What Microsoft's parser says of queries."""
    report = Report()
    context = context_of(ROOT, os.environ, report)
    context.cache.prepare()
    with context.cache.lock(), report.step("Power Query") as step:
        folder = npm.install(context, step, "powerquery", "the parser")

    def parse(*queries):
        done = subprocess.run(
            [npm.node(context), "-e", PARSE],
            cwd=folder,
            input=json.dumps(queries),
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return done.stdout.splitlines()

    return parse


def test_a_query_of_results_takes_the_job_that_wrote_last():
    query = results_query("iris", "abfs://outputs/predictions/iris", "parquet", account="shopdata")
    assert query == (GOLDEN / "results.pq").read_text()


def test_a_query_of_a_service_asks_for_the_rows_of_a_table_as_its_sample_does():
    assert (
        service_query("iris", "https://shop.example.org/score", SAMPLES["values"])
        == (GOLDEN / "service.pq").read_text()
    )


def test_what_is_written_is_power_querys_language(parsed):
    places = ["abfs://outputs/a", "abfss://c@shop.dfs.core.windows.net/", 'C:\\out "of" #(here)', "/data/out"]
    queries = [
        results_query("iris", place, form, account="shop", job=job)
        for place in places
        for form in ("parquet", "csv", "jsonl")
        for job in (None, "iris-1")
    ]
    queries += [service_query("iris", "https://shop.example.org/score", sample) for sample in SAMPLES.values()]
    assert parsed(*queries) == ["ok"] * len(queries)


def test_the_parser_refuses_what_is_not(parsed):
    [said] = parsed('let Job = "a in Job')
    assert said.startswith("no query")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('a "b" #(lf)\n', '"a ""b"" #(#)(lf)#(000A)"'),
        ([1, 2.5, True, None], "{1, 2.5, true, null}"),
        ({"a b": {"c": []}}, '[#"a b" = [#"c" = {}]]'),
    ],
)
def test_a_value_is_written_as_it_is(value, text):
    assert literal(value) == text


def test_a_table_of_one_row_is_asked_for_where_a_row_is_a_request():
    query = service_query("iris", "https://shop.example.org/score", SAMPLES["one row"])
    assert "Json.FromValue(Table.ToRecords(rows){0})" in query
    assert "Table.Split(Rows, 1)" in query


def test_an_account_in_the_url_is_the_one_that_is_read():
    query = results_query("iris", "abfss://c@shop.dfs.core.windows.net/deep/er", "csv", account="another")
    assert 'AzureStorage.Blobs("https://shop.blob.core.windows.net"){[Name = "c"]}[Data]' in query
    assert 'Root = "deep/er/"' in query


@pytest.mark.parametrize("place", ["s3://bucket/a", "abfs://outputs/a", "azfiles://data@shop/a"])
def test_a_storage_that_power_query_cannot_read_is_refused(place):
    with pytest.raises(NoConnectorError, match=r"Power Query has no connector for (s3|abfs|azfiles)://"):
        results_query("iris", place, "parquet")


@pytest.fixture
def project(tmp_path, monkeypatch):
    model = tmp_path / "models" / "iris"
    model.mkdir(parents=True)
    (model / "score.py").write_text("def init(): pass\ndef run(data): return data\n")
    (model / "weights.json").write_text("[1]")
    (model / "sample.json").write_bytes(SAMPLES["values"])
    (tmp_path / "models.yaml").write_text(
        "models:\n- {name: iris, version: 1, path: models/iris, scoring: {sample: sample.json}, targets: [aci]}\n"
    )
    monkeypatch.chdir(tmp_path)
    made = FakePulumi(tmp_path)
    batch = {"engine": "azure", "output": "abfs://outputs/predictions/iris", "storageAccount": "shopdata"}
    targets = {"batch": batch, "aci": {"endpoint": "https://shop.example.org", "auth": "key"}}
    made.answers(out={"models": {"iris": {"version": "1", "image": "r/iris@sha256:1", "targets": targets}}})
    return made


def test_the_command_prints_the_queries_of_a_models_targets(project, capsys):
    results, service = ((GOLDEN / f"{name}.pq").read_text() for name in ("results", "service"))
    assert run(["power-query", "iris", "--target", "batch"]) == Exit.OK
    assert capsys.readouterr().out == results
    assert run(["power-query", "iris"]) == Exit.OK
    assert capsys.readouterr().out == f"{service}\n{results}"
    assert run(["power-query", "iris", "--target", "batch", "--job", "one"]) == Exit.OK
    assert 'Job = "one"' in capsys.readouterr().out


def test_a_job_of_what_has_none_is_refused(project, capsys):
    assert run(["power-query", "iris", "--target", "aci", "--job", "one"]) == Exit.USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert "--job one: only jobs of the target batch have one" in said.err


def test_the_command_names_the_targets_that_there_are(project, capsys):
    assert run(["power-query", "iris", "--target", "btch"]) == Exit.USAGE
    assert 'did you mean "batch"?' in capsys.readouterr().err
