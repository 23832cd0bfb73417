"""Models on Azure Batch, on the real engine and the stand-in for Azure: nodes that are containers, jobs that move."""

import json
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from jobs.azure_client import open_client
from jobs.azure_engine import AzureEngine
from jobs.engine import Job, State
from standins.azure_native.azurite import connection_string
from standins.azure_native.batch_service import is_running
from standins.azure_native.store import Store
from standins.docker.engine import Engine
from tests.engine.conftest import ROOT, Stack, _base

pytestmark = pytest.mark.engine

REGISTRY = "localhost:5050"
POOL, SCHEDULE, JOBS = ("Pool", "iris"), ("BatchJobSchedule", "iris-batch"), ("BatchJobs", "iris-batch")
PATIENCE = 120
OWNER = "engine-test/test"
PROGRAM = """
import sys
sys.path.insert(0, root)
from pathlib import Path
from types import SimpleNamespace
from components import Project
from components.azure import Platform
from components.batch_pool import BatchPool
from manifest import BatchTarget, Model, load_environment

environment = load_environment({"targets": ["batch"], **config}, source="test")
platform = Platform(environment)
project = Project(Path(root), environment, "unused")
image = SimpleNamespace(tag=tag, ref=pulumi.Output.concat(platform.registry_server, "/", repository, "@", digest))
model = Model(name="iris", version="1", path="models/iris")
pool = BatchPool(model, BatchTarget.model_validate(target), image, project=project, platform=platform)
pulumi.export("batch", pool.outputs)
"""
# What the runtime does, as far as this is about: which version ran where, and the first task of a scheduled job.
TASK = """
import json, os, signal, sys, time, urllib.request
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
print("VERSION", os.environ["AZ_BATCH_POOL_ID"], "AZURE_STORAGE_CONNECTION_STRING" in os.environ, flush=True)
if sys.argv[1:] == ["batch-split"]:
    told = json.loads(os.environ["SLIPWAY_BATCH_SPLIT"])
    url = f"{os.environ['IDENTITY_ENDPOINT']}?client_id={told['submitter']}"
    ask = urllib.request.Request(url, headers={"X-IDENTITY-HEADER": os.environ["IDENTITY_HEADER"]})
    token = json.load(urllib.request.urlopen(ask))["access_token"]
    url = os.environ["AZ_BATCH_ACCOUNT_URL"] + f"jobs/{os.environ['AZ_BATCH_JOB_ID']}/tasks?api-version=2025-06-01"
    kind = "application/json; odata=minimalmetadata"
    for number in range(2):
        body = json.dumps({**told["template"], "id": f"{number:05d}"}).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
        urllib.request.urlopen(urllib.request.Request(url, body, headers, method="POST"))
elif sys.argv[1:] == ["batch"]:
    scheme, _, seconds = os.environ["SLIPWAY_JOB_INPUT"].partition("://")
    time.sleep(float(seconds) if scheme == "seconds" else 0)
"""


@pytest.fixture(scope="session")
def versions(engine):
    """Two versions of an image in the local registry: repository and digests."""
    repository = f"engine-test-{uuid.uuid4().hex[:8]}"
    digests = {}
    for version in ("one", "two"):
        maker = engine.containers.create(_base(engine), ["true"])
        entry = json.dumps(["python3", "-c", TASK.replace("VERSION", version)])
        maker.commit(f"{REGISTRY}/{repository}", version, changes=f"ENTRYPOINT {entry}")
        maker.remove()
        for line in engine.images.push(f"{REGISTRY}/{repository}", version, stream=True, decode=True):
            assert "error" not in line, line
            digests[version] = line.get("aux", {}).get("Digest", digests.get(version))
    yield repository, digests
    for version in digests:
        engine.images.remove(f"{REGISTRY}/{repository}:{version}", force=True)


class Pools(Stack):
    """A stack with one model on Azure Batch, in one of two versions."""

    def __init__(self, folder, env, versions):
        super().__init__(folder, env)
        project = json.loads((folder / "Pulumi.yaml").read_text())
        project["plugins"] = {"providers": [{"name": "slipway", "path": str(ROOT / "provider/slipway")}]}
        (folder / "Pulumi.yaml").write_text(json.dumps(project))
        self.repository, self.digests = versions
        self.store = Store(folder.parent / "azure")

    def model(self, version="one", *, batch=None, **target):
        """Write the program."""
        digest = self.digests[version]
        settings = {"account": {"spot": True}, "drainMinutes": 10, **(batch or {})}
        self.program(
            PROGRAM,
            root=str(ROOT),
            config={"azure": {"location": "westeurope", "protect": False, "batch": settings}},
            target=target,
            repository=self.repository,
            digest=digest,
            # The same for both: an image that is built again under its tag is another pool, too.
            tag="1-0123456789ab",
        )

    @property
    def target(self):
        return self.outputs()["batch"]

    def start(self, name, *, seconds=0, tasks=2):
        """Start a job whose tasks take so long."""
        target = self.target
        job = Job(
            name,
            "iris",
            "1",
            target["image"],
            f"seconds://{seconds}",
            "az://out",
            tasks,
            environment=target["environment"],
        )
        engine = AzureEngine(OWNER, target, {})
        engine.submit(job)
        return engine

    def running(self, job):
        """The numbers of a job's tasks that run."""
        tasks = AzureEngine(OWNER, self.target, {}).job(job).tasks
        return [one.number for one in tasks if one.state is State.RUNNING]

    def end_task(self):
        """Have the only task that runs come to its end."""
        label = [f"io.slipway.azure.store={self.store.mark}", "io.slipway.azure.batch.task"]
        api = Engine().api
        (container,) = api.containers(filters={"label": label})
        # It listens to the signal by then.
        until(lambda: api.logs(container["Id"]))
        api.kill(container["Id"], "SIGTERM")

    def pools(self):
        return [one.name for one in self.store.all("batch:Pool")]


