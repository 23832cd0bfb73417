"""The stand-in of Batch's data plane, asked by Azure's own library; its nodes are places on the Docker engine."""

import contextlib
import datetime as dt
import threading
import time

import httpx
import pytest
from azure.batch import models
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from components.batch_formula import autoscale_formula
from jobs.azure_client import open_client, reason_of
from manifest.targets.batch import Nodes
from standins.azure_batch.service import Service
from standins.azure_native.addresses import free_port
from standins.azure_native.kinds.kind import made_up
from standins.azure_native.store import Record, Store, forget, save
from standins.docker.engine import Engine

SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/group"
ACCOUNT = f"{SUBSCRIPTION}/providers/Microsoft.Batch/batchAccounts/things"
ROLE = "authorization:RoleAssignment"
LONG = 120


class Plane:
    """The service in this process, over a store with one account and one pool."""

    def __init__(self, folder, image):
        self.folder, self.image = folder, image
        self.store = Store(folder / "azure")
        self.port = free_port("127.0.0.1")
        self.record(ACCOUNT, "batch:BatchAccount", location="westeurope", poolAllocationMode="UserSubscription")
        self.start()

    def record(self, id_, token, **body):
        with self.store.transaction() as db:
            save(db, Record(id_, token, body, {}))

    def pool(self, name, *, dedicated=1, spot=0, idle=0, slots=1, registries=None, **body):
        formula = autoscale_formula(Nodes(dedicated=dedicated, lowPriority=spot, idle=idle), slots)
        machine = {"containerConfiguration": {"containerImageNames": [self.image]}}
        if registries:
            machine["containerConfiguration"]["containerRegistries"] = registries
        self.record(
            f"{ACCOUNT}/pools/{name}",
            "batch:Pool",
            vmSize="Standard_D2s_v5",
            taskSlotsPerNode=slots,
            scaleSettings={"autoScale": {"formula": formula}},
            deploymentConfiguration={"virtualMachineConfiguration": machine},
            **body,
        )
        return name

    def start(self):
        self.service = Service(self.store, self.store.folder / "batch", f"http://127.0.0.1:{self.port}")
        self.thread = threading.Thread(target=self.service.serve, args=(["127.0.0.1"], self.port))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.port}/things"
        self.client = open_client(self.url)

    def stop(self):
        self.service.stop_soon()
        self.thread.join(LONG)
        self.service.stop()
        for server in self.service._servers:
            server.server_close()

    def job(self, name, pool, *commands, retries=0, slots=1, **options):
        """Start a job whose tasks run commands of the shell."""
        info = models.BatchPoolInfo(pool_id=pool)
        self.client.create_job(models.BatchJobCreateOptions(id=name, pool_info=info, **options))
        tasks = [
            models.BatchTaskCreateOptions(
                id=f"t{number}",
                command_line=f"/bin/sh -c {command!r}",
                container_settings=models.BatchTaskContainerSettings(
                    image_name=self.image, working_directory="containerImageDefault"
                ),
                constraints=models.BatchTaskConstraints(max_task_retry_count=retries),
                required_slots=slots,
            )
            for number, command in enumerate(commands)
        ]
        self.client.create_tasks(name, tasks)
        complete = models.BatchAllTasksCompleteMode.TERMINATE_JOB
        self.client.update_job(name, models.BatchJobUpdateOptions(all_tasks_complete_mode=complete))

    def until(self, what, holds):
        """Wait until something holds; return what it was then."""
        end = time.monotonic() + LONG
        while not (found := holds()):
            assert time.monotonic() < end, f"not in time: {what}"
            time.sleep(0.1)
        return found

    def task(self, job, task="t0"):
        return self.client.get_task(job, task)

    def ended(self, job):
        """Wait for a job's end; return its tasks by id."""
        self.until(f"the end of {job}", lambda: self.client.get_job(job).state == "completed")
        return {one.id: one for one in self.client.list_tasks(job)}

    def end(self, job):
        # The library's own type for it is not public, and without options it sends nothing.
        self.client.begin_terminate_job(job, {"terminateReason": "Enough"})

    def running(self, job, task="t0"):
        return self.until(f"{task} runs", lambda: (one := self.task(job, task)).state == "running" and one)

    def printed(self, job, task="t0", file="stdout.txt", **options):
        return b"".join(self.client.download_task_file(job, task, file, **options)).decode()

    def ask(self, path, *, method="GET", body=None, **headers):
        """Ask without the library."""
        answer = httpx.request(method, f"{self.url}{path}", content=body, headers=headers, timeout=LONG)
        return answer.status_code, answer.text

    def nodes(self, pool, state):
        return [one for one in self.client.list_nodes(pool) if one.state == state]

    def preempt(self, pool):
        status, said = self.ask(f"/standin/pools/{pool}/preempt", method="POST", Authorization="Bearer stand-in")
        assert status == 200, said


