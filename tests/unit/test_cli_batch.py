"""`slipway batch`: what is asked of the engine, what is refused, how it ends; the engine is a list."""

import json

import fsspec
import pytest

from cli.errors import Exit
from cli.main import run
from jobs.engine import JobState, State, TaskState, state_of, state_of_all
from tests.unit import batch_harness
from tests.unit.cli_harness import FakePulumi

TARGET = {
    "engine": "local",
    "input": None,
    "output": "predictions",
    "settings": {"SLIPWAY_JOB_KEEP": "x"},
    "arguments": [],
    "environment": {},
    "tasks": None,
    "taskBytes": 1024,
    "mostTasks": 8,
}


class Ending:
    """An engine whose tasks end at once, with the code that is next."""

    def __init__(self):
        self.submitted = []
        self.codes = [0]
        self.states = {}

    def submit(self, job):
        self.submitted.append(job)
        code = self.codes.pop(0)
        tasks = tuple(TaskState(number, state_of(code), code) for number in range(job.tasks))
        self.states[job.id] = JobState(job, state_of_all(list(tasks)), "2026-01-01T00:00:00Z", tasks=tasks)

    def jobs(self, model):
        return [one for one in self.states.values() if one.job.model == model]

    def job(self, id_):
        return self.states.get(id_)

    def logs(self, id_, task, *, follow=False):
        event = {"time": "T", "level": "ERROR", "logger": "slipway", "message": "12 items failed"}
        yield from [(task, "started"), (task, json.dumps(event)), (task, "{}")]

    def cancel(self, id_):
        self.states[id_] = JobState(self.states[id_].job, State.UNFINISHED, "2026-01-01T00:00:00Z")


@pytest.fixture
def engine(monkeypatch):
    made = Ending()
    monkeypatch.setattr("cli.batch.target._engine", lambda *_, **__: made)
    return made


