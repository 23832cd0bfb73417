"""EnvironmentImage: Python with the runtime's and a model's dependencies, one for each distinct set of them.

It is an image of its own, so that a hundred models with the same requirements install them once, and another
machine takes them from the registry instead of installing them again.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import pulumi

from components.package_index import build_secrets
from components.pushed_image import platform_options, pushed_image
from manifest import requirements

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from components.project import Project
    from manifest import Model
    from manifest.serving import Extra

_DOCKERFILE = "scoring/environment.Dockerfile"
# Python's own images, perhaps in a mirror; one with a digest is held fast and offers no choice.
_PYTHON_IMAGE = re.compile(r"(?P<name>(?:.*/)?python):\d+\.\d+(?P<variant>-[\w.-]+)?")


class EnvironmentImage(pulumi.ComponentResource):
    """The image of one set of dependencies, in the stack's registry.

    Attributes:
        hash: Of everything that goes into the image, in hexadecimal; known before it is built.
        platforms: What it is built for.
        ref: The image's name with its digest.
    """

    hash: str
    platforms: tuple[str, ...]
    ref: pulumi.Output[str]

    def __init__(
        self,
        dependencies: requirements.Dependencies,
        *,
        extras: Sequence[Extra],
        base: str,
        digest: str,
        platforms: tuple[str, ...],
        project: Project,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Register the image.

        Args:
            dependencies: What to install beside the runtime's own.
            extras: What of the runtime's own only some models have.
            base: The base image, with the Python version that the dependencies ask for.
            digest: The hash of everything that goes into the image.
            platforms: What to build it for.
            project: The checkout and its stack.
            opts: Pulumi's options.
        """
        self.hash, self.platforms = digest, platforms
        name = f"environment-{digest[:12]}"
        super().__init__("slipway:index:EnvironmentImage", name, None, opts)
        secrets = build_secrets(project.environment, project.root)
        image = pushed_image(
            name,
            project=project,
            tag=f"environments:{digest[:12]}",
            platforms=platform_options(platforms),
            contexts={"runtime": "scoring"},
            parent=self,
            build_args={"BASE": base, "EXTRAS": " ".join(extras), "REQUIREMENTS": "\n".join(dependencies.pip)},
            dockerfile={"location": _DOCKERFILE},
            secrets={key: pulumi.Output.secret(value) for key, value in secrets.items()},
            # A machine with other certificates builds the same image.
            ignore_secrets_in_diff_calculation=["pip_conf", "ca_bundle"],
        )
        self.ref = image.ref
        self.register_outputs({"ref": self.ref})


class EnvironmentImages:
    """Hands out environments: the same dependencies get the same image."""

    def __init__(self, project: Project) -> None:
        """Start without any, for a checkout and its stack."""
        self._project = project
        self._images: dict[str, EnvironmentImage] = {}

    def of(self, model: Model, platforms: tuple[str, ...]) -> EnvironmentImage:
        """Return the environment of a model, for the platforms of its image.

        Raises:
            ManifestError: The model's requirements cannot be served.
        """
        dependencies = requirements.dependencies(model, self._project.root)
        for note in dependencies.notes:
            pulumi.log.info(f"{model.name}: {note}")
        base = _base_image(self._project.environment.base_image, dependencies.python)
        extras = model.extras
        digest = _environment_hash(self._project.root, base, extras, platforms, dependencies)
        if digest not in self._images:
            self._images[digest] = EnvironmentImage(
                dependencies, extras=extras, base=base, digest=digest, platforms=platforms, project=self._project
            )
        return self._images[digest]


def _base_image(base: str, python: str | None) -> str:
    """The base image with a Python version: the configured one, whose tag names it, with the version asked for."""
    if python is None:
        return base
    if not (named := _PYTHON_IMAGE.fullmatch(base)):
        raise pulumi.RunError(
            f"a conda environment asks for Python {python}, and slipway:baseImage is {base}, whose version cannot be "
            "chosen. Remove `python` from the environment file, or configure an image as python:3.11-slim."
        )
    return f"{named['name']}:{python}{named['variant'] or ''}"


def _environment_hash(
    root: Path,
    base: str,
    extras: Sequence[Extra],
    platforms: Sequence[str],
    dependencies: requirements.Dependencies,
) -> str:
    files = [_DOCKERFILE, "scoring/requirements.lock"]
    files += [f"scoring/requirements.{extra}.{kind}" for extra in extras for kind in ("in", "lock")]
    texts = ((root / name).read_text(encoding="utf-8") for name in files)
    parts = [*texts, base, " ".join(extras), " ".join(platforms), *dependencies.pip]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