@pytest.fixture(scope="module")
def plane(tmp_path_factory, image):
    plane = Plane(tmp_path_factory.mktemp("batch"), image)
    yield plane
    with contextlib.suppress(Exception):
        plane.stop()
    api = Engine().api
    for one in api.containers(all=True, filters={"label": f"io.slipway.azure.store={plane.store.mark}"}):
        api.remove_container(one["Id"], force=True)


def test_tasks_run_on_nodes_that_come_with_them_and_go_after_them(plane):
    pool = plane.pool("grows", dedicated=2)
    assert not list(plane.client.list_nodes(pool))
    plane.job("first", pool, "echo out; echo err >&2; echo $AZ_BATCH_JOB_ID $AZ_BATCH_TASK_ID", "exit 0", "exit 0")
    tasks = plane.ended("first")
    assert {one.execution_info.exit_code for one in tasks.values()} == {0}
    assert {one.execution_info.result for one in tasks.values()} == {"success"}
    assert len({one.node_info.node_id for one in tasks.values()}) <= 2
    assert plane.printed("first") == "out\nfirst t0\n"
    assert plane.printed("first", file="stderr.txt") == "err\n"
    assert plane.printed("first", ocp_range="bytes=4-8") == "first"
    assert plane.client.get_job("first").execution_info.termination_reason == "AllTasksComplete"
    plane.until("the nodes to go", lambda: not list(plane.client.list_nodes(pool)))
    counts = plane.client.get_job_task_counts("first").task_counts
    assert (counts.completed, counts.succeeded, counts.failed) == (3, 3, 0)


def test_a_task_that_fails_is_tried_again_as_often_as_it_may(plane):
    pool = plane.pool("retries")
    plane.job("fails", pool, "exit 3", retries=2)
    task = plane.ended("fails")["t0"]
    assert (task.execution_info.exit_code, task.execution_info.retry_count) == (3, 2)
    assert task.execution_info.failure_info.code == "FailureExitCode"
    assert task.execution_info.result == "failure"


def test_a_lost_node_costs_a_task_its_run_but_no_try(plane):
    pool = plane.pool("spot", dedicated=0, spot=1)
    plane.job("lost", pool, "echo begun; test $AZ_BATCH_NODE_IS_DEDICATED = false && sleep 600")
    plane.running("lost")
    plane.until("it to print", lambda: plane.printed("lost") == "begun\n")
    plane.preempt(pool)
    assert next(iter(plane.client.list_nodes(pool))).state == "preempted"
    again = plane.until("it to be requeued", lambda: (one := plane.task("lost")).execution_info.requeue_count and one)
    assert again.execution_info.retry_count == 0
    plane.running("lost")
    plane.end("lost")
    assert plane.ended("lost")["t0"].execution_info.failure_info.code == "TaskEnded"


def test_low_priority_nodes_are_never_had_where_the_account_has_none(plane):
    plane.record(ACCOUNT, "batch:BatchAccount", location="westeurope", poolAllocationMode="BatchService")
    pool = plane.pool("none", dedicated=0, spot=1)
    plane.job("waits", pool, "exit 0")
    said = plane.until("a resize error", lambda: plane.client.get_pool(pool).resize_errors)
    assert "UserSubscription" in said[0].message
    assert plane.task("waits").state == "active"
    plane.record(ACCOUNT, "batch:BatchAccount", location="westeurope", poolAllocationMode="UserSubscription")
    plane.ended("waits")


def test_a_node_runs_as_many_tasks_at_once_as_it_has_slots(plane):
    pool = plane.pool("slots", dedicated=1, slots=2)
    plane.job("two", pool, "sleep 600", "sleep 600", "sleep 600")
    plane.until("two to run", lambda: [one.state for one in plane.client.list_tasks("two")].count("running") == 2)
    assert len(list(plane.client.list_nodes(pool))) == 1
    plane.end("two")
    tasks = plane.ended("two")
    # What had not begun stays as it was, as on Azure.
    assert sorted(one.state for one in tasks.values()) == ["active", "completed", "completed"]
    assert plane.client.get_job("two").execution_info.termination_reason == "Enough"


