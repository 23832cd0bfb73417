"""The target `batch`: what is taken, what is refused with what is allowed, and what the runner is told."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from pyarrow import csv
from pydantic import ValidationError

from manifest import BatchTarget, ManifestError, load_environment
from manifest.cron import even, wrong_cron
from manifest.problems import SECRET_URL
from scoring.batch import settings
from scoring.batch.csv_rows import type_of
from scoring.batch.settings import JobSettings
from scoring.variables import Reader

GROUP = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/theirs"
NOW = datetime(2026, 11, 29, 4, 32, 57, tzinfo=UTC)
ALL = {
    "call": "rows",
    "inputFormat": "csv",
    "format": "jsonl",
    "outputAction": "summary_only",
    "body": {"data": "$rows"},
    "columns": ["a", "b c"],
    "keep": ["*"],
    "types": {"b": "double", "a": "int64"},
    "multiline": True,
    "miniBatchSize": 7,
    "errorThreshold": 5,
    "maxRetries": 0,
    "timeout": 60,
    "processes": 4,
    "prefetch": 1,
    "blockBytes": "1Mi",
    "partBytes": "512Ki",
    "progressSeconds": 1,
}


def target(**keys):
    return BatchTarget.model_validate(keys)


def test_a_target_needs_no_keys_and_tells_the_runner_nothing():
    assert target().variables() == {}
    assert (target().nodes.dedicated, target().nodes.low_priority, target().most_tasks) == (1, 0, 4)


def test_the_runner_understands_all_that_it_is_told():
    reader = Reader({**target(**ALL).variables(), "SLIPWAY_JOB_INPUT": "in", "SLIPWAY_JOB_OUTPUT": "out"})
    job = JobSettings.from_reader(reader)
    assert reader.problems == []
    assert (job.call, job.input_format, job.format, job.is_appended) == ("rows", "csv", "jsonl", False)
    assert (job.body, job.columns, job.keep) == ({"data": "$rows"}, ("a", "b c"), ("*",))
    assert (job.types, job.multiline, job.size) == ({"a": "int64", "b": "double"}, True, 7)
    assert (job.error_threshold, job.max_retries, job.timeout) == (5, 0, 60)
    assert (job.processes, job.prefetch, job.progress_seconds) == (4, 1, 1)
    assert (job.block_bytes, job.part_bytes) == (1024 * 1024, 512 * 1024)


def test_every_setting_of_the_runner_can_be_said():
    # Besides where, and which slice.
    apart = {"SLIPWAY_JOB_INPUT", "SLIPWAY_JOB_OUTPUT", "SLIPWAY_JOB_TASK", "SLIPWAY_JOB_OF"}
    options = {settings._PREFIX + name.upper().replace("-", "_") for name in settings._OPTIONS}
    assert set(target(**ALL).variables()) == options - apart


@pytest.mark.parametrize(("has_azure", "engine"), [(True, "azure"), (False, "local")])
def test_jobs_run_where_the_stack_has_something_to_run_them(has_azure, engine):
    assert target().engine_in(has_azure=has_azure) == engine
    assert target(engine="local").engine_in(has_azure=has_azure) == "local"


@pytest.mark.parametrize(
    "place",
    [
        "flowers",
        "flowers/**/*.parquet",
        "data/day=?.csv",
        "log?series.csv",
        "/data",
        "abfs://in/x/**/*.csv",
        "s3://b/x",
        "az://c",
        "azfiles://data/in/**/*.csv",
        "azfiles://data@shop",
        "azfiles://data@shop.file.core.usgovcloudapi.net/day=1/",
        "./x",
    ],
)
def test_places_are_folders_globs_and_urls(place):
    assert target(input=place, output=place).input == place


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"input": "https://x.example/y"}, "a URL with abfs://, az://, azfiles:// or s3://"),
        ({"input": "@list"}, "must be a folder"),
        ({"input": "azfiles://Data@shop/x"}, "must be azfiles://SHARE@ACCOUNT/PATH"),
        ({"output": "azfiles://da@shop/x"}, "must be azfiles://SHARE@ACCOUNT/PATH"),
        ({"output": "azfiles://data@shop/a b"}, "must be azfiles://SHARE@ACCOUNT/PATH"),
        ({"nodes": {"dedicated": 0}}, "give dedicated or lowPriority at least 1"),
        ({"nodes": {"dedicated": 1, "idle": 2}}, "keeps 2 idle nodes of 1 dedicated ones"),
        ({"schedule": "daily", "input": "x"}, "the five fields of cron"),
        ({"schedule": "0 24 * * *", "input": "x"}, 'has "24" for the hour; allowed are numbers from 0 to 23'),
        ({"schedule": "0 3 * * *"}, "has a schedule and no input"),
        ({"columns": ["a,b"]}, "without commas"),
        ({"keep": ["id", "x", "id"]}, 'names "id" more than once in `keep`'),
        ({"columns": ["id", "id"]}, 'names "id" more than once in `columns`'),
        ({"types": {"x": "nonsense"}}, "a type of Arrow: bool, int64"),
        ({"types": {"x": "timestamp[us"}}, "with a zone timestamp[us, tz=UTC]"),
        ({"vmSize": "2 cores"}, 'a size as in "Standard_D2s_v5"'),
        ({"engine": "kubernetes-in-space"}, "Input should be 'azure'"),
        ({"errorThreshold": -2}, "greater than or equal to -1"),
        ({"blockBytes": "4MB"}, 'did you mean "4Mi"'),
        ({"mounts": {"lookup": "Tables"}}, 'a container as in "lookup", of another account as in "lookup@account"'),
        ({"mounts": {"lookup": "a" * 64}}, "a container as in"),
        ({"mounts": {"lookup": "tables@a.b"}}, "a container as in"),
        ({"mounts": {"../up": "tables"}}, "a folder's name"),
        ({"mounts": {"lookup": "tables"}, "engine": "local"}, "which only nodes of Azure Batch have"),
    ],
)
def test_what_no_job_can_be_is_refused_with_what_is_allowed(keys, message):
    with pytest.raises(ValidationError) as refused:
        target(**keys)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "place",
    [
        "abfs://user:canary@c/x",
        "abfs://c/x?sig=canary",
        "s3://b/x?se=canary",
        "s3://b/k?X-Amz-Credential=canary&X-Amz-Signature=canary",
        "s3://b/k?AWSAccessKeyId=canary&Signature=canary",
        "https://c.example/x?a=b&SIG=canary",
        "azfiles://data@shop/x?sv=1&sig=canary",
    ],
)
def test_a_place_with_a_credential_is_refused(place):
    with pytest.raises(ValidationError) as refused:
        target(input=place)
    assert "must not hold a credential" in str(refused.value.errors()[0]["msg"])
    assert "canary" not in refused.value.errors()[0]["msg"]


@pytest.mark.parametrize("place", ["s3://b/k?token=canary", "https://c.example/x#canary"])
def test_what_may_hold_a_credential_is_refused_without_being_shown(place):
    with pytest.raises(ValidationError) as refused:
        target(input=place)
    assert "a URL with abfs://, az://, azfiles:// or s3://" in refused.value.errors()[0]["msg"]
    assert "canary" not in refused.value.errors()[0]["msg"]


def test_the_runner_refuses_the_same_credentials():
    assert (settings._SECRET_URL.pattern, settings._SECRET_URL.flags) == (SECRET_URL.pattern, SECRET_URL.flags)


def test_a_stack_says_what_holds_for_all_pools():
    values = {"targets": ["batch"], "azure": {"location": "westeurope", "batch": {"account": {"spot": True}}}}
    batch = load_environment(values, source="prod").azure.batch
    assert (batch.account.spot, batch.max_nodes, batch.drain_minutes) == (True, 20, 60)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"account": {"id": GROUP}}, "Microsoft.Batch/batchAccounts/NAME"),
        (
            {"account": {"id": f"{GROUP}/providers/Microsoft.Batch/batchAccounts/x", "spot": True}},
            'remove "spot", or the id to create one',
        ),
        ({"maxNodes": 0}, "at least 1"),
        ({"nodeImage": {"agent": "ubuntu"}}, 'an agent as in "batch.node.ubuntu 22.04"'),
        ({"subnet": GROUP}, "Microsoft.Network/virtualNetworks/NAME/subnets/NAME"),
    ],
)
def test_what_azure_would_refuse_is_refused_here(batch, message):
    with pytest.raises(ManifestError) as refused:
        load_environment({"targets": ["batch"], "azure": {"location": "westeurope", "batch": batch}}, source="prod")
    assert message in str(refused.value)


def test_a_batch_target_needs_no_azure():
    assert load_environment({"targets": ["batch"]}, source="dev").azure is None


@pytest.mark.parametrize(
    ("cron", "every", "then"),
    [
        ("0 3 * * *", timedelta(days=1), "2026-11-30T03:00"),
        ("*/15 * * * *", timedelta(minutes=15), "2026-11-29T04:45"),
        ("* * * * *", timedelta(minutes=1), "2026-11-29T04:33"),
        ("5 */6 * * *", timedelta(hours=6), "2026-11-29T06:05"),
        ("7 * * * *", timedelta(hours=1), "2026-11-29T05:07"),
        ("30 2 * * 1", timedelta(days=7), "2026-11-30T02:30"),
        ("0 3 * * 0,7", timedelta(days=7), "2026-12-06T03:00"),
        ("0 0,12 * * 0-6", timedelta(hours=12), "2026-11-29T12:00"),
    ],
)
def test_even_distances_are_found_with_the_next_time(cron, every, then):
    found = even(cron)
    assert wrong_cron(cron) is None
    assert found.every == every
    assert found.next(NOW) == datetime.fromisoformat(f"{then}+00:00")


@pytest.mark.parametrize("cron", ["0 3 * * 1-5", "0 3 1 * *", "0 3 * 6 *", "*/7 * * * *", "0 3,4 * * *"])
def test_uneven_distances_are_told_from_them(cron):
    assert wrong_cron(cron) is None
    assert even(cron) is None


@pytest.mark.parametrize(
    "cron", ["0 3 * *", "60 * * * *", "0 3 0 * *", "5-1 * * * *", "*/0 * * * *", "a * * * *", "1, * * * *"]
)
def test_what_is_no_cron_is_told(cron):
    assert wrong_cron(cron)


def test_a_target_on_a_cluster_says_where_pods_can_reach_what_they_read_and_write():
    where = {"engine": "kubernetes", "output": "abfs://out/iris"}
    assert target(**where).cluster is None
    there = target(engine="kubernetes", input="/mnt/data/in", output="/mnt/data/out", cluster={"claim": "files"})
    assert there.cluster.settings() == {"claim": "files"}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"engine": "kubernetes"}, "has engine: kubernetes and no output"),
        ({"engine": "kubernetes", "output": "out"}, 'whose pods cannot reach "out"'),
        ({"engine": "kubernetes", "output": "/mnt/data/out"}, "with `cluster: {claim: NAME}`"),
        ({"engine": "kubernetes", "output": "abfs://o/p", "input": "in/*.csv"}, 'whose pods cannot reach "in/*.csv"'),
        ({"cluster": {"claim": "files"}}, "has `cluster`, which belongs to engine: kubernetes"),
    ],
)
def test_a_target_that_no_cluster_could_run_is_refused(keys, message):
    with pytest.raises(ValidationError) as raised:
        target(**keys)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "name",
    [
        *("bool", "int8", "uint64", "float", "float32", "float64", "double", "string", "large_string", "binary"),
        *("large_binary", "date32", "date64", "time32[s]", "time32[ms]", "time64[us]", "time64[ns]", "duration[s]"),
        *("timestamp[s]", "timestamp[ns]", "timestamp[us, tz=Europe/Berlin]"),
    ],
)
def test_a_type_that_the_manifest_allows_is_one_that_csv_is_read_as(name):
    assert target(types={"x": name}).types == {"x": name}
    options = csv.ConvertOptions(column_types={"x": type_of(name)})
    assert csv.read_csv(io.BytesIO(b"x,y\n,1\n"), convert_options=options).num_rows == 1
