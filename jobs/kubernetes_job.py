"""A batch job as Kubernetes takes it: an Indexed Job, of which each pod is a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.engine import LASTING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.engine import Job

# Labels and annotations of ours: which stack's, which model's, and the job as it was asked for.
OWNER, MODEL, ASKED = "io.slipway/stack", "io.slipway/model", "io.slipway/job"
CONTAINER = "task"
# The name of a job that a schedule makes, in what is known before; Kubernetes puts it in.
LATER = "$(JOB_NAME)"
_NAME = {
    "name": "JOB_NAME",
    "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/job-name']"}},
}
# Where a volume is mounted: paths of inputs and outputs are in it.
DATA = "/mnt/data"
# The user of the image, as components/dockerfile.py has it.
_USER = 65532
# The runtime drains for 20 s.
_GRACE_SECONDS = 30
_KEPT_SECONDS = 7 * 24 * 3600


def job_body(job: Job, target: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Return the Job.

    Args:
        job: What was asked for.
        target: What the stack exports of the target.
        owner: Project and stack, whose job it is.
    """
    labels = labels_of(owner, job.model)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job.id, "labels": labels, "annotations": {ASKED: job.to_json()}},
        "spec": job_spec(job, target, labels),
    }


def scheduled_job(job: Job, target: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Return what a CronJob makes Jobs of.

    Args:
        job: What each is asked to do; its name is LATER.
        target: What the stack exports of the target.
        owner: Project and stack, whose jobs they are.
    """
    labels = labels_of(owner, job.model)
    return {
        "metadata": {"labels": labels, "annotations": {ASKED: job.to_json()}},
        "spec": job_spec(job, target, labels),
    }


def _literally(text: str) -> str:
    """A text that Kubernetes puts no variables into, but for the job's name."""
    return text.replace("$", "$$").replace(f"${LATER}", LATER)


def labels_of(owner: str, model: str) -> dict[str, str]:
    """Return the labels of a model's jobs; a label's value has no slash."""
    return {"app.kubernetes.io/managed-by": "slipway", OWNER: owner.replace("/", "."), MODEL: model}


def job_spec(job: Job, target: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the specification of a Job, the same for one that is started and for those of a schedule.

    Args:
        job: What was asked for.
        target: What the stack exports of the target.
        labels: Of the pods.
    """
    return {
        "completionMode": "Indexed",
        "completions": job.tasks,
        "parallelism": min(job.tasks, int(target["parallel"])),
        "backoffLimitPerIndex": int(target["taskRetries"]),
        # Without it the first index that fails for good would end the others.
        "maxFailedIndexes": job.tasks,
        "ttlSecondsAfterFinished": _KEPT_SECONDS,
        "podFailurePolicy": {
            "rules": [
                # A node that goes away is nobody's failure.
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": sorted(LASTING)}},
            ]
        },
        "template": {"metadata": {"labels": dict(labels)}, "spec": _pod(job, target)},
    }


def _pod(job: Job, target: Mapping[str, Any]) -> dict[str, Any]:
    cluster = target.get("cluster") or {}
    amounts = {"cpu": target.get("cpu"), "memory": target.get("memoryMib") and f"{target['memoryMib']}Mi"}
    asked = {name: str(amount) for name, amount in amounts.items() if amount}
    # A processor that is free may be used; memory is not given back.
    limits = {name: amount for name, amount in asked.items() if name == "memory"}
    volumes: list[dict[str, Any]] = [{"name": "tmp", "emptyDir": {}}]
    mounts = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - the container's own
    if claim := cluster.get("claim"):
        volumes.append({"name": "data", "persistentVolumeClaim": {"claimName": claim}})
        mounts.append({"name": "data", "mountPath": DATA})
    container = {
        "name": CONTAINER,
        "image": job.image,
        "args": [_literally(one) for one in job.command()],
        # The number of the task is JOB_COMPLETION_INDEX, which Kubernetes sets.
        "env": [
            _NAME,
            *({"name": name, "value": _literally(value)} for name, value in sorted(job.variables(None).items())),
        ],
        "envFrom": [{"secretRef": {"name": cluster["secret"]}}] if cluster.get("secret") else [],
        "resources": {"requests": asked, "limits": limits},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }
    if account := cluster.get("serviceAccount"):
        pod["serviceAccountName"] = account
    if secret := target.get("pullSecret"):
        pod["imagePullSecrets"] = [{"name": secret}]
    if selector := target.get("nodeSelector"):
        pod["nodeSelector"] = dict(selector)
    return pod