@pytest.fixture
def project(tmp_path, monkeypatch, engine):
    (tmp_path / "models.yaml").write_text("models: []\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "empty").write_text("\n")
    monkeypatch.chdir(tmp_path / "data")
    made = FakePulumi(tmp_path)
    deploy(made)
    return made


def deploy(project, **changes):
    targets = {"batch": {**TARGET, **changes}, "local-docker": {"endpoint": "http://127.0.0.1:1"}}
    models = {
        "iris": {"version": "2", "image": "r/iris@sha256:1", "targets": targets},
        "digits": {"version": "1", "image": "r/digits@sha256:1", "targets": {"aci": {}}},
    }
    project.answers(out={"models": models})


def test_a_job_reads_from_here_and_writes_to_a_folder_of_its_own(project, engine, capsys):
    assert run(["batch", "run", "iris", "-i", "day=*/*.csv", "-i", "s3://b/c.csv", "--", "--limit", "3"]) == Exit.OK
    [job] = engine.submitted
    assert job.input.splitlines() == [f"{project.root}/data/day=*/*.csv", "s3://b/c.csv"]
    assert job.output == f"{project.root}/predictions/{job.id}"
    assert (job.model, job.version, job.image, job.tasks) == ("iris", "2", "r/iris@sha256:1", 1)
    assert (job.settings, job.arguments) == ({"SLIPWAY_JOB_KEEP": "x"}, ("--limit", "3"))
    assert f"{job.id} is complete" in capsys.readouterr().out


def test_what_the_target_says_is_of_the_project(project, engine):
    deploy(project, input="inputs/*.csv", output="abfs://outputs/iris", tasks=4)
    assert run(["batch", "run", "iris", "--job", "nightly", "--no-wait"]) == Exit.OK
    [job] = engine.submitted
    assert (job.input, job.output) == (f"{project.root}/inputs/*.csv", "abfs://outputs/iris/nightly")
    assert job.tasks == 4


def test_a_job_elsewhere_has_as_many_tasks_as_its_input_asks_for(project, engine):
    deploy(project, engine="azure", output="abfs://outputs/iris", environment={"AZURE_CLIENT_ID": "x"})
    storage = fsspec.filesystem("memory")
    storage.pipe_file("/tasks-by-size/a.csv", b"x\n" + b"1\n" * 3000)
    try:
        assert run(["batch", "run", "iris", "--input", "memory://tasks-by-size", "--no-wait"]) == Exit.OK
    finally:
        storage.rm("/tasks-by-size", recursive=True)
    [job] = engine.submitted
    assert (job.tasks, job.environment) == (8, {"AZURE_CLIENT_ID": "x"})


def test_a_path_of_a_job_on_azure_is_in_the_storage_of_the_stack(project, engine):
    deploy(project, engine="azure", output="abfs://outputs/iris")
    given = ["-i", "day1/*.parquet", "-i", "./a b.csv", "-i", ".", "-i", "s3://b/c.csv", "-o", "scored/"]
    given += ["-i", "azfiles://data@shop/d.csv"]
    assert run(["batch", "run", "iris", *given, "--job", "one", "--tasks", "2", "--no-wait"]) == Exit.OK
    [job] = engine.submitted
    assert job.input.splitlines() == [
        "abfs://inputs/day1/*.parquet",
        "abfs://inputs/a b.csv",
        "abfs://inputs/",
        "s3://b/c.csv",
        "azfiles://data@shop/d.csv",
    ]
    assert job.output == "abfs://outputs/scored/one"


@pytest.mark.parametrize("given", [["-i", "/data/a.csv"], ["-i", "../a.csv"], ["-i", "a.csv", "-o", "/data/out"]])
def test_a_path_that_can_only_be_on_this_machine_is_refused_for_a_job_on_azure(given, project, engine, capsys):
    deploy(project, engine="azure", output="abfs://outputs/iris")
    assert run(["batch", "run", "iris", *given, "--tasks", "2"]) == Exit.USAGE
    err = capsys.readouterr().err
    assert "is a place on a machine" in err
    assert "--local" in err
    assert engine.submitted == []


def test_a_share_of_no_account_is_refused_for_a_job_on_azure_alone(project, engine, capsys):
    given = ["batch", "run", "iris", "-i", "azfiles://data/in", "--tasks", "2", "--no-wait"]
    deploy(project, engine="azure", output="abfs://outputs/iris")
    assert run(given) == Exit.USAGE
    assert "azfiles://data/in names no account" in capsys.readouterr().err
    assert engine.submitted == []
    deploy(project, output="scored")
    assert run(given) == Exit.OK
    assert engine.submitted[0].input == "azfiles://data/in"


def test_a_job_of_a_target_elsewhere_stays_here_with_local(project, engine):
    deploy(project, engine="azure", output="abfs://outputs/iris", environment={"AZURE_CLIENT_ID": "x"})
    assert run(["batch", "run", "iris", "--input", ".", "--local", "--no-wait"]) == Exit.OK
    [job] = engine.submitted
    assert job.output == f"{project.root}/.slipway/batch/iris/{job.id}"
    assert (job.tasks, job.environment) == (1, {})


def test_a_list_of_inputs_is_read_here(project, engine):
    (project.root / "data/list").write_text("a.csv\n\nabfs://c/b.csv\n")
    assert run(["batch", "run", "iris", "--input", "@list", "--no-wait"]) == Exit.OK
    assert engine.submitted[0].input.splitlines() == [f"{project.root}/data/a.csv", "abfs://c/b.csv"]


def test_a_job_that_was_not_finished_goes_on_as_it_was_begun(project, engine, capsys):
    engine.codes = [75, 0]
    assert run(["batch", "run", "iris", "-i", "a", "--tasks", "2", "--job", "one"]) == Exit.FAILED
    told = capsys.readouterr().err
    assert "task 1 ended with code 75: 12 items failed" in told
    assert "`slipway batch run iris --job one` goes on behind what is finished." in told
    deploy(project, settings={}, tasks=7)
    assert run(["batch", "run", "iris", "--job", "one"]) == Exit.OK
    assert engine.submitted[0] == engine.submitted[1]


def test_a_job_that_is_complete_is_not_run_again(project, engine, capsys):
    for _ in range(2):
        assert (
            run(
                ["batch", "run", "iris", "-i", "a", "--job", "one"]
                if not engine.submitted
                else ["batch", "run", "iris", "--job", "one"]
            )
            == Exit.OK
        )
    assert len(engine.submitted) == 1
    assert "one is complete" in capsys.readouterr().out


def test_a_job_goes_on_as_itself_only(project, engine, capsys):
    assert run(["batch", "run", "iris", "-i", "a", "--job", "one"]) == Exit.OK
    assert run(["batch", "run", "iris", "-i", "b", "--tasks", "2", "--job", "one"]) == Exit.USAGE
    assert "--input, --tasks cannot be changed" in capsys.readouterr().err
    assert len(engine.submitted) == 1


@pytest.mark.parametrize(("code", "ends"), [(1, Exit.FAILED), (2, Exit.USAGE), (3, Exit.FAILED), (137, Exit.FAILED)])
def test_how_a_task_ends_is_how_the_command_ends(code, ends, project, engine, capsys):
    engine.codes = [code]
    assert run(["batch", "run", "iris", "-i", "a", "--json"]) == ends
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["tasks"][0]["exit_code"] == code
    assert told["state"] == ("unfinished" if code == 137 else "failed")
    assert f"task 0 ended with code {code}: 12 items failed" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "iris"], "What is iris to score?"),
        (["run", "digits", "-i", "a"], "digits has no batch target in the stack dev"),
        (["run", "irs", "-i", "a"], 'did you mean "iris"?'),
        (["run", "iris", "-i", "abfs://c@a.dfs.example.org/x?sv=1&sig=hidden"], "has a credential in its URL"),
        (["run", "iris", "-i", "a", "-o", "s3://key:hidden@bucket/x"], "has a credential in its URL"),
        (["run", "iris", "-i", "s3://b/k?AWSAccessKeyId=hidden&Signature=hidden"], "has a credential in its URL"),
        (["run", "iris", "-i", "a", "--job", "Not A Name"], "small letters, digits and single hyphens"),
        (["run", "iris", "-i", "@none"], "The list none cannot be read"),
        (["run", "iris", "-i", ""], "An input or output is empty"),
        (["run", "iris", "-i", "a", "-i", " "], "An input or output is empty"),
        (["run", "iris", "-i", "a", "-o", ""], "An input or output is empty"),
        (["run", "iris", "-i", "@../empty"], "The list ../empty names no input"),
        (["logs", "iris", "--job", "none"], "job of iris"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_started(arguments, message, project, engine, capsys):
    assert run(["batch", *arguments]) == Exit.USAGE
    err = capsys.readouterr().err
    assert message in err
    assert "hidden" not in err
    assert engine.submitted == []


def test_jobs_are_listed_for_people_and_programs(project, engine, capsys):
    run(["batch", "run", "iris", "-i", "a", "--job", "one"])
    capsys.readouterr()
    assert run(["batch", "list", "--json"]) == Exit.OK
    [listed] = json.loads(capsys.readouterr().out)["jobs"]
    assert (listed["job"], listed["state"], listed["model"]) == ("one", "complete", "iris")
    assert run(["batch", "list", "iris"]) == Exit.OK
    assert capsys.readouterr().out.splitlines()[1].split()[:5] == ["one", "complete", "1", "of", "1"]


def test_the_log_is_of_the_latest_job_unless_another_is_named(project, engine, capsys):
    run(["batch", "run", "iris", "-i", "a", "--job", "one"])
    capsys.readouterr()
    assert run(["batch", "logs", "iris", "--task", "0"]) == Exit.OK
    assert capsys.readouterr().out.splitlines() == ["started", "T ERROR   slipway: 12 items failed", "{}"]
    assert run(["batch", "logs", "iris", "--json"]) == Exit.OK
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["task"], one["event"] is None) for one in lines] == [(None, True), (None, False), (None, True)]
    assert run(["batch", "logs", "iris", "--task", "1"]) == Exit.USAGE


