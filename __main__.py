"""What `pulumi up` does: read the manifest, build each model's image, place it on the targets of this stack."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pulumi

from components import EnvironmentImages, LocalDocker, Project, PromotedImage, RegisteredModel, ScoringImage
from components.local_batch import local_batch
from components.promoted_image import promoted_image, promoted_release
from manifest import (
    AciTarget,
    AksTarget,
    BatchTarget,
    IotEdgeTarget,
    LocalDockerTarget,
    ManifestError,
    load_environment,
    load_manifest,
)

if TYPE_CHECKING:
    from components.azure import Platform
    from components.iot_edge_module import IotEdgeBase
    from components.kubernetes import Cluster
    from manifest import AnyTarget, Environment, Model

    Images = dict[str, tuple[Model, ScoringImage | PromotedImage]]

ROOT = Path(__file__).parent


def main(root: Path = ROOT) -> None:
    """Declare the stack.

    Args:
        root: The project's folder, with models.yaml.

    Raises:
        ManifestError: The manifest or the stack's configuration is wrong.
    """
    manifest = load_manifest(root / "models.yaml")
    stack = pulumi.get_stack()
    environment = load_environment(
        pulumi.runtime.get_config_env(), source=f"Pulumi.{stack}.yaml", path=root / f"Pulumi.{stack}.yaml"
    )
    wanted = [target for model in manifest.models for target in model.targets if target.kind in environment.targets]
    platform = _platform(environment) if any(_is_in_azure(target, environment) for target in wanted) else None
    if platform and os.environ.get("SLIPWAY_PLATFORM_ONLY") == "1":
        # `slipway promote` asks for it before the first promotion: images are copied to a registry that is there.
        pulumi.export("azure", platform.outputs)
        return
    # Named in the configuration, or the platform's own.
    own = platform.registry_server if platform and "registry" not in environment.model_fields_set else None
    repository = pulumi.Output.concat(own or environment.registry, "/", pulumi.get_project())
    project = Project(root, environment, repository)
    cluster = _cluster(project, platform) if any(_is_on_cluster(target) for target in wanted) else None
    environments = EnvironmentImages(project)
    release = promoted_release(project) if environment.promote_from else None

    # Models that run somewhere, by themselves or as a part of another's pipeline; each in the version that runs.
    in_pipelines = {name for target in wanted for name in target.models}
    images: Images = {}
    for model in manifest.models:
        if not (model.name in in_pipelines or any(target.kind in environment.targets for target in model.targets)):
            continue
        if release:
            if promoted := promoted_image(model, release, project):
                images[model.name] = promoted
        else:
            registered = RegisteredModel(model, project=project)
            image = ScoringImage(model, environments.of(model), project=project, registered=registered)
            images[model.name] = (model, image)

    edge = _edge_base(wanted, project, platform)
    outputs = {}
    for model, built in images.values():
        live = [target for target in model.targets if target.kind in environment.targets]
        targets = {target.kind: _placed(model, target, images, project, platform, edge, cluster) for target in live}
        outputs[model.name] = {"version": model.version, "image": built.ref, "targets": targets}
    pulumi.export("models", outputs)
    if platform:
        pulumi.export("azure", platform.outputs)
    if cluster:
        pulumi.export("kubernetes", cluster.outputs)


def _is_in_azure(target: AnyTarget, environment: Environment) -> bool:
    """Tell whether a target needs the platform."""
    if _is_on_cluster(target):
        return not environment.has_own_cluster
    if isinstance(target, BatchTarget):
        return target.engine_in(has_azure=environment.azure is not None) == "azure"
    return isinstance(target, AciTarget | IotEdgeTarget)


def _is_on_cluster(target: AnyTarget) -> bool:
    """Tell whether a target needs the cluster."""
    return isinstance(target, AksTarget) or (isinstance(target, BatchTarget) and target.engine == "kubernetes")


def _platform(environment: Environment) -> Platform:
    if environment.azure is None:
        raise pulumi.RunError(
            "A batch target has engine: azure, which needs slipway:azure, or engine: kubernetes, which needs that or a "
            "cluster in slipway:kubernetes (docs/batch.md)."
        )
    from components.azure import Platform  # noqa: PLC0415 - a stack without cloud targets starts without the SDK

    return Platform(environment)


def _edge_base(wanted: list[AnyTarget], project: Project, platform: Platform | None) -> IotEdgeBase | None:
    """What all devices have, where there are any."""
    targets = [target for target in wanted if isinstance(target, IotEdgeTarget)]
    if not targets or platform is None:
        return None
    from components.iot_edge_module import IotEdgeBase  # noqa: PLC0415 - as above

    return IotEdgeBase(targets, project=project, platform=platform)


def _module(
    model: Model, target: IotEdgeTarget, images: Images, platform: Platform, base: IotEdgeBase
) -> dict[str, Any]:
    """Place a model on devices; its pipeline may name other models."""
    if missing := [name for name in target.models if name not in images]:
        raise pulumi.RunError(
            f"model {model.name}: iot-edge: its pipeline names {missing[0]}, which the release that this stack deploys "
            "is without. Once the other stack runs it, promote that."
        )
    from components.iot_edge_module import IotEdgeModule  # noqa: PLC0415 - as above

    needed = {name: images[name][1] for name in (model.name, *target.models)}
    return IotEdgeModule(
        model,
        target,
        {name: image.ref for name, image in needed.items()},
        built_here=isinstance(images[model.name][1], ScoringImage),
        base=base,
        platform=platform,
    ).outputs


def _cluster(project: Project, platform: Platform | None) -> Cluster:
    from components.kubernetes import Cluster  # noqa: PLC0415 - as above

    return Cluster(project, platform)


def _placed(
    model: Model,
    target: AnyTarget,
    images: Images,
    project: Project,
    platform: Platform | None,
    edge: IotEdgeBase | None,
    cluster: Cluster | None,
) -> dict[str, Any]:
    """Place a model on a target; return what the stack exports of it."""
    image = images[model.name][1]
    if isinstance(target, IotEdgeTarget):
        return _module(model, target, images, cast("Platform", platform), cast("IotEdgeBase", edge))
    if isinstance(target, LocalDockerTarget):
        return LocalDocker(model, target, image, project=project).outputs
    if isinstance(target, AksTarget):
        from components.aks_service import AksService  # noqa: PLC0415 - as above

        own = cast("Cluster", cluster)
        return AksService(model, target, image, project=project, cluster=own, platform=platform).outputs
    if isinstance(target, BatchTarget):
        return _batch(model, target, image, project, platform, cluster)
    from components.aci_service import AciService  # noqa: PLC0415 - as above

    # There is one where a target in Azure is live.
    return AciService(model, target, image, project=project, platform=cast("Platform", platform)).outputs


def _batch(
    model: Model,
    target: BatchTarget,
    image: ScoringImage | PromotedImage,
    project: Project,
    platform: Platform | None,
    cluster: Cluster | None,
) -> dict[str, Any]:
    """Place a batch target where its jobs run."""
    if _is_on_cluster(target):
        from components.kubernetes.batch_jobs import ClusterBatch  # noqa: PLC0415 - as above

        return ClusterBatch(model, target, image, project=project, cluster=cast("Cluster", cluster)).outputs
    if not _is_in_azure(target, project.environment):
        return local_batch(model, target, image, project=project)
    from components.batch_pool import BatchPool  # noqa: PLC0415 - as above

    return BatchPool(model, target, image, project=project, platform=cast("Platform", platform)).outputs


if __name__ == "__main__":
    try:
        main()
    except ManifestError as error:
        # A RunError is shown without a traceback.
        raise pulumi.RunError(str(error)) from None
