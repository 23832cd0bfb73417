"""The stack's configuration, Pulumi.<stack>.yaml: which targets are live there, and that environment's sizes."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, field_validator

from manifest.azure import Azure, PrivateKey
from manifest.destinations import CollectSettings, HashKey, Secret, TelemetrySettings
from manifest.document import Document, Node
from manifest.explain import Finding, explain
from manifest.fields import AsTuple, Checked, Memory, Rule, matching, mebibytes, refusal
from manifest.images import HOST, ImageName, Platform, Registry
from manifest.kubernetes import EntraSettings, KubernetesSettings
from manifest.policies import PolicySettings
from manifest.problems import ManifestError, Problem, closest, key_path, shown, unknown
from manifest.source import parse
from manifest.supply_chain import SupplyChainSettings
from manifest.targets import TARGETS, AciTarget, IotEdgeTarget
from manifest.targets.local_docker import Cpu
from manifest.text_file import read_text

NAMESPACE = "slipway"
# What slipway:modelRegistry has in the place of a location.
WORKSPACE_REGISTRY = "azureml"
# The kinds of target that need slipway:azure.
CLOUD = frozenset({AciTarget.kind, IotEdgeTarget.kind})
_URL = re.compile(r"https?://[^\s/]+(/\S*)?")


def _wrong_url(value: str) -> str | None:
    # Not repeated in the message: it may hold a password.
    return None if _URL.fullmatch(value) else "must be an http or https address"


def _known_targets(value: tuple[str, ...]) -> tuple[str, ...]:
    for index, name in enumerate(value):
        if name not in TARGETS:
            raise refusal(unknown("target", name, TARGETS))
        if name in value[:index]:
            raise refusal(f"names {shown(name)} twice")
    return value


def _homeless(value: str) -> str:
    # The configuration is for other people and machines too.
    named = "; ~ stands for no home here: give a path from the project's folder, or a whole one (./~ for that name)"
    return named if value.startswith("~") else ""


Url = Annotated[str, Rule(f"^{_URL.pattern}$", _wrong_url)]
BuilderName = Annotated[
    str, matching(r"[a-zA-Z][a-zA-Z0-9._-]{0,62}", "a builder's name: letters, digits, dots, underscores and hyphens")
]
FilePath = Annotated[str, matching(r"(?!~)[^\x00-\x1f\x7f]{1,4096}", "a path", _homeless)]
RegistryLocation = Annotated[
    str,
    matching(
        r"(?:(?:s3|az|abfss?)://[^\s:?#]{3,1024}|(?!~|[a-z0-9+]+://)[^\x00-\x1f\x7f]{1,1024})",
        "a folder, or a URL with s3://, az:// or abfs://, without a key in it",
        _homeless,
    ),
]
StackName = Annotated[
    str,
    matching(r"(?:[A-Za-z0-9_.-]{1,100}/){0,2}[A-Za-z0-9_.-]{1,100}", "a stack's name: letters, digits, dots, hyphens"),
]


def _wrong_kubeconfig(value: str) -> str | None:
    # Not repeated in the message: it holds a credential.
    return (
        None
        if re.search(r"(?m)^\s*[\"']?clusters[\"']?\s*:", value)
        else ("must be the content of a kubeconfig, with `clusters:` (it is not shown here)")
    )


Kubeconfig = Annotated[str, Rule(r"clusters", _wrong_kubeconfig)]


class LocalDockerSettings(Checked):
    """What holds for every `local-docker` target of the environment."""

    port_offset: Annotated[int, Ge(0), Le(50000)] = Field(default=0, description="Added to every port.")
    cpu: Cpu = Field(default=1, description="Processors of a container whose target names none.")
    memory: Memory = Field(default="1Gi", description="Memory of a container whose target names none.")

    @property
    def memory_mib(self) -> int:
        """The memory in MiB."""
        return mebibytes(self.memory)


class PipSettings(Checked):
    """Where pip finds packages while images are built."""

    index_url: Url | None = Field(default=None, description="The package index, instead of pip's own.")
    extra_index_urls: Annotated[tuple[Url, ...], AsTuple] = Field(default=(), description="Further indexes.")
    trusted_hosts: Annotated[
        tuple[Annotated[str, matching(HOST, "a host's name, with its port where that is unusual")], ...], AsTuple
    ] = Field(default=(), description="Hosts whose certificates are not checked.")


class Environment(Checked):
    """A stack's configuration."""

    azure: Azure | None = Field(default=None, description="What the cloud targets share.")
    kubernetes: KubernetesSettings = Field(
        default=KubernetesSettings(), description="The cluster of `aks` targets, and how models are placed on it."
    )
    kubeconfig: Kubeconfig = Field(
        default="",
        repr=False,
        description="Secret: the content of a kubeconfig, instead of slipway:kubernetes.kubeconfig.",
    )
    entra: EntraSettings | None = Field(default=None, description="Whose tokens services with `auth: entra` take.")
    targets: Annotated[tuple[str, ...], AsTuple, AfterValidator(_known_targets)] = Field(
        description="Which of the manifest's targets are live here."
    )
    development: bool = Field(default=False, description="Allow `reload`, and show errors in full.")
    # The toolchain sets the variable where the local registry is not at its usual port.
    registry: Registry = Field(
        default_factory=lambda: os.environ.get("SLIPWAY_REGISTRY") or "localhost:5050",
        description="Where images are pushed to.",
    )
    builder: BuilderName = Field(default="slipway", description="The BuildKit builder.")
    base_image: ImageName = Field(default="python:3.11-slim", description="What environments are built on.")
    platforms: Annotated[tuple[Platform, ...], AsTuple] = Field(
        default=(),
        description="Build images for these too, beside what the live targets run on: for stacks promoted from here.",
    )
    promote_from: StackName | None = Field(
        default=None, description="Build nothing: deploy what `slipway promote` brought from this stack."
    )
    releases: FilePath | None = Field(
        default=None, description="Where releases are recorded: a folder, or a URL such as az://container/releases."
    )
    supply_chain: SupplyChainSettings | None = Field(
        default=None, description="What is recorded and demanded of each image: SBOM, vulnerabilities, signature."
    )
    model_registry: RegistryLocation | None = Field(
        default=None,
        description="Where models are registered: a folder, a URL such as s3://bucket/models, or azureml: in the "
        "stack's storage and Machine Learning workspace.",
    )
    local_docker: LocalDockerSettings = Field(
        default=LocalDockerSettings(), description="What holds for every local-docker target."
    )
    collect: CollectSettings | None = Field(
        default=None, description="Where the inputs and outputs of models with `collect` are kept."
    )
    telemetry: TelemetrySettings | None = Field(
        default=None, description="Where the traces of models with `telemetry` go."
    )
    collect_hash_key: HashKey = Field(
        default="", repr=False, description="Secret: the key of the hashes that `collect` makes."
    )
    storage_connection_string: Secret = Field(
        default="", repr=False, description="Secret: of the blob storage that `collect` writes to."
    )
    insights_connection_string: Secret = Field(
        default="", repr=False, description="Secret: of the Application Insights of models with `telemetry`."
    )
    otlp_headers: Secret = Field(
        default="", repr=False, description="Secret: what is sent to the OTLP collector, as NAME=VALUE,NAME=VALUE."
    )
    tls_key: PrivateKey = Field(default="", repr=False, description="Secret: the key of slipway:azure.tls.")
    edge_registry_password: Secret = Field(
        default="", repr=False, description="Secret: of slipway:azure.iotHub.registryUser, with which devices pull."
    )
    pip: PipSettings | None = Field(default=None, description="Where pip finds packages.")
    ca_bundle: FilePath | None = Field(
        default=None, description="A file of certificates that builds trust beside the public ones."
    )
    policies: PolicySettings | None = Field(
        default=None, description="The rules that previews and deployments are held to; `{}` for all with defaults."
    )

    @property
    def has_own_cluster(self) -> bool:
        """Whether `aks` targets are on a cluster that the configuration names, instead of one of slipway:azure."""
        return self.kubernetes.names_cluster or bool(self.kubeconfig)

    @property
    def registers_in_workspace(self) -> bool:
        """Whether models are registered in the stack's storage and its Machine Learning workspace."""
        return self.model_registry == WORKSPACE_REGISTRY and self.promote_from is None

    @field_validator("model_registry", mode="after")
    @classmethod
    def _a_registry_in_a_workspace_has_one(cls, value: str | None, info: ValidationInfo) -> str | None:
        azure = info.data.get("azure", 0)
        lacking = azure is None or (isinstance(azure, Azure) and azure.machine_learning is None)
        if value == WORKSPACE_REGISTRY and lacking:
            raise refusal(
                "is azureml, which needs slipway:azure with `machineLearning`, at least {} (docs/registry.md); a "
                "folder of that name is ./azureml"
            )
        return value

    @field_validator("targets", mode="after")
    @classmethod
    def _cloud_targets_know_their_cloud(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        cloud = [name for name in value if name in CLOUD]
        if cloud and info.data.get("azure", 0) is None:
            raise refusal(
                f"names {shown(cloud[0])}, which needs slipway:azure, at least {{location: REGION}} (docs/azure.md)"
            )
        data = info.data
        elsewhere = "kubernetes" not in data or data["kubernetes"].names_cluster or data.get("kubeconfig", 0) != ""
        if "aks" in value and data.get("azure", 0) is None and not elsewhere:
            raise refusal(
                'names "aks", which needs a cluster: slipway:kubernetes with `kubeconfig` or `context`, or '
                "slipway:azure with at least {location: REGION} (docs/kubernetes.md)"
            )
        return value


def load_environment(values: Mapping[str, Any], *, source: str, path: Path | None = None) -> Environment:
    """Check a stack's configuration.

    Args:
        values: Keys with or without `slipway:`, and values as Python values or, as Pulumi hands them out, as text
            and JSON. Keys of other namespaces are not looked at.
        source: What to call the configuration in messages, as `Pulumi.dev.yaml`.
        path: The file, if there is one, for line numbers in messages.

    Raises:
        ManifestError: With everything that is wrong.
    """
    document = _document(path, source)
    given: dict[str, Any] = {}
    findings: list[Finding] = []
    for key, value in values.items():
        namespace, colon, name = key.rpartition(":")
        if not colon or namespace == NAMESPACE:
            given[name] = _decoded(name, value)
        elif closest(namespace, [NAMESPACE]):
            message = f"unknown namespace {shown(namespace)}; did you mean {shown(f'{NAMESPACE}:{name}')}?"
            findings.append(Finding((key,), message, on_key=True))
    try:
        environment = Environment.model_validate(given)
    except ValidationError as error:
        findings += explain(error, Environment)
    if findings:
        raise ManifestError(_problem(finding, document, source) for finding in findings)
    return environment


def _decoded(name: str, value: Any) -> Any:
    """What Pulumi hands out as text, as the value that it stands for."""
    texts = {field.alias for field in Environment.model_fields.values() if _is_text(field.annotation)}
    if not isinstance(value, str) or name in texts:
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _is_text(annotation: Any) -> bool:
    """Whether a value can be nothing but a text; also one that may be missing, or has rules: Annotated[str, ...]."""
    if isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        return all(_is_text(one) or one is NoneType for one in get_args(annotation))
    return annotation is str or (get_origin(annotation) is Annotated and _is_text(get_args(annotation)[0]))


def _document(path: Path | None, source: str) -> Document | None:
    """The configuration's file; without it messages have no lines."""
    try:
        return parse(read_text(path, source), source) if path else None
    except ManifestError:
        return None


def _problem(finding: Finding, document: Document | None, source: str) -> Problem:
    loc = finding.loc
    name = str(loc[0]) if loc else ""
    key = key_path(loc[1:])
    full = (name if ":" in name else f"{NAMESPACE}:{name}") + (key if key.startswith("[") or not key else f".{key}")
    place: Node | None = None
    if document:
        entries = document.find(("config",)).value
        written = next(
            (one for one in (f"{NAMESPACE}:{name}", name) if isinstance(entries, dict) and one in entries), None
        )
        place = document.find(("config", written, *loc[1:]) if written else ("config",), key=finding.on_key)
    line, column = (place.line, place.column) if place else (None, None)
    return Problem(source, line, column, full, finding.message)
