"""The target `aci`: a container group of Azure Container Instances."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le
from pydantic import Field, ValidationInfo, field_validator

from manifest.fields import Checked, HostName, Memory, matching, mebibytes, refusal
from manifest.targets.base import Target

# What every region has; a group's containers share it.
MOST_CPU = 4
MOST_MEMORY_GIB = 16
# What the container has that speaks HTTPS.
PROXY_CPU = 0.2
PROXY_MEMORY_MIB = 256

Label = Annotated[
    str,
    matching(
        "[a-z](?=[a-z0-9-]{4,49}$)(?:-?[a-z0-9])*",
        "5 to 50 lower-case letters, digits and single hyphens, beginning with a letter and ending with a letter or "
        "digit",
    ),
]


class Gpu(Checked):
    """Graphics processors, where the region has them."""

    count: Literal[1, 2, 4] = Field(default=1, description="How many.")
    sku: Literal["K80", "P100", "V100"] = Field(default="V100", description="Which.")


class AciTarget(Target):
    """A container group of Azure Container Instances."""

    kind: ClassVar[Literal["aci"]] = "aci"

    cpu: Annotated[float, Ge(0.1), Le(MOST_CPU)] = Field(default=1, description="Processors, in tenths.")
    memory: Memory = Field(default="1Gi", description="Memory, for example 512Mi or 2Gi; up to 16Gi.")
    gpu: Gpu | None = Field(default=None, description="Graphics processors.")
    label: Label | None = Field(
        default=None, description="The first part of the address. Default: one that follows from the model's name."
    )
    host: HostName | None = Field(
        default=None,
        description="The name that callers use, which you lead to the address, and which the certificate is for. "
        "Default: the address.",
    )
    https: bool = Field(
        default=True,
        validate_default=True,
        description="Speak HTTPS, with the certificate of slipway:azure.tls; without, keys go over the net openly.",
    )
    auth: Literal["key", "none"] = Field(
        default="key", description="Who may ask: who has a key, or, in a subnet only, everybody."
    )
    rotate: Annotated[int, Ge(0), Le(1_000_000)] = Field(
        default=0, description="Add 1 to replace a key: the secondary at odd numbers, the primary at even ones."
    )
    restart_policy: Literal["Always", "OnFailure", "Never"] = Field(
        default="Always", description="Whether to start the container again when it ends."
    )
    update: Literal["in-place", "blue-green"] = Field(
        default="in-place",
        description="in-place: a change restarts the container. blue-green: the new version is there before the old "
        "goes, behind a name that switches.",
    )
    zone: Literal["1", "2", "3"] | None = Field(default=None, description="The availability zone. Default: Azure's.")
    startup_seconds: Annotated[int, Ge(1), Le(3600)] = Field(
        default=600, description="How long the group may take until the model is ready."
    )

    @field_validator("cpu", mode="after")
    @classmethod
    def _in_tenths(cls, value: float) -> float:
        if round(value, 1) != value:
            raise refusal(f"must be in tenths, as 0.5 or 1.5, not {value:g}")
        return value

    @field_validator("memory", mode="after")
    @classmethod
    def _fits(cls, value: str) -> str:
        if mebibytes(value) > MOST_MEMORY_GIB * 1024:
            raise refusal(f'must be at most "{MOST_MEMORY_GIB}Gi", not "{value}": a container group has no more')
        return value

    @field_validator("https", mode="after")
    @classmethod
    def _leaves_room(cls, value: bool, info: ValidationInfo) -> bool:
        cpu, memory = info.data.get("cpu", 0), mebibytes(info.data.get("memory", "64Mi"))
        if value and (cpu + PROXY_CPU > MOST_CPU or memory + PROXY_MEMORY_MIB > MOST_MEMORY_GIB * 1024):
            raise refusal(
                f"needs {PROXY_CPU:g} processors and {PROXY_MEMORY_MIB}Mi beside the model's {cpu:g} and "
                f"{info.data.get('memory')}; a container group has {MOST_CPU} and {MOST_MEMORY_GIB}Gi: give the model "
                "less, or https: false"
            )
        return value

    @field_validator("update", mode="after")
    @classmethod
    def _serves_all_the_time(cls, value: str, info: ValidationInfo) -> str:
        if value == "blue-green" and info.data.get("restart_policy", "Always") != "Always":
            raise refusal("blue-green needs restartPolicy: Always")
        return value

    @property
    def memory_mib(self) -> int:
        """The memory in MiB."""
        return mebibytes(self.memory)

    def claims(self, model: str) -> Mapping[str, int | str]:
        """Return the label and the host, where they are given; others differ as models' names do."""
        del model
        return {key: value for key, value in (("label", self.label), ("host", self.host)) if value}
