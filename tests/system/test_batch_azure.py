"""The engine of Azure Batch against the stand-in of its data plane, whose nodes run the model's image, with Azurite."""

import contextlib
import json
import time

import fsspec
import httpx
import pytest

from cli.batch.progress import follow, reasons
from jobs.azure_client import open_client
from jobs.azure_engine import AzureEngine
from jobs.engine import JobError, State
from standins.azure_native.addresses import bridge_host
from standins.azure_native.azurite import connection_string
from standins.azure_native.store import Store, store_folder
from standins.docker.engine import Engine
from tests.engine.test_standin_batch import Plane
from tests.system import azurite
from tests.system.checkout import Project
from tests.system.test_batch_kubernetes import FILES, ROWS, Storage, image, job_of, until  # noqa: F401 - a fixture
from tests.system.test_batch_local import DOUBLE, LAYOUT, batch

pytestmark = [pytest.mark.engine, pytest.mark.system]
OWNER = "shop/test"
MANY, FEW = 200, 10


@pytest.fixture(scope="module")
def there(image, tmp_path_factory):  # noqa: F811 - the fixture
    """A pool of four nodes, two of which may vanish; yields the target on it, the storage and the plane."""
    host = bridge_host()
    plane = Plane(tmp_path_factory.mktemp("plane"), image["image"])
    with azurite.storage(tmp_path_factory.mktemp("azurite")) as running, pytest.MonkeyPatch.context() as patched:
        proxy = azurite.Proxy(running.ports["blob"], host)
        string = running.connection_string(proxy.port).replace("127.0.0.1", host)
        storage, plane.proxy = Storage(running), proxy
        patched.setenv("AZURE_STORAGE_CONNECTION_STRING", storage.string)
        target = {
            **image,
            "engine": "azure",
            # What a storage that fails costs a task counts as a try.
            "taskRetries": 10,
            "account": plane.url,
            "pool": plane.pool("double", dedicated=2, spot=2),
            "environment": {"AZURE_STORAGE_CONNECTION_STRING": string},
        }
        yield target, storage, plane
        proxy.close()
    with contextlib.suppress(Exception):
        plane.stop()
    api = Engine().api
    for one in api.containers(all=True, filters={"label": f"io.slipway.azure.store={plane.store.mark}"}):
        api.remove_container(one["Id"], force=True)


@pytest.fixture
def engine(there):
    return AzureEngine(OWNER, there[0], {})


def asked(there, name, **changes):
    target, storage, _ = there
    job = job_of((target, storage), name, **changes)
    return type(job)(**{**job.__dict__, "environment": target["environment"]})


def test_a_job_on_nodes_that_vanish_with_a_task_that_crashes_and_a_storage_that_fails_is_exact(engine, there):
    _, storage, plane = there
    for number in range(MANY):
        content = "x\n" + "".join(f"{row}\n" for row in range(number * FEW, (number + 1) * FEW))
        storage.files.pipe_file(f"{storage.container}/many/{number // 20:02d}/{number:03d}.csv", content.encode())
    job = asked(there, "one", tasks=8, given="many/**/*.csv")
    # Several calls for each file, so that it is not over before all of this has happened.
    job = type(job)(**{**job.__dict__, "settings": {**job.settings, "SLIPWAY_JOB_MINI_BATCH_SIZE": "4"}})
    engine.submit(job)
    engine.submit(job)
    until(lambda: len(storage.names("out/one/job/done")) >= 5)
    spot = {one.id: 0 for one in plane.client.list_nodes("double") if not one.is_dedicated}
    assert len(spot) == 2
    crash(plane.store.mark)
    # Each of the two is taken away twice, as soon as it has work again; answers of the storage are lost meanwhile.
    for failure in ("refuse", "cut", "down", "refuse"):
        plane.proxy.mode = failure
        time.sleep(0.7)
        plane.proxy.mode = "pass"
        node = min(spot, key=spot.get)
        until(lambda node=node: plane.client.get_node("double", node).state == "running")
        url, token = f"{plane.url}/standin/pools/double/preempt", {"Authorization": "Bearer stand-in"}
        taken = httpx.post(url, json={"node": node}, headers=token, timeout=60)
        spot[taken.json()["node"]] += 1
    assert list(spot.values()) == [2, 2]
    assert not engine.job("one").state.is_over
    seen, progress = follow(engine, "one", is_local=True)
    assert seen.state is State.COMPLETE
    assert [task.state for task in seen.tasks] == [State.COMPLETE] * 8
    assert plane.proxy.failed
    found = plane.client.list_tasks("one")
    information = [one.execution_info for one in found]
    assert sum(one.requeue_count for one in information) >= 4
    assert sum(one.retry_count for one in information) >= 1
    # Complete, exact, and no row twice, nor a file.
    assert storage.rows("one") == [(number, 2 * number) for number in range(MANY * FEW)]
    assert len(storage.names("out/one/predictions")) == MANY
    assert storage.names("out/one/errors") == []
    assert (progress.items, progress.failed) == (MANY * FEW, 0)
    assert any("complete: " in line for _, line in engine.logs("one", 0, follow=True))
    assert [one.job.id for one in engine.jobs("double")] == ["one"]
    assert engine.jobs("other") == []


