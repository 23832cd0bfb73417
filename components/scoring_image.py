"""ScoringImage: the image of one model version, named by what is in it."""

from __future__ import annotations

import hashlib
import posixpath
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pulumi

from components import dockerfile
from components.model_source import fetched_before, source_folder
from components.pushed_image import platform_options, pushed_image
from manifest import content

if TYPE_CHECKING:
    from components.environment_image import EnvironmentImage
    from components.project import Project
    from manifest import Model

_MODEL_CONTEXT = "model"


class ScoringImage(pulumi.ComponentResource):
    """Runtime, model and code on top of an environment: all that a target needs to serve one model version.

    Its last build step answers the model's sample: an image that cannot is never pushed, and what runs goes on.

    Attributes:
        platforms: What it is built for: those of its environment.
        tag: Version and content hash: known before the image is built, the same on every machine.
        ref: The image's name with its digest.
    """

    platforms: tuple[str, ...]
    tag: str
    ref: pulumi.Output[str]

    def __init__(
        self,
        model: Model,
        base: EnvironmentImage,
        *,
        project: Project,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Register the image.

        Args:
            model: The model as the manifest has it.
            base: The environment with the model's dependencies.
            project: The checkout and its stack.
            opts: Pulumi's options.
        """
        super().__init__("slipway:index:ScoringImage", model.name, None, opts)
        text = _dockerfile(model)
        folder = project.root / model.folder
        # By its content too.
        fetched = source_folder(model)
        parts = [
            text,
            base.hash,
            project.runtime_digest,
            fetched or content.digest_tree(folder, content.model_files(model, project.root)),
            content.digest_tree(folder, content.code_files(model, project.root)),
        ]
        self.platforms = base.platforms
        digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        self.tag = f"{model.version}-{digest[:12]}"
        name = f"models/{model.name}"
        image = pushed_image(
            model.name,
            project=project,
            tag=f"{name}:{self.tag}",
            platforms=platform_options(base.platforms),
            contexts={
                "source": model.folder,
                "runtime": "scoring",
                "environment": pulumi.Output.concat("docker-image://", base.ref),
                **({_MODEL_CONTEXT: fetched} if fetched else {}),
            },
            parent=self,
            hooks=fetched_before(model, project),
            dockerfile={"inline": text},
        )
        self.ref = pulumi.Output.concat(project.repository, f"/{name}@", image.digest)
        self.register_outputs({"ref": self.ref, "tag": self.tag})


def _dockerfile(model: Model) -> str:
    scoring = model.scoring
    contract = {"sample.json": scoring.sample, "schema.json": scoring.schema_file}
    contract_files = {name: file for name, file in contract.items() if file}
    places = {"SLIPWAY_SAMPLE": "sample.json", "SLIPWAY_SCHEMA": "schema.json"}
    script = PurePosixPath(scoring.script)
    return dockerfile.render(
        model=model.model_path,
        model_context=_MODEL_CONTEXT if model.source else "source",
        exclude=() if model.source else content.excluded_patterns(model),
        code=scoring.code or str(script.parent),
        code_files=None if scoring.code else [script.name],
        contract_files=contract_files,
        model_dir=posixpath.join(dockerfile.APP_ROOT, "azureml-models", model.name, model.version),
        environment={
            "AZUREML_ENTRY_SCRIPT": scoring.script if scoring.code else script.name,
            "SERVICE_NAME": model.name,
            "SERVICE_VERSION": model.version,
            **{
                key: f"{dockerfile.RUNTIME_ROOT}/contract/{name}"
                for key, name in places.items()
                if name in contract_files
            },
            **scoring.variables,
        },
    )
