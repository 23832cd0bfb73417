"""Jobs without an engine: what a task is told, what states say, how an input is split, what containers see."""

import json
from dataclasses import replace

import pytest

from jobs.azure_engine import AzureEngine
from jobs.azure_job import container_of
from jobs.engine import Job, JobError, State, TaskState, state_of, state_of_all
from jobs.mounts import mounted
from jobs.output import ERRORS, PREDICTIONS, Output
from jobs.splitting import tasks_for
from scoring.batch.split import task_count
from tests.unit.batch_harness import DOUBLE, put, put_rows, run

MIB = 1024 * 1024
JOB = Job(
    id="iris-1",
    model="iris",
    version="1",
    image="r/iris@sha256:1",
    input="/data/a.csv\n/data/ö.csv",
    output="/out/iris-1",
    tasks=3,
    settings={"SLIPWAY_JOB_KEEP": "id"},
    arguments=("--limit", "3"),
    environment={"MINE": "1"},
)


def test_a_job_survives_as_text():
    assert Job.from_json(JOB.to_json()) == JOB
    assert JOB.to_json().isascii()


def test_a_task_is_told_all_it_needs_by_variables():
    told = JOB.variables(2, output="/mnt/output")
    assert (told["SLIPWAY_JOB_TASK"], told["SLIPWAY_JOB_OF"]) == ("2", "3")
    assert (told["SLIPWAY_JOB_INPUT"], told["SLIPWAY_JOB_OUTPUT"]) == (JOB.input, "/mnt/output")
    assert (told["SLIPWAY_JOB_KEEP"], told["MINE"]) == ("id", "1")
    assert JOB.command() == ["batch", "--", "--limit", "3"]


def test_a_task_whose_number_the_platform_gives_is_told_none():
    assert "SLIPWAY_JOB_TASK" not in JOB.variables(None)


@pytest.mark.parametrize(("code", "state"), [(0, "complete"), (1, "failed"), (2, "failed"), (3, "failed")])
def test_what_would_end_the_same_again_has_failed(code, state):
    assert state_of(code) == state


@pytest.mark.parametrize("code", [75, 137, 143, 255])
def test_a_task_that_was_stopped_or_killed_can_go_on(code):
    assert state_of(code) is State.UNFINISHED


@pytest.mark.parametrize(
    ("tasks", "whole"),
    [
        ("complete complete", "complete"),
        ("complete running failed", "running"),
        ("complete waiting", "running"),
        ("waiting waiting", "waiting"),
        ("complete failed unfinished", "failed"),
        ("complete unfinished", "unfinished"),
    ],
)
def test_a_jobs_state_follows_from_its_tasks(tasks, whole):
    states = [TaskState(number, State(one)) for number, one in enumerate(tasks.split())]
    assert state_of_all(states) == whole


@pytest.mark.parametrize(
    ("size", "files", "most", "tasks"),
    [(0, 1, 100, 1), (MIB, 1, 100, 2), (10 * MIB, 1, 100, 11), (10**15, 1, 100, 100), (0, 400, 1000, 100)],
)
def test_the_size_of_the_input_decides_on_the_number_of_tasks(size, files, most, tasks):
    assert task_count(size, files, MIB, most) == tasks


def test_the_input_is_measured_where_it_is(tmp_path):
    for number in range(8):
        put(tmp_path, f"day={number}/a.csv", "x\n" + "1\n" * 200_000)
    target = {"taskBytes": MIB, "mostTasks": 100}
    assert tasks_for(str(tmp_path / "in/**/*.csv"), target) == 6
    assert tasks_for(str(tmp_path / "in"), {**target, "mostTasks": 2}) == 2


def test_an_input_without_files_is_a_mistake(tmp_path):
    with pytest.raises(JobError, match="has no files") as raised:
        tasks_for(str(tmp_path / "none*.csv"), {"taskBytes": MIB, "mostTasks": 2})
    assert raised.value.is_usage


def test_a_container_sees_each_input_read_only_and_the_output_as_it_is_named_there(tmp_path):
    file = put(tmp_path, "day=1/a.csv", "x\n1\n")
    folder = file.parents[1]
    places = mounted(f"{folder}/**/*.csv\n{file}\ns3://bucket/b.csv", str(tmp_path / "made/out"))
    assert places.input.splitlines() == ["/mnt/input/0/**/*.csv", "/mnt/input/1/a.csv", "s3://bucket/b.csv"]
    assert places.output == "/mnt/output"
    assert places.output_folder.is_dir()
    assert places.names == {"/mnt/input/0": str(folder), "/mnt/input/1/a.csv": str(file)}
    assert places.mounts == [
        {"source": str(folder), "target": "/mnt/input/0", "read_only": True},
        {"source": str(file), "target": "/mnt/input/1/a.csv", "read_only": True},
        {"source": str(tmp_path / "made/out"), "target": "/mnt/output"},
    ]


