"""Which component puts a model on each of its targets, and what the targets of a stack share."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import pulumi

from components.local_batch import local_batch
from components.local_docker import LocalDocker
from manifest import AksTarget, BatchTarget, IotEdgeTarget, LocalDockerTarget
from manifest.live import needs_cluster, needs_platform

# ruff: noqa: PLC0415 - a stack without cloud targets starts without their SDKs, which take seconds to import

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.azure import Platform
    from components.iot_edge_module import IotEdgeBase
    from components.kubernetes import Cluster
    from components.model_image import ModelImage
    from components.project import Project
    from manifest import AnyTarget, Environment, Model

    Images = dict[str, tuple[Model, ModelImage]]


def platform_for(targets: Sequence[AnyTarget], environment: Environment) -> Platform | None:
    """Return what the cloud targets share, or None where neither a target nor the model registry needs it.

    Raises:
        pulumi.RunError: A target needs it, and the stack's configuration does not say where it is to be.
    """
    if not environment.registers_in_workspace and not any(_is_in_azure(target, environment) for target in targets):
        return None
    if environment.azure is None:
        raise pulumi.RunError(
            "A batch target has engine: azure, which needs slipway:azure, or engine: kubernetes, which needs that or a "
            "cluster in slipway:kubernetes (docs/batch.md)."
        )
    from components.azure import Platform

    return Platform(environment)


class Placement:
    """Puts models on their targets. What several targets share is made with the first that needs it."""

    def __init__(
        self, targets: Sequence[AnyTarget], images: Images, *, project: Project, platform: Platform | None
    ) -> None:
        """Take what is to be placed.

        Args:
            targets: All that are live in this stack.
            images: Each model that runs, in the version that runs, and its image.
            project: The checkout.
            platform: As `platform_for` returned it.
        """
        self._targets = targets
        self._images = images
        self._project = project
        self._platform = platform

    def place(self, model: Model, target: AnyTarget) -> dict[str, Any]:
        """Place a model on a target; return what the stack exports of it.

        Raises:
            pulumi.RunError: The target needs another model, which does not run here.
        """
        image = self._images[model.name][1]
        if isinstance(target, LocalDockerTarget):
            return LocalDocker(model, target, image, project=self._project).outputs
        if isinstance(target, AksTarget):
            from components.aks_service import AksService

            return AksService(
                model, target, image, project=self._project, cluster=self.cluster, platform=self._platform
            ).outputs
        if isinstance(target, BatchTarget):
            return self._batch(model, target, image)
        if isinstance(target, IotEdgeTarget):
            return self._module(model, target)
        from components.aci_service import AciService

        return AciService(model, target, image, project=self._project, platform=self._in_azure).outputs

    @property
    def outputs(self) -> dict[str, Any]:
        """What the stack exports of what its targets share."""
        outputs: dict[str, Any] = {}
        if self._platform:
            outputs["azure"] = self._platform.outputs
        if any(map(needs_cluster, self._targets)):
            outputs["kubernetes"] = self.cluster.outputs
        return outputs

    @cached_property
    def cluster(self) -> Cluster:
        """The cluster of all targets that are on one."""
        from components.kubernetes import Cluster

        return Cluster(self._project, self._platform)

    @cached_property
    def _devices(self) -> IotEdgeBase:
        """What all devices have."""
        from components.iot_edge_module import IotEdgeBase

        targets = [target for target in self._targets if isinstance(target, IotEdgeTarget)]
        return IotEdgeBase(targets, project=self._project, platform=self._in_azure)

    @property
    def _in_azure(self) -> Platform:
        if self._platform is None:
            raise TypeError("a target in Azure is placed on a stack without a platform")
        return self._platform

    def _batch(self, model: Model, target: BatchTarget, image: ModelImage) -> dict[str, Any]:
        if needs_cluster(target):
            from components.kubernetes.batch_jobs import ClusterBatch

            return ClusterBatch(model, target, image, project=self._project, cluster=self.cluster).outputs
        if not _is_in_azure(target, self._project.environment):
            return local_batch(model, target, image, project=self._project)
        from components.batch_pool import BatchPool

        return BatchPool(model, target, image, project=self._project, platform=self._in_azure).outputs

    def _module(self, model: Model, target: IotEdgeTarget) -> dict[str, Any]:
        """Place a model on devices; its pipeline may name other models."""
        if missing := [name for name in target.models if name not in self._images]:
            raise pulumi.RunError(
                f"model {model.name}: iot-edge: its pipeline names {missing[0]}, which the release that this stack "
                "deploys is without. Once the other stack runs it, promote that."
            )
        from components.iot_edge_module import IotEdgeModule

        return IotEdgeModule(
            model,
            target,
            {name: self._images[name][1].ref for name in (model.name, *target.models)},
            base=self._devices,
            platform=self._in_azure,
        ).outputs


def _is_in_azure(target: AnyTarget, environment: Environment) -> bool:
    return needs_platform(target, has_azure=environment.azure is not None, has_own_cluster=environment.has_own_cluster)
