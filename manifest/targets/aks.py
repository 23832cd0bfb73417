"""The target `aks`: a Deployment on Azure Kubernetes Service, or on any other Kubernetes."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le
from pydantic import Field, ValidationInfo, field_validator

from manifest.fields import HostName, Memory, matching, mebibytes, refusal
from manifest.targets.base import Target
from manifest.targets.canary import Canary, Earlier, Shadow
from manifest.targets.replicas import OR_NUMBER, Replicas

Namespace = Annotated[
    str,
    matching(
        "[a-z0-9](?=[a-z0-9-]{0,62}$)(?:-?[a-z0-9])*",
        "at most 63 lower-case letters, digits and single hyphens, beginning and ending with a letter or digit",
    ),
]
Cpu = Annotated[float, Ge(0.01), Le(256)]


class AksTarget(Target):
    """A Deployment with a Service on a Kubernetes cluster."""

    kind: ClassVar[Literal["aks"]] = "aks"

    cpu: Cpu = Field(default=1, description="Processors that each pod asks for; it may use twice as many.")
    memory: Memory = Field(default="1Gi", description="Memory that each pod has, for example 512Mi or 2Gi.")
    gpu: Annotated[int, Gt(0), Le(16)] | None = Field(
        default=None, description="NVIDIA graphics processors of each pod."
    )
    spot: bool = Field(
        default=False, description="May run on nodes that Azure takes away at any time, at a lower price."
    )
    replicas: Annotated[Replicas, OR_NUMBER] = Field(
        default=Replicas(), description="How many pods: a number, or `min` and `max`."
    )
    spread: bool = Field(default=True, description="Spread the pods over zones and nodes.")
    namespace: Namespace | None = Field(default=None, description="The namespace. Default: the environment's.")
    host: HostName | None = Field(
        default=None, description="The name that it answers at with HTTPS, by the environment's Gateway or Ingress."
    )
    auth: Literal["key", "entra", "none"] = Field(
        default="key",
        description="Who may ask: who has a key, who has a token of Microsoft Entra, or, inside the cluster only, "
        "everybody.",
    )
    rotate: Annotated[int, Ge(0), Le(1_000_000)] = Field(
        default=0, description="Add 1 to replace a key: the secondary at odd numbers, the primary at even ones."
    )
    egress: Literal["internet", "any", "none"] = Field(
        default="internet",
        description="Whom pods may call: addresses outside of private networks, all, or nobody but the DNS.",
    )
    startup_seconds: Annotated[int, Ge(10), Le(3600)] = Field(
        default=600, description="How long a pod may take until the model is ready."
    )
    rollout: Literal["rolling"] = Field(
        default="rolling", description="How a change gets there: pod by pod, each new one ready before an old one goes."
    )

    canary: Canary | None = Field(default=None, description="Give this version a share of the requests first.")
    shadow: Shadow | None = Field(
        default=None, description="Give this version copies of the requests first; needs a Gateway and `host`."
    )

    @field_validator("canary", "shadow", mode="after")
    @classmethod
    def _both_are_awake(cls, value: Canary | Shadow | None, info: ValidationInfo) -> Canary | Shadow | None:
        replicas = info.data.get("replicas")
        if value and replicas and replicas.triggers:
            raise refusal(
                "needs both versions awake, and `replicas` has triggers; try the version with a number or `min` and "
                "`max` alone, and give the triggers afterwards"
            )
        return value

    @field_validator("canary", mode="after")
    @classmethod
    def _metrics_can_be_asked(cls, value: Canary | None, info: ValidationInfo) -> Canary | None:
        if value and value.abort_on and info.data.get("auth") == "entra":
            raise refusal(
                "has `abortOn`, which asks the pods for their metrics, and with auth: entra they want a token that "
                "`up` has not; use auth: key, or `steps` without `abortOn`"
            )
        return value

    @field_validator("shadow", mode="after")
    @classmethod
    def _one_way_to_try(cls, value: Shadow | None, info: ValidationInfo) -> Shadow | None:
        if value and info.data.get("canary"):
            raise refusal("canary and shadow exclude each other; keep one")
        if value and info.data.get("host", "") is None:
            raise refusal("needs `host`: requests are copied by the Gateway that leads it")
        return value

    @property
    def earlier(self) -> Earlier | None:
        """The version that this one is tried beside; None where it is the only one."""
        tried = self.canary or self.shadow
        return tried.from_ if tried else None

    @property
    def memory_mib(self) -> int:
        """The memory in MiB."""
        return mebibytes(self.memory)

    def claims(self, model: str) -> Mapping[str, int | str]:
        """Return the host, where one is given."""
        del model
        return {"host": self.host} if self.host else {}
