"""Batch jobs as Indexed Jobs on a real cluster: evicted, cancelled, refused, started by a schedule's template."""

import json
import uuid

import fsspec
import pyarrow.parquet as pq
import pytest

from cli.batch.progress import follow, reasons
from jobs.engine import Job, JobError, State
from jobs.kubernetes_engine import KubernetesEngine
from jobs.kubernetes_job import LATER, scheduled_job
from tests.system import azurite, kubernetes_cluster
from tests.system.checkout import ROOT, Project
from tests.system.test_batch_local import DOUBLE, LAYOUT, PATIENCE

pytestmark = [pytest.mark.engine, pytest.mark.system]
FILES, ROWS = 24, 40
OWNER = "shop/test"


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """An image with a batch target, in the registry: as the stack names it."""
    if not (ROOT / ".slipway/toolchain.json").exists():
        pytest.fail("the toolchain is not set up: run `make setup`")
    made = Project(tmp_path_factory.mktemp("cluster") / "checkout")
    try:
        made.model("double")
        made.script("double").write_text(DOUBLE)
        (made.folder / "models/double/sample.json").write_text('{"rows": [{"x": 1}]}')
        made._entries["double"]["targets"] = [{"batch": LAYOUT}]
        made.write_manifest()
        (made.folder / f"Pulumi.{made.stack}.yaml").write_text("config:\n  slipway:targets: [batch]\n")
        made.run("up")
        yield json.loads(made.pulumi("stack", "output", "--json").stdout)["models"]["double"]["targets"]["batch"]
    finally:
        made.close()


@pytest.fixture(scope="module")
def cluster():
    return kubernetes_cluster.running()


class Storage:
    """Blobs that the test sees directly, and pods through an address of theirs."""

    def __init__(self, running):
        self.string = running.connection_string()
        self.files = fsspec.filesystem(
            "abfs", connection_string=self.string, skip_instance_cache=True, use_listings_cache=False
        )
        self.container = f"batch-{uuid.uuid4().hex}"
        self.files.mkdir(self.container)
        for number in range(FILES):
            rows = range(number * ROWS, (number + 1) * ROWS)
            content = "x\n" + "".join(f"{row}\n" for row in rows)
            self.files.pipe_file(f"{self.container}/in/{number:03d}.csv", content.encode())
        self.url = f"abfs://{self.container}"

    def names(self, folder):
        self.files.invalidate_cache()
        return self.files.find(f"{self.container}/{folder}")

    def rows(self, job):
        tables = [pq.read_table(self.files.open(name)) for name in self.names(f"out/{job}/predictions")]
        return sorted((row["x"], row["twice"]) for table in tables for row in table.to_pylist())


@pytest.fixture(scope="module")
def there(cluster, image, tmp_path_factory):
    """A namespace with the storage's secret; yields the target on it, and the storage."""
    with (
        azurite.storage(tmp_path_factory.mktemp("azurite")) as running,
        pytest.MonkeyPatch.context() as patched,
        cluster.namespace() as namespace,
    ):
        proxy = azurite.Proxy(running.ports["blob"], cluster.host)
        string = running.connection_string(proxy.port).replace("127.0.0.1", cluster.host)
        cluster.core.create_namespaced_secret(
            namespace,
            {"metadata": {"name": "storage"}, "stringData": {"AZURE_STORAGE_CONNECTION_STRING": string}},
        )
        storage = Storage(running)
        patched.setenv("AZURE_STORAGE_CONNECTION_STRING", storage.string)
        where = {"namespace": namespace, "cluster": {"secret": "storage"}}
        yield {**image, **where, "engine": "kubernetes", "parallel": 3}, storage
        proxy.close()


@pytest.fixture
def engine(cluster, there):
    return KubernetesEngine(OWNER, there[0], cluster.client)


def job_of(there, name, tasks=3, given="in/*.csv"):
    target, storage = there
    return Job(
        id=name,
        model="double",
        version="1",
        image=target["image"],
        input=f"{storage.url}/{given}",
        output=f"{storage.url}/out/{name}",
        tasks=tasks,
        settings=target["settings"],
    )


def until(condition):
    Project.wait_for(None, condition, PATIENCE)


def test_a_job_of_which_a_pod_was_evicted_is_complete_and_exact(cluster, engine, there):
    target, storage = there
    engine.submit(job_of(there, "one"))
    engine.submit(job_of(there, "one"))
    until(lambda: len(storage.names("out/one/job/done")) >= 3)
    victim = engine._pods("one")[1].metadata
    cluster.core.create_namespaced_pod_eviction(
        victim.name, target["namespace"], {"metadata": {"name": victim.name, "namespace": target["namespace"]}}
    )
    seen, progress = follow(engine, "one", is_local=True)
    assert seen.state is State.COMPLETE
    assert [task.state for task in seen.tasks] == [State.COMPLETE] * 3
    assert storage.rows("one") == [(number, 2 * number) for number in range(FILES * ROWS)]
    assert (progress.items, progress.failed) == (FILES * ROWS, 0)
    assert any("complete: " in line for _, line in engine.logs("one", 0))
    assert [one.job.id for one in engine.jobs("double")] == ["one"]


def test_a_job_that_is_cancelled_goes_on_behind_what_is_finished(engine, there):
    _, storage = there
    engine.submit(job_of(there, "two", tasks=1))
    until(lambda: storage.names("out/two/job/done"))
    engine.cancel("two")
    until(lambda: engine.job("two").state is State.UNFINISHED)
    finished = storage.names("out/two/job/done")
    assert 0 < len(finished) < FILES
    engine.submit(job_of(there, "two", tasks=1))
    seen, _ = follow(engine, "two", is_local=True)
    assert seen.state is State.COMPLETE
    assert storage.rows("two") == [(number, 2 * number) for number in range(FILES * ROWS)]
    engine._delete("two")
    assert engine.job("two") is None


def test_a_task_that_would_fail_again_is_not_tried_again(engine, there):
    engine.submit(job_of(there, "three", tasks=1, given="none/*.csv"))
    seen, _ = follow(engine, "three", is_local=True)
    assert (seen.state, seen.tasks[0].exit_code, seen.tasks[0].retries) == (State.FAILED, 2, 0)
    assert "has no files" in reasons(engine, seen)[0]


def test_what_a_schedule_starts_writes_to_a_folder_of_its_own(cluster, engine, there):
    target, storage = there
    later = job_of(there, LATER, tasks=2, given="in/00*.csv")
    made = scheduled_job(later, target, OWNER)
    body = {**made, "metadata": {**made["metadata"], "name": "double-29"}}
    cluster.batch.create_namespaced_job(target["namespace"], body)
    seen, _ = follow(engine, "double-29", is_local=True)
    assert (seen.state, seen.job.output) == (State.COMPLETE, f"{storage.url}/out/double-29")
    assert storage.rows("double-29") == [(number, 2 * number) for number in range(10 * ROWS)]


def test_what_no_pod_can_reach_is_refused(engine, there):
    wrong = Job("four", "double", "1", "r/i@sha256:1", "/home/me/in", "abfs://out/four", 1)
    with pytest.raises(JobError, match="A pod cannot reach /home/me/in"):
        engine.submit(wrong)
    assert engine.job("four") is None