def test_a_disabled_job_moves_to_another_pool_with_what_it_has_not_done(plane):
    first, second = plane.pool("old"), plane.pool("new")
    plane.job("moves", first, "sleep 600", "echo done")
    plane.running("moves")
    with pytest.raises(ResourceExistsError) as refused:
        plane.client.update_job("moves", models.BatchJobUpdateOptions(pool_info=models.BatchPoolInfo(pool_id=second)))
    assert "JobNotDisabled" in reason_of(refused.value)
    plane.client.begin_disable_job("moves", models.BatchJobDisableOptions(disable_tasks="requeue"))
    plane.until("it to be disabled", lambda: plane.client.get_job("moves").state == "disabled")
    plane.client.update_job("moves", models.BatchJobUpdateOptions(pool_info=models.BatchPoolInfo(pool_id=second)))
    plane.client.begin_enable_job("moves")
    assert plane.running("moves").node_info.pool_id == second
    plane.end("moves")
    plane.ended("moves")


def test_what_runs_when_the_service_is_killed_goes_on_when_it_comes_back(plane):
    pool = plane.pool("restart")
    plane.job("survives", pool, "echo before; sleep 4; echo after")
    plane.running("survives")
    plane.stop()
    plane.start()
    task = plane.ended("survives")["t0"]
    assert (task.execution_info.requeue_count, task.execution_info.exit_code) == (0, 0)
    assert plane.printed("survives") == "before\nafter\n"


def test_a_pool_that_goes_leaves_no_container_and_loses_no_task(plane):
    pool = plane.pool("goes")
    plane.job("stays", pool, "sleep 600")
    plane.running("stays")
    record = plane.store.get(f"{ACCOUNT}/pools/{pool}")
    record.state = "Deleting"
    with plane.store.transaction() as db:
        save(db, record)
    plane.until("the task to wait", lambda: plane.task("stays").state == "active")
    label = f"io.slipway.azure.batch.pool=things/{pool}"
    plane.until("the container to go", lambda: not Engine().api.containers(all=True, filters={"label": label}))
    plane.client.begin_delete_job("stays").result()
    with pytest.raises(ResourceNotFoundError):
        plane.client.get_job("stays")


def test_a_schedule_begins_one_job_at_a_time(plane):
    pool = plane.pool("scheduled")
    manager = models.BatchJobManagerTask(
        id="split",
        command_line="/bin/sh -c 'echo managed'",
        container_settings=models.BatchTaskContainerSettings(image_name=plane.image),
    )
    specification = models.BatchJobSpecification(
        pool_info=models.BatchPoolInfo(pool_id=pool), job_manager_task=manager, all_tasks_complete_mode="terminatejob"
    )
    times = models.BatchJobScheduleConfiguration(recurrence_interval=dt.timedelta(hours=1))
    plane.client.create_job_schedule(
        models.BatchJobScheduleCreateOptions(id="hourly", schedule=times, job_specification=specification)
    )
    plane.until("its job", lambda: list(plane.client.list_jobs_from_schedule("hourly")))
    plane.ended("hourly:job-1")
    assert plane.printed("hourly:job-1", "split") == "managed\n"
    assert plane.client.get_job_schedule("hourly").execution_info.recent_job.id == "hourly:job-1"
    plane.ask("/standin/jobschedules/hourly/run", method="POST", Authorization="Bearer stand-in")
    plane.until("the second", lambda: len(list(plane.client.list_jobs_from_schedule("hourly"))) == 2)
    plane.client.begin_delete_job_schedule("hourly").result()
    with pytest.raises(ResourceNotFoundError):
        plane.client.get_job_schedule("hourly")
    assert not [one for one in plane.client.list_jobs() if one.id.startswith("hourly")]


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/jobs?api-version=2025-06-01", {}, 401, "AuthenticationFailed"),
        ("/jobs?api-version=2025-06-01", {"Authorization": "SharedKey things:eA=="}, 403, "AuthenticationFailed"),
        ("/jobs", {"Authorization": "Bearer stand-in"}, 400, "MissingRequiredQueryParameter"),
        ("/jobs?api-version=2017-01-01", {"Authorization": "Bearer stand-in"}, 400, "InvalidQueryParameterValue"),
        ("/jobz?api-version=2025-06-01", {"Authorization": "Bearer stand-in"}, 400, "InvalidUri"),
        ("/jobs/none?api-version=2025-06-01", {"Authorization": "Bearer stand-in"}, 404, "JobNotFound"),
        ("/jobs?api-version=2025-06-01&$filter=x", {"Authorization": "Bearer stand-in"}, 400, "InvalidQueryParameter"),
    ],
)
def test_requests_that_batch_would_refuse_are_refused(plane, path, headers, status, code):
    found, said = plane.ask(path, **headers)
    assert (found, code in said) == (status, True), said


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"id": "a b", "poolInfo": {"poolId": "grows"}}', "InvalidPropertyValue"),
        (b'{"id": "a"}', "poolInfo is required"),
        (b'{"id": "a", "poolInfo": {"poolId": "grows"}, "prioritee": 1}', "prioritee is no property"),
        (b'{"id": "a", "poolInfo": {"poolId": "grows"}, "onAllTasksComplete": "stop"}', "allowed are noaction"),
        (b'{"id": "a", "poolInfo": {"poolId": "nowhere"}}', "PoolNotFound"),
        (b"{", "InvalidRequestBody"),
    ],
)
def test_bodies_are_held_to_the_types_of_the_library(plane, body, code):
    headers = {"Authorization": "Bearer stand-in", "Content-Type": "application/json; odata=minimalmetadata"}
    status, said = plane.ask("/jobs?api-version=2025-06-01", method="POST", body=body, **headers)
    assert status in {400, 409}
    assert code in said


