"""What keeps pods from serving, in plain words; pods as a cluster described them, cut to what is looked at."""

from types import SimpleNamespace

import pytest

from cli.errors import CliError
from cli.placements.pods import ROLLED_BACK, SLEEPS, is_ready, refused, state_of, taken_back, trouble


class Cluster:
    """Tells events, and the logs of the present container and of the one before."""

    stack = "prod"

    def __init__(self, events=(), log=(), before=()):
        self._events = list(events)
        self._logs = {False: log, True: before}

    def events(self, _pod):
        return self._events

    def log(self, _pod, *, tail, previous):
        if self._logs[previous] is None:
            raise CliError("there is none")
        return [("", line) for line in self._logs[previous][-tail:]]


def told(**given):
    """What the client makes of an answer: attributes, and None for what is not there."""
    names = ("waiting", "terminated", "running", "reason", "message", "conditions", "container_statuses", "phase")
    return SimpleNamespace(**{**dict.fromkeys(names), **given})


def a_pod(
    *, ready=False, waiting=None, terminated=None, last=None, restarts=0, phase="Running", conditions=(), **status
):
    container = told(
        state=told(waiting=waiting, terminated=terminated), last_state=told(terminated=last), restart_count=restarts
    )
    conditions = [told(type="Ready", status=str(ready)), *conditions]
    statuses = None if phase == "Pending" else [container]
    metadata = told(name="iris-1", deletion_timestamp=None, labels={"app.kubernetes.io/name": "iris"})
    return told(
        metadata=metadata,
        status=told(phase=phase, conditions=conditions, container_statuses=statuses),
    )


def test_a_pod_that_serves_or_only_starts_is_no_trouble():
    assert is_ready(a_pod(ready=True))
    assert trouble(a_pod(ready=True), Cluster()) is None
    assert trouble(a_pod(), Cluster()) is None
    assert trouble(a_pod(phase="Pending"), Cluster()) is None


def test_a_pod_that_is_taken_away_is_no_trouble_and_serves_nobody():
    pod = a_pod(ready=True, waiting=told(reason="CrashLoopBackOff"))
    pod.metadata.deletion_timestamp = "now"
    assert not is_ready(pod)
    assert trouble(pod, Cluster()) is None


def test_an_image_that_cannot_be_pulled_is_told_with_who_has_to_be_allowed():
    pod = a_pod(waiting=told(reason="ImagePullBackOff", message="localhost:5050/iris: not found"))
    found = trouble(pod, Cluster())
    assert "localhost:5050/iris: not found" in found.message
    assert "AcrPull" in found.mend
    assert "slipway:kubernetes.pullSecret" in found.mend


def test_a_crash_loop_shows_the_end_of_the_log_of_the_container_before():
    pod = a_pod(waiting=told(reason="CrashLoopBackOff"), last=told(reason="Error", exit_code=3), restarts=4)
    found = trouble(pod, Cluster(log=["it begins anew"], before=["first", "ValueError: no weights"]))
    assert "ends with exit code 3, 4 restarts so far" in found.message
    assert found.message.endswith("ValueError: no weights")
    assert "it begins anew" not in found.message
    assert "go on serving" in found.mend


def test_the_log_of_a_container_that_has_just_ended_is_its_own():
    found = trouble(a_pod(terminated=told(reason="Error", exit_code=3)), Cluster(log=["boom"], before=["bang"]))
    assert found.message.endswith("at last:\nboom")


@pytest.mark.parametrize(
    ("state", "logs"),
    [
        ({"terminated": told(reason="Error", exit_code=3)}, {"log": [], "before": ["boom"]}),
        ({"waiting": told(), "last": told(reason="Error", exit_code=3)}, {"log": ["boom"], "before": None}),
    ],
    ids=["it was started again since", "nothing is kept of the one before"],
)
def test_what_a_container_said_is_told_also_where_its_log_is_another_one_by_now(state, logs):
    assert trouble(a_pod(**state), Cluster(**logs)).message.endswith("at last:\nboom")


