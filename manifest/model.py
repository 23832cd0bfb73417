"""What models.yaml says: models, how each is scored, and where it runs."""

import os
import posixpath
from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Len
from pydantic import ConfigDict, Field, PrivateAttr, ValidationInfo, field_validator

from manifest.fields import (
    AsTuple,
    Checked,
    Checksum,
    Description,
    InnerPath,
    LoosePath,
    ModelName,
    ScriptPath,
    SourceUrl,
    TagName,
    Text,
    Variable,
    Version,
    refusal,
)
from manifest.serving import Collecting, Extra, Serving
from manifest.targets import BatchTarget, IotEdgeTarget, TargetEntry


class Scoring(Checked):
    """How a model answers. Paths are relative to the model's folder."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["requirements", "conda"]}})

    script: ScriptPath = Field(
        default="score.py",
        description="The script with init() and run(), relative to `code` if given, else to the model's folder.",
    )
    code: InnerPath | None = Field(
        default=None, description="A folder of code that the script needs; all of it goes into the image."
    )
    requirements: LoosePath | None = Field(default=None, description="A requirements.txt with what the script imports.")
    conda: LoosePath | None = Field(
        default=None, description="A conda environment file, instead of `requirements`; pip installs what it lists."
    )
    sample: InnerPath | None = Field(
        default=None, description="A JSON file with a request that the model must answer before its image is released."
    )
    schema_file: InnerPath | None = Field(
        default=None,
        alias="schema",
        description="A JSON file with JSON Schemas of the request (`input`) and of the answer (`output`).",
    )
    env: Annotated[Mapping[Variable, Text], Len(max_length=100)] = Field(
        default_factory=dict, description="Environment variables of the service. Not for secrets."
    )
    serving: Serving = Field(default=Serving(), description="How many requests are answered at once, and their limits.")
    collect: Collecting = Field(
        default=None, description="Keep requests and answers, where the stack's configuration says; `true` for all."
    )
    telemetry: bool = Field(
        default=False, description="Put OpenTelemetry into the image; the stack's configuration says where traces go."
    )

    @field_validator("conda", mode="after")
    @classmethod
    def _one_way_to_name_dependencies(cls, value: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("requirements") is not None:
            raise refusal("conda and requirements exclude each other; keep one")
        return value

    @field_validator("serving", mode="after")
    @classmethod
    def _said_once(cls, value: Serving, info: ValidationInfo) -> Serving:
        if twice := sorted(value.variables().keys() & info.data.get("env", {}).keys()):
            raise refusal(f"says the same as {', '.join(twice)} in `env`; keep one of them")
        return value

    @property
    def variables(self) -> dict[str, str]:
        """What the image sets for the model, as environment variables."""
        return {**self.env, **self.serving.variables()}

    @property
    def extras(self) -> tuple[Extra, ...]:
        """What the image has for serving beside the runtime's own packages."""
        wanted: dict[Extra, bool] = {"collect": self.collect is not None, "telemetry": self.telemetry}
        return tuple(name for name, is_wanted in wanted.items() if is_wanted)


class Source(Checked):
    """Where a model's own files come from when they are not in the repository."""

    model_config = ConfigDict(json_schema_extra={"required": ["url", "sha256"]})

    url: SourceUrl = Field(
        description="https://, s3://, az://, abfs://, mlflow:models:/NAME/VERSION or azureml:NAME:VERSION; a folder's "
        "ends in /."
    )
    sha256: Checksum = Field(
        default="", validate_default=True, description="Its checksum, which `slipway models digest URL` prints."
    )


class Lineage(Checked):
    """What a model came from; kept with its registered version."""

    data: Text | None = Field(default=None, description="The training data: a name, a version, a URL.")
    metrics: Annotated[Mapping[TagName, float], Len(max_length=50)] = Field(
        default_factory=dict, description="How good it is, as numbers by name."
    )


class Model(Checked):
    """A model in one version, how it is scored, and its targets."""

    name: ModelName = Field(description="The model's name; lower-case letters, digits and hyphens.")
    version: Version = Field(
        description='The version: a whole number, a text in quotes such as "1.10", or auto: one made from the content.'
    )
    path: InnerPath = Field(
        description="The model's file or folder, relative to models.yaml. All scoring paths start from that folder."
    )
    source: Source | None = Field(
        default=None,
        description="Where the model comes from; `path` is then the folder of the scoring files.",
    )
    scoring: Scoring = Field(default=Scoring(), description="How the model answers.")
    targets: Annotated[tuple[TargetEntry, ...], AsTuple] = Field(
        default=(), description="Where the model runs; the environment decides which of them are live."
    )
    description: Description | None = Field(default=None, description="What the model is for.")
    tags: Annotated[Mapping[TagName, Text], Len(max_length=50)] = Field(
        default_factory=dict, description="Names and values of your own, kept with the model."
    )
    framework: Text | None = Field(default=None, description="What the model was made with, such as onnx or sklearn.")
    lineage: Lineage = Field(default=Lineage(), description="What the model came from.")

    # A file by itself or a folder: decides what scoring paths are relative to.
    _is_file: bool = PrivateAttr(default=False)
    _in_pipeline: bool = PrivateAttr(default=False)

    def model_post_init(self, context: Any, /) -> None:
        """Look what `path` is, where validation was told the project's folder."""
        if context:
            self._is_file = os.path.isfile(os.path.join(context["root"], self.path))  # noqa: PTH113, PTH118 - these answer False where pathlib raises

    @property
    def extras(self) -> tuple[Extra, ...]:
        """What the image has beside the runtime's own packages."""
        # Whether the target is live or not: a stack that promotes takes the image of another one.
        batch: tuple[Extra, ...] = ("batch",) if any(target.kind == BatchTarget.kind for target in self.targets) else ()
        edge: tuple[Extra, ...] = ("edge",) if self.is_module else ()
        asks_entra = any(getattr(target, "auth", None) == "entra" for target in self.targets)
        entra: tuple[Extra, ...] = ("entra",) if asks_entra else ()
        return (*self.scoring.extras, *batch, *edge, *entra)

    @property
    def is_module(self) -> bool:
        """Whether it runs on devices of IoT Edge: by a target of its own, or in the pipeline of another model."""
        return self._in_pipeline or any(isinstance(target, IotEdgeTarget) for target in self.targets)

    def in_pipeline(self) -> "Model":
        """Return the model as one that another model's pipeline names."""
        found = self.model_copy()
        found._in_pipeline = True  # noqa: SLF001 - its own
        return found

    @property
    def folder(self) -> str:
        """The folder that scoring paths are relative to, itself relative to the project's folder."""
        return (posixpath.dirname(self.path) or ".") if self._is_file else self.path

    @property
    def model_path(self) -> str:
        """The model's file or folder, relative to `folder`."""
        return posixpath.basename(self.path) if self._is_file else "."

    @property
    def code_folder(self) -> str:
        """The folder of the scoring script, relative to `folder`."""
        return self.scoring.code or posixpath.dirname(self.scoring.script) or "."

    @property
    def script_path(self) -> str:
        """The scoring script, relative to `folder`."""
        return posixpath.join(self.scoring.code, self.scoring.script) if self.scoring.code else self.scoring.script


class Manifest(Checked):
    """All models, as models.yaml has them."""

    models: Annotated[tuple[Model, ...], AsTuple] = Field(
        description="The models; each is built into one image and placed on its targets."
    )