@pytest.fixture
def stack(engine_env, tmp_path, versions):
    """A stack on a subscription of its own; what is left in it is removed after the test."""
    env = engine_env | {"SLIPWAY_AZURE_STORE": str(tmp_path / "azure"), "SLIPWAY_AZURE": "stand-in"}
    made = Pools(tmp_path / "program", env, versions)
    yield made
    made.destroy("--refresh", check=False)
    tool = [sys.executable, "-m", "standins.azure_native.tool", "reset"]
    subprocess.run(tool, env=env, cwd=ROOT, check=False, timeout=PATIENCE)


def until(holds):
    end = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < end, "not in time"
        time.sleep(0.2)
    return found


def first_lines(engine, job):
    """What each task printed first, by number."""
    return {number: line.split() for number, line in engine.logs(job, None) if line}


def test_from_an_empty_subscription_to_pools_that_jobs_move_between_and_back(stack):
    store = stack.store
    stack.model(nodes={"dedicated": 1, "lowPriority": 1})
    foretold = stack.preview()
    assert store.all() == []
    assert stack.up().operations == foretold.operations
    assert stack.up("--expect-no-changes").operations == {}
    before = stack.target["pool"]
    engine = stack.start("first")
    until(lambda: engine.job("first").state is State.COMPLETE)
    # Storage by the roles of its identity; nothing of it is in the state.
    assert first_lines(engine, "first") == {0: ["one", before, "True"], 1: ["one", before, "True"]}
    secret = connection_string(store, stack.target["storageAccount"]).partition("AccountKey=")[2].partition(";")[0]
    assert secret
    assert secret not in json.dumps(stack.export()) + json.dumps(stack.outputs())
    # More or fewer nodes are a change of the pool itself; nodes that come and go by themselves are none.
    stack.model(nodes={"dedicated": 1})
    assert stack.up().operations == {POOL: {"update"}}
    assert stack.preview("--refresh", "--expect-no-changes").operations == {}
    assert stack.pools() == [before]
    # One task runs, the other waits for its node.
    engine = stack.start("moves", seconds=600)
    first = until(lambda: stack.running("moves"))
    stack.model("two", nodes={"dedicated": 1})
    with ThreadPoolExecutor(1) as pool:
        rolled = pool.submit(stack.up)
        client = open_client(stack.target["account"])
        until(lambda: client.get_job("moves").state == "disabling")
        # The new pool is there, the old one has not gone, and what runs on it may end.
        assert len(stack.pools()) == 2
        assert stack.running("moves") == first
        stack.end_task()
        operations = rolled.result().operations
    assert operations[POOL] == {"create-replacement", "replace", "delete-replaced"}
    assert operations[JOBS] == {"update"}
    (after,) = stack.pools()
    assert after != before
    (second,) = until(lambda: stack.running("moves"))
    stack.end_task()
    until(lambda: engine.job("moves").state is State.COMPLETE)
    # Both with the image that the job began with.
    assert first_lines(engine, "moves") == {first[0]: ["one", before, "True"], second: ["one", after, "True"]}
    assert [task.retries for task in engine.job("moves").tasks] == [0, 0]
    # A job that is under way ends with its pool: nothing waits for ever.
    stack.start("last", seconds=600)
    until(lambda: stack.running("last"))
    stack.destroy()
    assert store.all() == []
    assert not is_running(store)
    assert not Engine().api.containers(all=True, filters={"label": f"io.slipway.azure.store={store.mark}"})


def test_a_schedule_begins_jobs_that_split_themselves_by_an_identity_of_their_own(stack):
    asked = {"input": "flowers", "schedule": "0 3 * * *", "nodes": {"dedicated": 2}}
    stack.model(**asked)
    stack.up()
    target = stack.target
    client = open_client(target["account"])
    (schedule,) = client.list_job_schedules()
    assert (schedule.execution_info.next_run_time.hour, schedule.execution_info.next_run_time.minute) == (3, 0)
    url, token = f"{target['account']}/standin/jobschedules/{schedule.id}/run", {"Authorization": "Bearer stand-in"}
    assert httpx.post(url, headers=token).status_code == 204
    (job,) = until(lambda: list(client.list_jobs_from_schedule(schedule.id)))
    until(lambda: client.get_job(job.id).state == "completed")
    assert sorted(one.id for one in client.list_tasks(job.id)) == ["00000", "00001", "split"]
    # The next ones have the new image; when they begin stays. A task that outlasts the drain begins again over there.
    start = stack.resources()[SCHEDULE]["outputs"]["start"]
    engine = stack.start("cut", seconds=600, tasks=1)
    until(lambda: engine.job("cut").state is State.RUNNING)
    stack.model("two", **asked, batch={"drainMinutes": 0})
    assert stack.up().operations[SCHEDULE] == {"update"}
    assert stack.resources()[SCHEDULE]["outputs"]["start"] == start
    (pool,) = stack.pools()
    assert client.get_job_schedule(schedule.id).job_specification.pool_info.pool_id == pool
    moved = until(lambda: (one := engine.job("cut")).state is State.RUNNING and one)
    assert moved.tasks[0].retries == 1
    until(lambda: first_lines(engine, "cut") == {0: ["one", pool, "True"]})
    # Deleted by hand, it comes back.
    client.begin_delete_job_schedule(schedule.id).result()
    assert stack.up("--refresh").operations == {SCHEDULE: {"create"}}
    stack.destroy()
    assert stack.store.all() == []