def test_a_body_of_another_media_type_is_refused(plane):
    headers = {"Authorization": "Bearer stand-in", "Content-Type": "application/json"}
    status, said = plane.ask("/jobs?api-version=2025-06-01", method="POST", body=b"{}", **headers)
    assert (status, "UnsupportedHeader" in said) == (415, True)


def test_names_are_taken_once_and_a_job_that_is_over_takes_no_tasks(plane):
    pool = plane.pool("names")
    plane.job("over", pool, "exit 0")
    with pytest.raises(ResourceExistsError, match="already exists"):
        plane.job("OVER", pool)
    plane.ended("over")
    with pytest.raises(HttpResponseError) as refused:
        plane.client.create_task("over", models.BatchTaskCreateOptions(id="t1", command_line="x"))
    assert "JobCompleted" in reason_of(refused.value)


def test_lists_come_in_pages(plane):
    pool = plane.pool("pages")
    plane.job("many", pool, *["exit 0"] * 5)
    listed = [one.id for one in plane.client.list_tasks("many", max_results=2)]
    assert sorted(listed) == ["t0", "t1", "t2", "t3", "t4"]
    plane.ended("many")
    assert len(list(plane.client.list_tasks("many", filter="state eq 'completed'", select=["id"]))) == 5


def test_a_node_whose_identity_may_not_pull_is_of_no_use(plane):
    identity = f"{SUBSCRIPTION}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/pull"
    registry = f"{SUBSCRIPTION}/providers/Microsoft.ContainerRegistry/registries/theirs"
    server = plane.image.partition("/")[0]
    record = Record(registry, "containerregistry:Registry", {"location": "westeurope"}, {"loginServer": server})
    with plane.store.transaction() as db:
        save(db, record)
    opened = [{"registryServer": server, "identityReference": {"resourceId": identity}}]
    own = {"type": "UserAssigned", "userAssignedIdentities": [identity]}
    try:
        closed, other = plane.pool("closed"), plane.pool("other", registries=opened)
        allowed = plane.pool("allowed", registries=opened, identity=own)
        for pool, reason in (
            (closed, "nothing that opens"),
            (other, "is not one of the pool's"),
            (allowed, "lacks the role AcrPull"),
        ):
            plane.job(f"in-{pool}", pool, "exit 0")
            node = plane.until(f"{pool}: no use", lambda pool=pool: plane.nodes(pool, "unusable"))[0]
            assert reason in node.errors[0].message
        role = "/providers/Microsoft.Authorization/roleDefinitions/7f951dda-4ed3-4680-a7ca-43fe172d538d"
        said = {"principalId": made_up("principal", identity), "roleDefinitionId": role, "scope": registry}
        plane.record(f"{registry}/providers/Microsoft.Authorization/roleAssignments/one", ROLE, **said)
        again = plane.pool("again", registries=opened, identity=own)
        plane.job("in-again", again, "exit 0")
        plane.ended("in-again")
    finally:
        with plane.store.transaction() as db:
            forget(db, registry)


def test_nobody_is_asked_without_tls_but_this_machine():
    with pytest.raises(ValueError, match="is not https, and not on this machine"):
        open_client("http://10.0.0.1:1/x")