def test_all_tasks_of_a_job_are_followed_at_once(project, engine, capsys):
    run(["batch", "run", "iris", "-i", "a", "--job", "one", "--tasks", "3"])
    capsys.readouterr()
    assert run(["batch", "logs", "iris", "--follow"]) == Exit.OK
    printed = capsys.readouterr().out.splitlines()
    assert sorted(line for line in printed if "started" in line) == [f"{task} | started" for task in range(3)]
    assert len(printed) == 9


def test_a_job_is_cancelled_once(project, engine, capsys):
    run(["batch", "run", "iris", "-i", "a", "--job", "one"])
    one = engine.states["one"]
    engine.states["one"] = JobState(one.job, State.RUNNING, one.created, tasks=one.tasks)
    assert run(["batch", "cancel", "iris"]) == Exit.OK
    assert engine.states["one"].state is State.UNFINISHED
    assert run(["batch", "cancel", "iris"]) == Exit.OK
    assert "one is unfinished: there is nothing to end." in capsys.readouterr().out


def test_results_are_where_the_job_wrote_them(project, engine, capsys):
    run(["batch", "run", "iris", "-i", "a", "--job", "one"])
    batch_harness.put_rows(project.root, "rows.csv", [{"x": 1}, {"x": 2}, {"x": 3}])
    batch_harness.put(project.root, "more.csv", "x\nno number\n")
    batch_harness.run(
        project.root,
        batch_harness.DOUBLE,
        keep="x",
        types='{"x": "int64"}',
        variables={"SLIPWAY_JOB_OUTPUT": f"{project.root}/predictions/one"},
    )
    capsys.readouterr()
    assert run(["batch", "results", "iris", "-n", "2", "--json"]) == Exit.OK
    told = json.loads(capsys.readouterr().out)
    assert told["predictions"]["head"] == [{"x": 1, "twice": 2}, {"x": 2, "twice": 4}]
    assert told["predictions"]["place"] == f"{project.root}/predictions/one/predictions"
    assert [one["row"] for one in told["errors"]["head"]] == [0]
    assert told["progress"]["items"] == 4
    assert run(["batch", "results", "iris"]) == Exit.OK
    out = capsys.readouterr().out
    assert "one is complete: 4 items, 1 failed" in out
    assert "more.csv, row 0:" in out
    assert ["1", "2"] in [line.split() for line in out.splitlines()]


def test_a_stack_without_a_batch_target_says_how_it_gets_one(project, engine, capsys):
    project.answers(out={})
    assert run(["batch", "list"]) == Exit.FAILED
    assert "has no batch target" in capsys.readouterr().err
