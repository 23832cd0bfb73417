"""Batch jobs as Kubernetes has them: what is asked of a cluster, and what its answers mean."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import kubernetes
import pytest

from jobs.engine import Job, JobError, State
from jobs.kubernetes_engine import KubernetesEngine
from jobs.kubernetes_job import ASKED, LATER, job_body, scheduled_job
from jobs.kubernetes_state import INDEX, indexes, job_state
from tests.unit.cli_harness import service

JOB = Job("iris-1", "iris", "1", "r/iris@sha256:1", "abfs://in", "abfs://out/iris-1", 3, {"SLIPWAY_JOB_KEEP": "*"})
TARGET = {"parallel": 2, "taskRetries": 3, "cpu": 0.5, "memoryMib": 512, "cluster": {"secret": "storage", "claim": "c"}}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pod(index, *, code=None, running=False, reason=None, message=None):
    waiting = None if code is not None or running else SimpleNamespace(reason=reason, message=message)
    ended = (
        SimpleNamespace(exit_code=code, reason=reason, started_at=NOW, finished_at=NOW) if code is not None else None
    )
    state = SimpleNamespace(
        running=SimpleNamespace(started_at=NOW) if running else None, terminated=ended, waiting=waiting
    )
    return SimpleNamespace(
        metadata=SimpleNamespace(annotations={INDEX: str(index)}),
        spec=SimpleNamespace(node_name="n1"),
        status=SimpleNamespace(container_statuses=[SimpleNamespace(state=state)], phase="", message=None, reason=None),
    )


def seen(pods, *, complete=None, failed=None, condition=None, active=None, suspend=None):
    conditions = [SimpleNamespace(type=condition, status="True", last_transition_time=NOW)] if condition else None
    return job_state(
        SimpleNamespace(
            metadata=SimpleNamespace(name="iris-1", annotations={ASKED: JOB.to_json()}, creation_timestamp=NOW),
            spec=SimpleNamespace(suspend=suspend),
            status=SimpleNamespace(
                completed_indexes=complete,
                failed_indexes=failed,
                conditions=conditions,
                active=active,
                completion_time=NOW if condition == "Complete" else None,
            ),
        ),
        pods,
    )


def states(found):
    return [str(task.state) for task in found.tasks]


def test_a_job_is_an_indexed_job_whose_pods_may_vanish_and_are_not_tried_again_in_vain():
    spec = job_body(JOB, TARGET, "shop/dev")["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 3, 2)
    assert spec["backoffLimitPerIndex"] == 3
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["Ignore", "FailIndex"]
    assert spec["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"] == [1, 2, 3]


def test_a_pod_may_do_nothing_but_its_work():
    body = job_body(JOB, TARGET, "shop/dev")
    pod = body["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"] == {"requests": {"cpu": "0.5", "memory": "512Mi"}, "limits": {"memory": "512Mi"}}
    assert {"name": "SLIPWAY_JOB_OF", "value": "3"} in container["env"]
    assert not any(one["name"] == "SLIPWAY_JOB_TASK" for one in container["env"])
    assert container["envFrom"] == [{"secretRef": {"name": "storage"}}]
    assert {"name": "data", "mountPath": "/mnt/data"} in container["volumeMounts"]
    assert Job.from_json(body["metadata"]["annotations"][ASKED]) == JOB


def test_what_a_user_writes_is_no_variable_of_kubernetes():
    job = replace(JOB, arguments=("$(HOME)",), settings={"SLIPWAY_JOB_BODY": '{"data": "$rows", "cost": "$$"}'})
    [container] = job_body(job, TARGET, "shop/dev")["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["batch", "--", "$$(HOME)"]
    assert {"name": "SLIPWAY_JOB_BODY", "value": '{"data": "$$rows", "cost": "$$$$"}'} in container["env"]


def test_a_scheduled_job_gets_its_name_from_kubernetes():
    job = replace(JOB, id=LATER, output=f"abfs://out/{LATER}")
    made = scheduled_job(job, TARGET, "shop/dev")
    [container] = made["spec"]["template"]["spec"]["containers"]
    assert container["env"][0]["name"] == "JOB_NAME"
    assert {"name": "SLIPWAY_JOB_OUTPUT", "value": "abfs://out/$(JOB_NAME)"} in container["env"]
    found = SimpleNamespace(
        metadata=SimpleNamespace(name="iris-29", annotations=made["metadata"]["annotations"], creation_timestamp=NOW),
        spec=SimpleNamespace(suspend=None),
        status=SimpleNamespace(
            completed_indexes=None, failed_indexes=None, conditions=None, active=1, completion_time=None
        ),
    )
    assert (job_state(found, []).job.id, job_state(found, []).job.output) == ("iris-29", "abfs://out/iris-29")


@pytest.mark.parametrize(("text", "numbers"), [(None, set()), ("", set()), ("1", {1}), ("0,3-5,7", {0, 3, 4, 5, 7})])
def test_a_list_of_indexes_is_read_as_kubernetes_writes_it(text, numbers):
    assert indexes(text) == numbers


def test_a_task_that_failed_for_now_is_waiting_for_its_next_try():
    found = seen([pod(0, code=0), pod(1, code=75), pod(2, running=True)], complete="0", active=1)
    assert (found.state, states(found)) == (State.RUNNING, ["complete", "waiting", "running"])
    assert found.tasks[1].exit_code == 75


def test_the_latest_pod_of_a_task_counts_and_the_others_are_retries():
    found = seen([pod(0, code=75), pod(0, code=137), pod(0, running=True)], active=1)
    assert (found.tasks[0].state, found.tasks[0].retries, found.tasks[0].exit_code) == (State.RUNNING, 2, None)


def test_a_job_has_failed_where_a_task_would_fail_again():
    found = seen([pod(0, code=0), pod(1, code=1), pod(2, code=137, reason="OOMKilled")], complete="0", failed="1,2",
                 condition="Failed")  # fmt: skip
    assert (found.state, states(found)) == (State.FAILED, ["complete", "failed", "unfinished"])
    assert "`memory`" in found.tasks[2].note
    assert found.ended == "2026-01-01T00:00:00Z"


def test_a_job_that_lost_its_pods_too_often_can_go_on():
    found = seen([pod(0, code=0), pod(1, code=75)], complete="0,2", failed="1", condition="Failed")
    assert (found.state, states(found)) == (State.UNFINISHED, ["complete", "unfinished", "complete"])


def test_a_cancelled_job_is_over_when_its_pods_are():
    assert seen([pod(0, running=True)], active=1, suspend=True).state is State.RUNNING
    found = seen([], complete="1", suspend=True)
    assert (found.state, states(found)) == (State.UNFINISHED, ["unfinished", "complete", "unfinished"])


def test_why_a_pod_does_not_start_is_told():
    found = seen([pod(0, reason="ImagePullBackOff", message="no such image")], active=1)
    assert (found.tasks[0].state, found.tasks[0].note) == (State.WAITING, "no such image")


def test_a_complete_job_is_complete():
    found = seen([], complete="0-2", condition="Complete")
    assert (found.state, states(found)) == (State.COMPLETE, ["complete"] * 3)


def test_a_job_makes_no_namespace_on_a_cluster_that_is_without_it():
    with service({"message": 'namespaces "shop-dev" not found'}, 404) as cluster:
        client = kubernetes.client.ApiClient(kubernetes.client.Configuration(host=cluster.endpoint))
        engine = KubernetesEngine("shop/dev", {**TARGET, "namespace": "shop-dev"}, client)
        with pytest.raises(JobError, match='cannot be started: namespaces "shop-dev" not found') as refused:
            engine.submit(JOB)
        assert "slipway up" in refused.value.hint
        path, *_ = cluster.received
        assert path == "/apis/batch/v1/namespaces/shop-dev/jobs"
