"""ClusterBatch: a model's batch jobs on Kubernetes: what they are told, and those that start by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
from pulumi_kubernetes import batch, meta

from components.batch_exports import exported
from jobs.engine import Job
from jobs.kubernetes_job import LATER, scheduled_job

if TYPE_CHECKING:
    from components.kubernetes import Cluster
    from components.model_image import ModelImage
    from components.project import Project
    from manifest import BatchTarget, Model


class ClusterBatch(pulumi.ComponentResource):
    """Nothing runs before there is a job; with a schedule there is a CronJob.

    Attributes:
        outputs: What the stack exports of it.
    """

    outputs: dict[str, Any]

    def __init__(
        self,
        model: Model,
        target: BatchTarget,
        image: ModelImage,
        *,
        project: Project,
        cluster: Cluster,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Register the schedule.

        Args:
            model: The model as the manifest has it.
            target: What its manifest entry asks for here.
            image: The image to run.
            project: The checkout and its stack.
            cluster: The cluster.
            opts: Pulumi's options.
        """
        super().__init__("slipway:index:ClusterBatch", model.name, None, opts)
        settings = project.environment.kubernetes
        namespace = cluster.namespace(None)
        self.outputs = {
            **exported(model, target, image, project=project),
            "engine": "kubernetes",
            "parallel": target.at_once,
            "namespace": namespace.name,
            "cluster": target.cluster.settings() if target.cluster else {},
            "pullSecret": settings.pull_secret,
            "nodeSelector": dict(settings.node_selector),
        }
        if target.schedule:
            self._start_by_itself(target.schedule, model, target, image, cluster)
        self.register_outputs({})

    def _start_by_itself(
        self,
        schedule: str,
        model: Model,
        target: BatchTarget,
        image: ModelImage,
        cluster: Cluster,
    ) -> None:
        namespace = cluster.namespace(None)
        name = model.name if namespace.is_own else f"{cluster.instance}-{model.name}"
        owner = f"{pulumi.get_project()}/{pulumi.get_stack()}"
        plain = {key: value for key, value in self.outputs.items() if key != "image"}

        def template(ref: str) -> Any:
            job = Job(
                id=LATER,
                model=model.name,
                version=model.version,
                image=ref,
                input=str(target.input),
                output=f"{str(target.output).rstrip('/')}/{LATER}",
                # Nobody looks at the input before: as many as run at once.
                tasks=target.tasks or target.at_once,
                settings=target.variables(),
                arguments=tuple(target.arguments),
                environment=plain["environment"],
            )
            return scheduled_job(job, plain, owner)

        batch.v1.CronJob(
            model.name,
            metadata=meta.v1.ObjectMetaArgs(name=name, namespace=namespace.name),
            spec=batch.v1.CronJobSpecArgs(
                schedule=schedule,
                time_zone="Etc/UTC",
                # One that is late is started within the hour; one that takes long is not overtaken.
                starting_deadline_seconds=3600,
                concurrency_policy="Forbid",
                successful_jobs_history_limit=10,
                failed_jobs_history_limit=10,
                job_template=image.ref.apply(template),
            ),
            opts=cluster.options(parent=self, depends_on=namespace.after),
        )