def test_without_a_log_the_exit_code_is_told():
    pod = a_pod(terminated=told(reason="Error", exit_code=1))
    assert trouble(pod, Cluster(log=None, before=None)).message.endswith("exit code 1.")


def test_too_little_memory_is_told_as_that():
    found = trouble(a_pod(last=told(reason="OOMKilled", exit_code=137)), Cluster())
    assert "more memory than its limit" in found.message
    assert "`memory`" in found.mend


def test_a_pod_that_finds_no_node_says_what_is_lacking():
    lacking = told(type="PodScheduled", status="False", message="0/2 nodes are available: 2 Insufficient cpu.")
    found = trouble(a_pod(phase="Pending", conditions=[lacking]), Cluster())
    assert "Insufficient cpu" in found.message
    assert "nodeSelector" in found.mend


def test_a_secret_that_is_gone_is_restored_by_a_refresh():
    found = trouble(a_pod(waiting=told(reason="CreateContainerConfigError", message='secret "x" not found')), Cluster())
    assert 'secret "x" not found' in found.message
    assert "`slipway up --stack prod -- --refresh`" in found.mend


def test_a_failing_probe_is_told_with_what_it_got():
    found = trouble(a_pod(), Cluster(events=["other", "Startup probe failed: HTTP probe failed with statuscode: 503"]))
    assert "statuscode: 503" in found.message
    assert "slipway logs iris" in found.mend
    assert "startupSeconds" in found.mend


def test_an_evicted_pod_says_why():
    pod = a_pod(phase="Failed")
    pod.status.reason, pod.status.message = "Evicted", "The node was low on resource: memory."
    assert "low on resource: memory" in trouble(pod, Cluster()).message


def a_deployment(*, replicas=2, updated=2, available=2, total=2, generation=3, seen=3, conditions=(), annotations=None):
    return told(
        metadata=told(generation=generation, annotations=annotations),
        spec=told(replicas=replicas),
        status=told(
            observed_generation=seen,
            updated_replicas=updated,
            available_replicas=available,
            replicas=total,
            conditions=conditions,
        ),
    )


GIVEN_UP = [told(type="Progressing", status="False", reason="ProgressDeadlineExceeded")]


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({}, "ready"),
        ({"updated": 1, "total": 3}, "updating"),
        ({"total": 3}, "updating"),
        ({"seen": 2}, "updating"),
        ({"available": None, "updated": None}, "starting"),
        ({"updated": 1, "conditions": GIVEN_UP}, "stuck"),
        ({"available": None, "conditions": GIVEN_UP}, "failed"),
        ({"annotations": {ROLLED_BACK: "exit code 1"}}, "rolled back"),
        ({"annotations": {ROLLED_BACK: "exit code 1"}, "available": 1}, "updating"),
        ({"replicas": 0, "available": None, "annotations": {SLEEPS: "true"}}, "asleep"),
        # Its last pod is still ending, or its change was given up while it had one.
        ({"replicas": 0, "total": 1, "conditions": GIVEN_UP, "annotations": {SLEEPS: "true"}}, "asleep"),
        ({"replicas": 1, "available": None, "updated": 1, "annotations": {SLEEPS: "true"}}, "starting"),
        ({"replicas": 0, "available": None}, "stopped"),
    ],
)
def test_a_deployments_state_is_one_word(given, state):
    assert state_of(a_deployment(**given)) == state


def test_a_quota_that_is_used_up_is_told():
    used_up = [told(type="ReplicaFailure", status="True", message="exceeded quota: slipway")]
    assert refused(a_deployment(conditions=used_up)) == "exceeded quota: slipway"
    assert refused(a_deployment()) is None


def test_what_was_rolled_back_says_why():
    assert taken_back(a_deployment()) is None
    assert "rolled back: exit code 1" in taken_back(a_deployment(annotations={ROLLED_BACK: "exit code 1"}))
