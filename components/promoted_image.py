"""PromotedImage: the image of one model version that another stack built; here nothing is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi

from components.model_image import ModelImage
from releases import ReleaseError, ReleaseStore, release_location

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.project import Project
    from manifest import Model
    from releases import Release, ReleasedModel


class PromotedImage(pulumi.ComponentResource):
    """An image by its digest, which `slipway promote` copied to this stack's registry.

    Attributes:
        platforms: What it was built for; empty where its release does not tell.
        tag: The model's version and the beginning of the digest.
        ref: The image's name with its digest.
    """

    platforms: tuple[str, ...]
    tag: str
    ref: pulumi.Output[str]

    def __init__(
        self, released: ReleasedModel, *, project: Project, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Register the image.

        Args:
            released: The model as it was released.
            project: The checkout and its stack.
            opts: Pulumi's options.
        """
        super().__init__("slipway:index:PromotedImage", released.name, None, opts)
        self.platforms = released.platforms
        self.tag = f"{released.version}-{released.digest.removeprefix('sha256:')[:12]}"
        self.ref = pulumi.Output.from_input(project.repository).apply(released.image_in)
        self.register_outputs({"ref": self.ref, "tag": self.tag})


def promoted_release(project: Project) -> Release:
    """Return the release that this stack deploys.

    Raises:
        pulumi.RunError: Nothing was promoted to it, or that came from another stack than it should.
    """
    stack, source = pulumi.get_stack(), project.environment.promote_from
    try:
        release = ReleaseStore(release_location(project.environment.releases, project.root)).promoted(stack)
    except ReleaseError as error:
        raise pulumi.RunError(str(error)) from None
    if release is None:
        raise pulumi.RunError(f"Nothing was promoted to {stack} yet: `slipway promote {source} {stack}` does it.")
    if release.stack != str(source).rpartition("/")[2]:
        raise pulumi.RunError(
            f"{stack} deploys what is promoted from {source} (slipway:promoteFrom), but the release promoted last, "
            f"{release.id}, is of {release.stack}. `slipway promote {source} {stack}` promotes one of {source}."
        )
    return release


def promoted_image(
    model: Model, release: Release, project: Project, platforms: Sequence[str]
) -> tuple[Model, ModelImage] | None:
    """Return a model in the version that was promoted, and its image; None where it was not promoted.

    Args:
        model: The model as the manifest has it.
        release: What this stack deploys.
        project: The checkout and its stack.
        platforms: What its targets here run on.

    Raises:
        pulumi.RunError: The image was not built for one of them.
    """
    released = release.model(model.name)
    if released is None:
        pulumi.log.warn(
            f"{model.name} is left out: release {release.id} of {release.stack}, which this stack deploys, is without "
            f"it. Once {release.stack} runs it, promote that."
        )
        return None
    if lacking := released.lacking(platforms):
        raise pulumi.RunError(
            f"{lacking}. `slipway:platforms: [{', '.join(platforms)}]` in Pulumi.{release.stack}.yaml has it built for "
            f"{'that' if len(platforms) == 1 else 'these'} there; promote it then."
        )
    image = PromotedImage(released, project=project)
    return model.model_copy(update={"version": released.version}), ModelImage(image.ref, image.tag, image.platforms)
