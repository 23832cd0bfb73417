"""What `pulumi up` does: read the manifest, build each model's image, place it on the targets of this stack."""

from __future__ import annotations

import atexit
import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pulumi

from components import EnvironmentImages, Placement, Project, ScoringImage, platform_for
from components.model_registry import register
from components.promoted_image import promoted_image, promoted_release
from manifest import ManifestError, load_environment, load_manifest
from manifest.live import live_models, live_targets
from manifest.platforms import platforms_needed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.azure import Platform
    from components.placement import Images
    from manifest import Model

ROOT = Path(__file__).parent


def main(root: Path = ROOT) -> None:
    """Declare the stack.

    Args:
        root: The project's folder, with models.yaml.

    Raises:
        ManifestError: The manifest or the stack's configuration is wrong.
    """
    manifest = load_manifest(root / "models.yaml")
    configuration = f"Pulumi.{pulumi.get_stack()}.yaml"
    environment = load_environment(pulumi.runtime.get_config_env(), source=configuration, path=root / configuration)
    if environment.policies and os.environ.get("SLIPWAY_POLICIES") != "1":
        pulumi.log.warn(
            "slipway:policies was not looked at: it has to stand in the stack's own file, and holds for `slipway up` "
            "and `slipway preview`; plain Pulumi needs --policy-pack (docs/policies.md)."
        )
    models = live_models(manifest, environment.targets)
    wanted = [target for model in models for target in live_targets(model, environment.targets)]
    platform = platform_for(wanted, environment)
    if os.environ.get("SLIPWAY_PLATFORM_ONLY") == "1":
        # `slipway promote` asks for it before the first promotion: images are copied to a registry that is there.
        if platform:
            pulumi.export("azure", platform.outputs)
        return
    # Named in the configuration, or the platform's own.
    own = platform.registry_server if platform and "registry" not in environment.model_fields_set else None
    repository = pulumi.Output.concat(own or environment.registry, "/", pulumi.get_project())
    own_models = platform.models.location if platform and environment.registers_in_workspace else None
    project = Project(root, environment, repository, own_models)

    images = _images(models, platforms_needed(manifest, environment), project, platform)
    placement = Placement(wanted, images, project=project, platform=platform)
    outputs = {}
    for model, image in images.values():
        targets = {one.kind: placement.place(model, one) for one in live_targets(model, environment.targets)}
        outputs[model.name] = {
            "version": model.version,
            "image": image.ref,
            "platforms": list(image.platforms),
            "targets": targets,
        }
    for name, value in {"models": outputs, **placement.outputs}.items():
        pulumi.export(name, value)


def _images(
    models: Sequence[Model], platforms: Mapping[str, tuple[str, ...]], project: Project, platform: Platform | None
) -> Images:
    """Return each model's image, built or promoted; a promoted model is the one that was built then."""
    environments = EnvironmentImages(project)
    release = promoted_release(project) if project.environment.promote_from else None
    images: Images = {}
    for model in models:
        if release is None:
            image = ScoringImage(model, environments.of(model, platforms[model.name]), project=project)
            images[model.name] = (model, register(model, image, project=project, platform=platform))
        elif promoted := promoted_image(model, release, project, platforms[model.name]):
            images[model.name] = promoted
    return images


if __name__ == "__main__":
    # The last search for unreachable objects takes a tenth of a second, of each preview and deployment.
    atexit.register(gc.freeze)
    try:
        main()
    except ManifestError as error:
        # A RunError is shown without a traceback.
        raise pulumi.RunError(str(error)) from None