def test_nothing_is_mounted_for_storages(tmp_path):
    places = mounted("abfs://in/a", "abfs://out/b")
    assert (places.mounts, places.output, places.output_folder) == ([], "abfs://out/b", None)


def test_an_input_that_is_not_there_is_told_before_anything_is_started(tmp_path):
    with pytest.raises(JobError, match=r"There is no input .*/none/\*\.csv"):
        mounted(str(tmp_path / "none/*.csv"), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_what_a_job_wrote_is_read_as_the_runner_writes_it(form, tmp_path):
    put_rows(tmp_path, "a/rows.csv", [{"x": number} for number in range(500)])
    put_rows(tmp_path, "b/rows.csv", [{"x": number} for number in range(500, 700)])
    put(tmp_path, "c/broken.csv", "x\nno number\n")
    run(tmp_path, DOUBLE, format=form, keep="x", task=0, of=2)
    run(tmp_path, DOUBLE, format=form, keep="x", task=1, of=2)
    output = Output(str(tmp_path / "out"))
    assert output.head(PREDICTIONS, 502) == [{"x": n, "twice": 2 * n} for n in range(502)]
    assert [json.loads(json.dumps(one))["row"] for one in output.head(ERRORS, 5)] == [0]
    assert all(name.endswith(f".{form}") for name in output.files(PREDICTIONS))
    seen = output.progress(2)
    assert (seen.items, seen.failed, seen.parts_done, seen.parts) == (701, 1, 3, 3)
    assert seen.size_done == seen.size > 0


def test_a_job_that_has_not_begun_has_no_progress(tmp_path):
    output = Output(str(tmp_path / "out"))
    assert output.progress(2).parts == 0
    assert output.files(PREDICTIONS) == {}
    assert output.head(PREDICTIONS, 3) == []


def test_only_tasks_that_tell_something_are_asked_how_far_they_are(tmp_path, monkeypatch):
    put_rows(tmp_path, "rows.csv", [{"x": number} for number in range(5)])
    run(tmp_path, DOUBLE, task=7, of=50_000)
    output, asked = Output(str(tmp_path / "out")), []
    cat = output._system.cat
    monkeypatch.setattr(output._system, "cat", lambda paths, **options: asked.extend(paths) or cat(paths, **options))
    output.progress(50_000)
    assert asked == [str(tmp_path / "out/job/progress/7-of-50000.json")]


def test_what_one_of_several_tasks_tells_is_seen_before_the_others_begin(tmp_path):
    put_rows(tmp_path, "rows.csv", [{"x": number} for number in range(5)])
    run(tmp_path, DOUBLE, task=0, of=2)
    assert Output(str(tmp_path / "out")).progress(2).items in {0, 5}


def test_a_task_on_azure_sees_what_its_node_mounts_to_read_and_no_other_tasks_folder():
    """What Batch is asked for, as its library writes it; a target without mounts asks for nothing of the kind."""
    target = {"image": JOB.image, "taskRetries": 3}
    assert "containerHostBatchBindMounts" not in container_of(target).as_dict()
    assert container_of({**target, "mounts": ["lookup"]}).as_dict()["containerHostBatchBindMounts"] == [
        {"source": "VfsMounts", "isReadOnly": True},
        {"source": "Task", "isReadOnly": False},
    ]


@pytest.mark.parametrize("places", [{"input": "abfs://inputs/a\n/data/a.csv"}, {"output": "/data/out"}])
def test_azure_refuses_a_job_of_places_that_its_nodes_cannot_reach(places):
    urls = {"input": "abfs://inputs/a", "output": "abfs://outputs/a"}
    # Nothing listens there: it is refused before anything is asked.
    engine = AzureEngine("shop/dev", {"account": "http://127.0.0.1:1/account", "pool": "iris"}, {})
    with pytest.raises(JobError, match="node cannot reach /data/") as refused:
        engine.submit(replace(JOB, **urls | places))
    assert refused.value.is_usage
