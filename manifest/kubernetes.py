"""The stack's configuration `slipway:kubernetes`: the cluster of `aks` targets, and what holds for all of them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, Len
from pydantic import Field, ValidationInfo, field_validator

from manifest.aks import Guid
from manifest.fields import OBJECT_NAME, Checked, ShortForm, matching, refusal
from manifest.targets.aks import Namespace
from manifest.targets.triggers import ServerUrl

FilePath = Annotated[str, matching(r"(?!~[^/])[^\x00-\x1f\x7f]{1,4096}", "a path, with ~/ for your own home alone")]
ContextName = Annotated[str, matching(r"[^\x00-\x1f\x7f]{1,253}", "a context's name, as kubectl lists them")]
ObjectName = Annotated[
    str,
    matching(
        OBJECT_NAME,
        "an object's name: lower-case letters, digits, hyphens and dots",
    ),
]
LabelName = Annotated[
    str,
    matching(
        r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?",
        "a label's name as in agentpool or kubernetes.io/arch",
    ),
]
LabelValue = Annotated[
    str,
    matching(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", "a label's value: at most 63 letters and digits"),
]
_HOST = r"(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
Node = Annotated[str, matching(_HOST, "the address or name of a node")]


class Quota(Checked):
    """The most that all pods of a namespace may ask for."""

    cpu: Annotated[float, Ge(0.1), Le(100_000)] | None = Field(default=None, description="Processors.")
    memory: Annotated[str, matching("[1-9][0-9]{0,6}(?:Mi|Gi|Ti)", 'an amount such as "40Gi"')] | None = Field(
        default=None, description="Memory."
    )
    gpu: Annotated[int, Ge(0), Le(10_000)] | None = Field(default=None, description="Graphics processors.")
    pods: Annotated[int, Ge(1), Le(100_000)] | None = Field(default=None, description="Pods.")


class NamespaceSettings(Checked):
    """A namespace that the stack makes."""

    quota: Quota | None = Field(default=None, description="The most that its pods may ask for.")


class GatewaySettings(Checked):
    """A Gateway of the Gateway API, which has the certificates."""

    name: ObjectName = Field(description="The Gateway's name.")
    namespace: Namespace = Field(description="Its namespace.")


class IngressSettings(Checked):
    """An ingress controller."""

    class_name: ObjectName = Field(alias="class", description="The IngressClass.")
    tls_secret: ObjectName | None = Field(
        default=None, description="The Secret with the certificate, in each namespace. Default: the model's own."
    )
    issuer: ObjectName | None = Field(
        default=None, description="The ClusterIssuer by which cert-manager gets a certificate for each host."
    )

    @field_validator("issuer", mode="after")
    @classmethod
    def _one_certificate(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and info.data.get("tls_secret"):
            raise refusal("issuer and tlsSecret exclude each other: the one makes a certificate, the other has it")
        return value


class KedaSettings(Checked):
    """KEDA on the cluster, and what it asks on behalf of models' triggers."""

    identity: Guid | None = Field(
        default=None, description="The client id of the identity that KEDA asks Azure as; it trusts KEDA's operator."
    )
    prometheus: ServerUrl | None = Field(default=None, description="Prometheus' address, for triggers that name none.")


def _switched(value: Any) -> Any:
    """`true` for a mapping without keys, and `false` for nothing."""
    return ({} if value else None) if isinstance(value, bool) else value


class KubernetesSettings(Checked):
    """Which cluster, and how models are placed on it."""

    kubeconfig: FilePath | None = Field(
        default=None, description="A kubeconfig file. Its content may be in the secret slipway:kubeconfig instead."
    )
    context: ContextName | None = Field(
        default=None, description="The kubeconfig's context. Without a file of its own, it has to be named."
    )
    namespace: Namespace | None = Field(
        default=None, description="Where models are by default. Default: PROJECT-STACK, made by the stack."
    )
    namespaces: Annotated[Mapping[Namespace, NamespaceSettings], Len(max_length=100)] = Field(
        default_factory=dict, description="The namespaces that the stack makes; others have to be there."
    )
    service: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field(
        default="ClusterIP",
        description="How models are reached: within the cluster, at a port of every node, or at an address of their "
        "own.",
    )
    internal: bool = Field(
        default=False, description="A load balancer of Azure gets an address of the virtual network, not a public one."
    )
    node: Node | None = Field(
        default=None, description="The node whose address endpoints name with NodePort. Default: the API server's."
    )
    node_selector: Annotated[Mapping[LabelName, LabelValue], Len(max_length=20)] = Field(
        default_factory=dict, description="Labels of the nodes that models may run on."
    )
    pull_secret: ObjectName | None = Field(
        default=None, description="The Secret that images are pulled with, in each namespace."
    )
    gateway: GatewaySettings | None = Field(default=None, description="The Gateway that `host` is led by.")
    ingress: IngressSettings | None = Field(default=None, description="The ingress controller that `host` is led by.")
    monitor: bool = Field(default=False, description="Make a ServiceMonitor for each model, for Prometheus' operator.")
    keda: Annotated[KedaSettings | None, ShortForm(_switched, {"type": "boolean"})] = Field(
        default=None,
        description="The cluster has KEDA, for `replicas.triggers`; Azure's add-on, where Slipway made it.",
    )

    @field_validator("ingress", mode="after")
    @classmethod
    def _one_way_in(cls, value: IngressSettings | None, info: ValidationInfo) -> IngressSettings | None:
        if value and info.data.get("gateway"):
            raise refusal("gateway and ingress exclude each other; keep one")
        return value

    @property
    def names_cluster(self) -> bool:
        """Whether it says which cluster, the secret aside."""
        return bool(self.kubeconfig or self.context)


class EntraSettings(Checked):
    """Whose tokens services with `auth: entra` take; docs/security.md says what each is."""

    tenant: Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}", "a tenant's id or domain")] = Field(
        description="The tenant's id or domain."
    )
    audience: Annotated[str, matching(r"[^\s,]{1,512}(?:,[^\s,]{1,512})?", "a client id, an id URI, or both")] = Field(
        description="Whom tokens are for: a client id, an application id URI, or both with a comma."
    )
    clients: (
        Annotated[str, matching(r"[A-Za-z0-9-]{1,64}(?:,[A-Za-z0-9-]{1,64})*", "client ids with commas")] | None
    ) = Field(default=None, description="Client ids of those that may ask, with commas. Default: all of the tenant.")
    roles: Annotated[str, matching(r"[^\s,]{1,128}(?:,[^\s,]{1,128})*", "roles with commas")] | None = Field(
        default=None, description="Application roles, one of which is needed, with commas. Default: none is."
    )

    @property
    def variables(self) -> dict[str, str]:
        """What the service is told."""
        given = {"TENANT": self.tenant, "AUDIENCE": self.audience, "CLIENTS": self.clients, "ROLES": self.roles}
        return {f"SLIPWAY_ENTRA_{name}": value for name, value in given.items() if value}