def crash(mark):
    """Have a task that runs die at once, as of a fault in compiled code."""
    api = Engine().api
    container = api.containers(filters={"label": [f"io.slipway.azure.store={mark}", "io.slipway.azure.batch.task"]})[0]
    api.kill(container["Id"], "SIGKILL")


def test_a_job_that_is_cancelled_goes_on_behind_what_is_finished(engine, there):
    _, storage, _ = there
    engine.submit(asked(there, "two", tasks=1))
    until(lambda: storage.names("out/two/job/done"))
    engine.cancel("two")
    until(lambda: engine.job("two").state is State.UNFINISHED)
    assert 0 < len(storage.names("out/two/job/done")) < FILES
    engine.submit(asked(there, "two", tasks=1))
    seen, _ = follow(engine, "two", is_local=True)
    assert seen.state is State.COMPLETE
    assert storage.rows("two") == [(number, 2 * number) for number in range(FILES * ROWS)]
    engine._delete("two")
    assert engine.job("two") is None


def test_why_a_task_failed_is_in_its_log(there):
    engine = AzureEngine(OWNER, {**there[0], "taskRetries": 1}, {})
    engine.submit(asked(there, "three", tasks=1, given="none/*.csv"))
    seen, _ = follow(engine, "three", is_local=True)
    assert (seen.state, seen.tasks[0].exit_code) == (State.FAILED, 2)
    assert "has no files" in reasons(engine, seen)[0]


def test_a_pool_that_is_not_there_is_told(there):
    target, _, _ = there
    with pytest.raises(JobError, match="PoolNotFound"):
        AzureEngine(OWNER, {**target, "pool": "none"}, {}).submit(asked(there, "four"))


def test_a_stack_in_azure_has_a_pool_whose_nodes_reach_its_storage_by_their_identity(tmp_path):
    project = Project(tmp_path / "checkout")
    try:
        project.model("double")
        project.script("double").write_text(DOUBLE)
        (project.folder / "models/double/sample.json").write_text('{"rows": [{"x": 1}]}')
        project._entries["double"]["targets"] = [
            {"batch": {**LAYOUT, "input": "in/*.csv", "tasks": 2, "schedule": "0 3 * * *"}}
        ]
        project.write_manifest()
        (project.folder / f"Pulumi.{project.stack}.yaml").write_text(
            "config:\n  slipway:targets: [batch]\n  slipway:azure: {location: westeurope, protect: false}\n"
        )
        project.run("up")
        target = json.loads(project.pulumi("stack", "output", "--json").stdout)["models"]["double"]["targets"]["batch"]
        store = Store(store_folder(project.env, project.folder))
        string = connection_string(store, target["storageAccount"])
        files = fsspec.filesystem("abfs", connection_string=string, skip_instance_cache=True)
        for number in range(4):
            files.pipe_file(f"inputs/in/{number}.csv", f"x\n{number}\n".encode())
        # In Azure who asks has a role there; Azurite knows keys only.
        project.env["AZURE_STORAGE_CONNECTION_STRING"] = string
        batch(project, "run", "double", "--job", "one")
        told = json.loads(batch(project, "results", "double", "--json")[0])
        assert (told["state"], told["output"], len(told["tasks"])) == ("complete", "abfs://outputs/double/one", 2)
        rows = [{"x": number, "twice": 2 * number} for number in range(4)]
        assert told["predictions"]["head"] == rows
        # One that starts by itself splits itself in the pool, and writes to a folder of its own.
        client = open_client(target["account"])
        (schedule,) = client.list_job_schedules()
        url, token = f"{target['account']}/standin/jobschedules/{schedule.id}/run", {"Authorization": "Bearer stand-in"}
        httpx.post(url, headers=token, timeout=60)
        until(lambda: [one for one in client.list_jobs_from_schedule(schedule.id) if one.state == "completed"])
        (job,) = client.list_jobs_from_schedule(schedule.id)
        assert [one.execution_info.exit_code for one in client.list_tasks(job.id)] == [0, 0, 0]
        told = json.loads(batch(project, "results", "double", "--job", job.id, "--json")[0])
        assert (told["state"], told["output"]) == ("complete", f"abfs://outputs/double/{schedule.id}-job-1")
        assert told["predictions"]["head"] == rows
    finally:
        project.close()
