"""What the program asks of a cluster for batch targets with engine: kubernetes; no engine, no cluster."""

import pulumi
import pytest
import yaml

from jobs.engine import Job
from jobs.kubernetes_job import ASKED
from tests.program.azure_mocks import plain
from tests.program.kubernetes_mocks import KUBECONFIG, Kubernetes

WHERE = {"engine": "kubernetes", "input": "abfs://in/day", "output": "abfs://out/iris/"}


@pytest.fixture
def batch(declare, project, monkeypatch):
    """Declares the project with a batch target on iris; returns the recorder."""
    (project / "kubeconfig").write_text(KUBECONFIG)
    monkeypatch.delenv("SLIPWAY_REGISTRY", raising=False)

    def run(target=None, **config):
        path = project / "models.yaml"
        data = yaml.safe_load(path.read_text())
        for one in data["models"]:
            one["targets"] = [{"batch": {**WHERE, **(target or {})}}] if one["name"] == "iris" else []
        path.write_text(yaml.safe_dump(data, sort_keys=False))
        recorder = Kubernetes()
        monkeypatch.setattr(pulumi, "export", recorder.export)
        return declare(
            stack="prod",
            recorder=recorder,
            **{"targets": ["batch"], "kubernetes": {"kubeconfig": "kubeconfig", "pullSecret": "pull"}, **config},
        )

    yield run
    pulumi.runtime.set_all_config({}, secret_keys=[])


def test_nothing_runs_on_the_cluster_before_there_is_a_job(batch):
    recorder = batch()
    assert recorder.objects == {("Namespace", "slipway-prod"), ("ServiceAccount", "slipway-prod-models")}
    assert recorder.azure == set()


def test_the_stack_says_all_that_a_job_needs_and_no_secret(batch):
    target = {"cluster": {"secret": "storage", "serviceAccount": "batch"}, "nodes": {"dedicated": 3}, "taskSlots": 2}
    told = plain(batch({**target, "keep": ["id"], "memory": "1Gi"}).exported["models"])["iris"]["targets"]["batch"]
    assert (told["engine"], told["namespace"]) == ("kubernetes", "slipway-prod")
    assert (told["cluster"], told["pullSecret"]) == ({"secret": "storage", "serviceAccount": "batch"}, "pull")
    assert (told["parallel"], told["mostTasks"], told["memoryMib"]) == (6, 24, 1024)
    assert told["settings"] == {"SLIPWAY_JOB_KEEP": "id"}
    assert "token" not in str(told)


def test_a_stack_for_development_says_so_to_jobs_that_start_by_themselves_too(batch):
    recorder = batch({"schedule": "0 3 * * *"}, development=True)
    told = plain(recorder.exported["models"])["iris"]["targets"]["batch"]
    assert told["environment"] == {"SLIPWAY_DEVELOPMENT": "1"}
    [container] = recorder.manifest("CronJob", "iris")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "SLIPWAY_DEVELOPMENT", "value": "1"} in container["env"]


def test_a_schedule_is_a_cron_job_whose_jobs_write_to_folders_of_their_own(batch):
    recorder = batch({"schedule": "0 3 * * *", "nodes": {"dedicated": 2}})
    made = recorder.manifest("CronJob", "iris")
    assert made["metadata"] == {"name": "iris", "namespace": "slipway-prod"}
    spec = made["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("0 3 * * *", "Etc/UTC", "Forbid")
    template = spec["jobTemplate"]
    job = Job.from_json(template["metadata"]["annotations"][ASKED])
    assert (job.input, job.output, job.tasks) == ("abfs://in/day", "abfs://out/iris/$(JOB_NAME)", 2)
    [container] = template["spec"]["template"]["spec"]["containers"]
    assert container["image"] == job.image
    assert "@sha256:" in job.image


def test_a_cluster_is_needed(batch):
    with pytest.raises(pulumi.RunError, match="slipway:kubernetes"):
        batch(kubernetes={})
