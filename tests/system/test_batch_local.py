"""Batch jobs on this machine: real images and containers, killed and refused, by `slipway batch`."""

import json
import re
import shutil
import signal
import subprocess
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from jobs.engine import Job, JobError
from jobs.local_engine import LABEL, LocalEngine
from jobs.output import PREDICTIONS, Output
from standins.azure_native.addresses import bridge_host
from tests.system.checkout import ROOT, Project
from tests.unit.azure_files_harness import share

pytestmark = [pytest.mark.engine, pytest.mark.system]
FILES, ROWS = 40, 60
PATIENCE = 240
# A web service's: its sample's shape is that of the requests.
DOUBLE = """import json, os, time


def init():
    assert os.getuid() != 0
    try:
        open("/opt/slipway/x", "w")
    except OSError:
        return
    raise AssertionError("the root can be written to")


def run(data):
    rows = json.loads(data)["rows"]
    time.sleep(0.15)
    return [{"twice": 2 * row["x"]} for row in rows]
"""
# A batch script of Azure ML's.
LOOK = """import os
from pathlib import Path


def init():
    pass


def run(mini_batch):
    for path in mini_batch:
        Path(os.environ["AZUREML_BI_OUTPUT_PATH"], Path(path).name + ".seen").write_text("seen")
    return [f"{Path(path).name} {len(Path(path).read_bytes())}" for path in mini_batch]
"""
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
LAYOUT = {"partBytes": "1Ki", "blockBytes": "1Ki", "miniBatchSize": 50, "keep": ["x"], "errorThreshold": 4}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A deployed stack with batch targets, where nothing runs."""
    if not (ROOT / ".slipway/toolchain.json").exists():
        pytest.fail("the toolchain is not set up: run `make setup`")
    made = Project(tmp_path_factory.mktemp("batch") / "checkout")
    try:
        for name, script, sample, batch in (
            ("double", DOUBLE, '{"rows": [{"x": 1}]}', LAYOUT),
            ("look", LOOK, None, {"call": "files", "memory": "256Mi"}),
        ):
            made.model(name)
            made.script(name).write_text(script)
            entry = made._entries[name]
            entry["targets"] = [{"batch": batch}]
            if sample is None:
                entry["scoring"] = {}
                (made.folder / f"models/{name}/sample.json").unlink()
            else:
                (made.folder / f"models/{name}/sample.json").write_text(sample)
        made.write_manifest()
        (made.folder / f"Pulumi.{made.stack}.yaml").write_text("config:\n  slipway:targets: [batch]\n")
        made.run("up")
        yield made
    finally:
        made.close()
    assert containers(made) == []


def command(project, *arguments):
    name, *rest = arguments
    return [str(ROOT / ".venv/bin/slipway"), "batch", name, "--stack", project.stack, *rest]


def start(project, *arguments):
    return subprocess.Popen(
        command(project, *arguments),
        cwd=project.folder,
        env=project.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def batch(project, *arguments, expect=0):
    process = start(project, *arguments)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == expect, f"{out}\n{err}"
    return out, err


def containers(project, job=None):
    labels = [f"{LABEL}={project.stack}/{project.stack}", *([f"{LABEL}.job={job}"] if job else [])]
    return project.docker.containers.list(all=True, filters={"label": labels}, ignore_removed=True)


def put_rows(folder, files=FILES):
    for number in range(files):
        file = folder / f"day={number % 3}" / f"{number:03d}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x\n" + "".join(f"{number * ROWS + row}\n" for row in range(ROWS)))


def rows_of(folder):
    found = Output(str(folder)).head(PREDICTIONS, 10**6)
    return sorted((one["x"], one["twice"]) for one in found)


def finished(folder):
    return {path: path.stat().st_mtime_ns for path in (folder / "job/done").rglob("*.json")}


def test_nothing_runs_before_there_is_a_job(project):
    shown = json.loads(project.run("status", "--json").stdout)["models"]
    assert [(one["model"], one["target"], one["engine"], one["state"]) for one in shown] == [
        ("double", "batch", "local", "idle"),
        ("look", "batch", "local", "idle"),
    ]
    assert containers(project) == []


def test_a_job_of_which_a_task_was_killed_goes_on_and_is_exact(project, tmp_path):
    put_rows(tmp_path / "in")
    out = tmp_path / "out/one"
    process = start(
        project, "run", "double", "--input", f"{tmp_path}/in/**/*.csv", "--output", f"{tmp_path}/out", "--tasks", "3",
        "--job", "one",
    )  # fmt: skip
    project.wait_for(lambda: len(finished(out)) >= 3, PATIENCE)
    [victim] = [one for one in containers(project, "one") if one.labels[f"{LABEL}.task"] == "1"]
    # So that it cannot be complete before it is killed, however long the question takes.
    victim.pause()
    assert {one["state"] for one in json.loads(project.run("status", "--json").stdout)["models"]} == {"running", "idle"}
    victim.kill(signal.SIGKILL)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "one is unfinished:\n  task 1 ended with code 137: it was killed" in err
    before = finished(out)
    assert len(before) < FILES

    _, err = batch(project, "run", "double", "--job", "one")
    after = finished(out)
    assert len(after) == FILES
    assert {path: after[path] for path in before} == before
    assert rows_of(out) == [(number, 2 * number) for number in range(FILES * ROWS)]
    listed = json.loads(batch(project, "list", "double", "--json")[0])["jobs"]
    assert [(one["job"], one["state"], len(one["tasks"])) for one in listed] == [("one", "complete", 3)]


def test_more_errors_than_allowed_end_the_job_and_are_told(project, tmp_path):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"x": n if n % 9 else None}) + "\n" for n in range(90)))
    _, err = batch(
        project, "run", "double", "-i", str(tmp_path / "rows.jsonl"), "-o", str(tmp_path), "--job", "bad", expect=1
    )
    assert "bad is failed:\n  task 0 ended with code 1:" in err
    assert "items failed, more than the 4 of --error-threshold" in err
    out, _ = batch(project, "results", "double", "--job", "bad", "--json")
    told = json.loads(out)
    assert told["state"] == "failed"
    assert len(told["errors"]["head"]) > 4
    assert all("TypeError" in one["reason"] and one["content"] == {"x": None} for one in told["errors"]["head"])
    assert {one["file"] for one in told["errors"]["head"]} == {str(tmp_path / "rows.jsonl")}
    lines = [json.loads(line) for line in batch(project, "logs", "double", "--job", "bad", "--json")[0].splitlines()]
    assert any(one["event"] and one["event"]["level"] == "ERROR" for one in lines)


def test_rows_of_every_format_are_scored_by_a_web_services_script(project, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.csv").write_text("x\n1\n2\n")
    (folder / "b.jsonl").write_text('{"x": 3}\n')
    pq.write_table(pa.table({"x": [4, 5]}), folder / "c.parquet")
    batch(project, "run", "double", "-i", str(folder), "-o", str(tmp_path), "--job", "formats")
    assert rows_of(tmp_path / "formats") == [(number, 2 * number) for number in range(1, 6)]


def test_tasks_read_and_write_azure_files_as_who_starts_the_job_may(project, monkeypatch):
    with share(host=bridge_host()) as served:
        for name, value in served.variables.items():
            monkeypatch.setitem(project.env, name, value)
            monkeypatch.setenv(name, value)
        for number in range(6):
            content = "x\n" + "".join(f"{10 * number + row}\n" for row in range(10))
            served.put(f"in/day={number % 2}/Größe {number}.csv", content.encode())
        places = ["-i", f"{served.url}/in/**/*.csv", "-o", f"{served.url}/out"]
        batch(project, "run", "double", *places, "--job", "share", "--tasks", "2")
        assert rows_of(f"{served.url}/out/share") == [(number, 2 * number) for number in range(60)]
        out, _ = batch(project, "results", "double", "--job", "share", "--json")
        assert json.loads(out)["output"] == f"{served.url}/out/share"
        monkeypatch.delitem(project.env, "AZURE_STORAGE_CONNECTION_STRING")
        _, err = batch(project, "run", "double", *places, "--job", "keyless", expect=2)
        assert "it names no account; write azfiles://SHARE@ACCOUNT/PATH" in err


def test_images_and_plain_files_are_read_by_a_batch_script(project, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(PNG)
    (tmp_path / "in/b.txt").write_text("text")
    out, _ = batch(project, "run", "look", "-i", str(tmp_path / "in"), "-o", str(tmp_path), "--job", "files", "--json")
    told = json.loads(out)
    assert (told["state"], told["progress"]["items"], told["progress"]["failed"]) == ("complete", 2, 0)
    head = Output(str(tmp_path / "files")).head(PREDICTIONS, 9)
    assert [one["prediction"] for one in head] == [f"a.png {len(PNG)}", "b.txt 4"]
    assert sorted(path.name for path in (tmp_path / "files/written").iterdir()) == ["a.png.seen", "b.txt.seen"]
    [container] = containers(project, "files")
    assert container.attrs["HostConfig"]["ReadonlyRootfs"]
    assert container.attrs["HostConfig"]["Memory"] == 256 * 1024 * 1024


def test_a_job_is_left_alone_cancelled_and_taken_up_again(project, tmp_path):
    # Of its own, also where the test is tried again.
    name = f"long-{uuid.uuid4().hex[:8]}"
    put_rows(tmp_path / "in", files=60)
    out, _ = batch(
        project, "run", "double", "-i", str(tmp_path / "in"), "-o", str(tmp_path), "--job", name, "--no-wait"
    )
    assert out == f"{name}\n"
    project.wait_for(lambda: finished(tmp_path / name), PATIENCE)
    batch(project, "cancel", "double", "--job", name)
    [container] = containers(project, name)
    assert (container.status, container.attrs["State"]["ExitCode"]) == ("exited", 75)
    assert 0 < len(finished(tmp_path / name)) < 60
    following = start(project, "run", "double", "--job", name)
    before = len(finished(tmp_path / name))
    project.wait_for(lambda: len(finished(tmp_path / name)) > before + 1, PATIENCE)
    # Ctrl-C ends the command, not the job.
    following.send_signal(signal.SIGINT)
    _, err = following.communicate(timeout=PATIENCE)
    assert following.returncode == 130
    assert "The job goes on." in err
    batch(project, "run", "double", "--job", name)
    assert rows_of(tmp_path / name) == [(number, 2 * number) for number in range(60 * ROWS)]


def test_a_mistake_in_what_is_asked_for_is_wrong_usage(project, tmp_path):
    (tmp_path / "a.unknown").write_text("x")
    (tmp_path / "b.csv").write_text("x\nword\n")
    entry = project._entries["double"]
    _, err = batch(project, "run", "look", "-i", str(tmp_path / "none"), "-o", str(tmp_path), expect=2)
    assert f"There is no input {tmp_path}/none" in err
    assert entry


def test_a_target_with_mounts_is_not_run_on_a_machine_that_has_none(project):
    """A script that would miss its files is not begun, and the message says where it can run."""
    engine = LocalEngine("shop/dev", {"mounts": ["lookup"]}, project.env)
    with pytest.raises(JobError, match="mounts lookup, which only nodes of Azure Batch do") as refused:
        engine.submit(Job("m-1", "m", "1", "no/image", "in", "out", 1))
    assert refused.value.is_usage


def test_the_example_of_the_page_runs_as_it_stands(project):
    """Target, rows and commands of docs/batch.md, with the sample model that they are for."""
    [section] = re.findall(r"^## Try it\n(.*?)^## ", (ROOT / "docs/batch.md").read_text(), re.MULTILINE | re.DOTALL)
    target, stack, console = re.findall(r"```\w+\n(.*?)```", section, re.DOTALL)
    assert "batch" in yaml.safe_load(stack)["slipway:targets"]
    models = {one["name"]: one for one in yaml.safe_load((ROOT / "models.yaml").read_text())["models"]}
    shutil.copytree(ROOT / "models/diabetes", project.folder / "models/diabetes")
    project._entries["diabetes"] = {**models["diabetes"], "targets": yaml.safe_load(target)}
    project.write_manifest()
    told = ""
    for line in re.findall(r"^\$ (.*?)(?: +#.*)?$", console, re.MULTILINE):
        if line == "make up":
            project.run("up")
        elif line.startswith("slipway batch "):
            told, _ = batch(project, *line.split()[2:])
        else:
            subprocess.run(["bash", "-c", line], cwd=project.folder, check=True)
    assert re.search(r"59\D+192\.36", told), told
    assert "48" in told
