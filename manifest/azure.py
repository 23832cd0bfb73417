"""The stack's configuration of Azure, `slipway:azure`: what the cloud targets share, created or attached by its id."""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le, Len
from pydantic import Field, ValidationInfo, field_validator

from manifest.aks import AksSettings
from manifest.arm import arm_id, nothing_beside_id
from manifest.fields import Checked, Rule, TagName, Text, matching, refusal
from manifest.targets.iot_edge import DeviceId

Region = Annotated[str, matching("[a-z][a-z0-9]{2,29}", 'a region\'s short name as in "westeurope"')]
Prefix = Annotated[
    str,
    matching("[a-z][a-z0-9]{1,11}", "2 to 12 lower-case letters and digits, beginning with a letter"),
]
Word = Annotated[str, matching(r"[A-Za-z0-9][\w.-]{0,127}", "letters, digits, dots, hyphens and underscores")]
DigestImage = Annotated[
    str,
    matching(
        r"[a-z0-9][a-z0-9.:/_-]{0,254}@sha256:[0-9a-f]{64}",
        "an image by its digest, as in registry.example.com/nginx@sha256:...",
    ),
]


def _pem(what: str, label: str) -> Rule:
    """A PEM text that no message repeats."""
    begin = re.compile(rf"\s*-----BEGIN {label}-----\s")

    def wrong(value: str) -> str | None:
        return None if begin.match(value) else f"must be {what} as PEM text (it is not shown here)"

    return Rule(rf"^\s*-----BEGIN {label}-----\s", wrong)


Certificate = Annotated[str, _pem("a certificate, perhaps with those between it and the root,", "CERTIFICATE")]
PrivateKey = Annotated[str, _pem("a private key, not encrypted,", "(?:RSA |EC )?PRIVATE KEY")]


DeviceTag = Annotated[
    str,
    matching("[A-Za-z_][A-Za-z0-9_]{0,127}", "a tag's name: letters, digits and underscores, as conditions take it"),
]
TagText = Annotated[str, matching(r"[^\x00-\x1f\x7f]{0,512}", "a text of one line and at most 512 characters")]
MOST_S3_UNITS = 10


class _Attachable(Checked):
    """What is created, or attached where it has an id."""

    # What may be said of what is attached, too.
    beside_id: ClassVar[frozenset[str]] = frozenset()

    @field_validator("id", mode="after", check_fields=False)
    @classmethod
    def _nothing_else_beside_an_id(cls, value: str | None, info: ValidationInfo) -> str | None:
        given = {name: one for name, one in info.data.items() if name not in cls.beside_id}
        return nothing_beside_id(cls, value, given)


class RegistrySettings(_Attachable):
    """The container registry."""

    sku: Literal["Basic", "Standard", "Premium"] = Field(
        default="Premium", description="Premium has zones, private endpoints and a rule that removes untagged images."
    )
    id: Annotated[str, arm_id("Microsoft.ContainerRegistry/registries")] | None = None


class StorageSettings(_Attachable):
    """The storage account."""

    sku: Literal["Standard_LRS", "Standard_ZRS", "Standard_GRS", "Standard_GZRS"] = "Standard_ZRS"
    keep_days: Annotated[int, Ge(1), Le(36500)] = Field(default=180, description="What was collected is kept so long.")
    id: Annotated[str, arm_id("Microsoft.Storage/storageAccounts")] | None = None


class LogSettings(_Attachable):
    """The Log Analytics workspace."""

    retention_days: Annotated[int, Ge(30), Le(730)] = 30
    daily_gb: Annotated[float, Ge(0.023), Le(10000)] = Field(default=5, description="No more is taken in on one day.")
    id: Annotated[str, arm_id("Microsoft.OperationalInsights/workspaces")] | None = None


class KeyVaultSettings(_Attachable):
    """The Key Vault."""

    purge_protection: bool = Field(
        default=True, description="Nobody can remove it for good before 90 days are over; it cannot be switched off."
    )
    id: Annotated[str, arm_id("Microsoft.KeyVault/vaults")] | None = None


class MachineLearningSettings(_Attachable):
    """The Machine Learning workspace."""

    id: Annotated[str, arm_id("Microsoft.MachineLearningServices/workspaces")] | None = None


class IdentitySettings(_Attachable):
    """The identity that pulls images."""

    id: Annotated[str, arm_id("Microsoft.ManagedIdentity/userAssignedIdentities")] | None = None


class TlsSettings(Checked):
    """What speaks HTTPS in front of each model: a container beside it with nginx. The key is slipway:tlsKey."""

    certificate: Certificate = Field(repr=False)
    proxy: DigestImage = Field(description="An image with nginx, by its digest.")


class AciSettings(Checked):
    """What holds for every `aci` target of the environment."""

    subnet: Annotated[str, arm_id("Microsoft.Network/virtualNetworks/subnets")] | None = Field(
        default=None, description="A subnet delegated to Container Instances: models then have private addresses only."
    )
    ttl_seconds: Annotated[int, Ge(0), Le(3600)] = Field(
        default=10, description="How long clients may go on with a name that they looked up, for blue-green."
    )
    drain_seconds: Annotated[int, Ge(0), Le(3600)] = Field(
        default=60, description="How long the old version answers after the switch, for blue-green."
    )


class EdgeDeviceSettings(Checked):
    """A device of IoT Edge to register with the hub."""

    tags: Annotated[Mapping[DeviceTag, TagText | bool | int | float], Len(max_length=50)] = Field(
        default_factory=dict, description="Its twin's tags, which deployments' conditions look at."
    )
    auth: Literal["key", "certificate"] = Field(
        default="key", description="Keys that the hub makes, or a certificate of an authority that the hub knows."
    )
    enabled: bool = Field(default=True, description="Whether it may connect.")


class IotHubSettings(_Attachable):
    """The IoT hub of `iot-edge` targets."""

    beside_id: ClassVar[frozenset[str]] = frozenset(
        {"devices", "base", "runtime", "keep_seconds", "registry_user", "access"}
    )

    sku: Literal["S1", "S2", "S3"] = Field(default="S1", description="Automatic deployments need S1 at least.")
    units: Annotated[int, Ge(1), Le(200)] = Field(default=1, description="How many units of it; of S3 up to 10.")
    devices: Annotated[Mapping[DeviceId, EdgeDeviceSettings], Len(max_length=1000)] = Field(
        default_factory=dict, description="Devices to register, by id; others may be there, or come by provisioning."
    )
    base: bool = Field(
        default=True, description="Deploy the runtime to the devices too. false: another deployment does."
    )
    runtime: Literal["1.4", "1.5"] = Field(default="1.5", description="The version of the runtime's modules.")
    keep_seconds: Annotated[int, Ge(1), Le(31_536_000)] = Field(
        default=86_400, description="How long a device's edge hub keeps messages while the hub is away."
    )
    registry_user: Annotated[str, matching(r"[A-Za-z0-9._-]{1,128}", "a user's name")] | None = Field(
        default=None,
        description="Who pulls images on devices: a token of the registry, or a service principal's id. Its password "
        "is the secret slipway:edgeRegistryPassword.",
    )
    access: Literal["key", "entra"] = Field(
        default="key", description="How the hub is spoken to: by its key, or as whoever runs Pulumi is signed in."
    )
    id: Annotated[str, arm_id("Microsoft.Devices/IotHubs")] | None = None

    @field_validator("units", mode="after")
    @classmethod
    def _within_the_sku(cls, value: int, info: ValidationInfo) -> int:
        if info.data.get("sku") == "S3" and value > MOST_S3_UNITS:
            raise refusal(f"must be at most {MOST_S3_UNITS} of S3, not {value}")
        return value


class BatchAccountSettings(_Attachable):
    """The Batch account."""

    spot: bool = Field(
        default=False,
        description="Nodes are machines of your subscription, which may be Spot ones: what lowPriority needs.",
    )
    id: Annotated[str, arm_id("Microsoft.Batch/batchAccounts")] | None = None


class NodeImage(Checked):
    """What the nodes of pools run: an image of the marketplace with Docker, and Batch's agent for it."""

    publisher: Word = "microsoft-dsvm"
    offer: Word = "ubuntu-hpc"
    sku: Word = "2204"
    version: Word = "latest"
    agent: Annotated[str, matching(r"batch\.node\.[a-z]+ [0-9.]+", 'an agent as in "batch.node.ubuntu 22.04"')] = Field(
        default="batch.node.ubuntu 22.04", description="The agent's id."
    )


class BatchSettings(Checked):
    """What holds for every `batch` target of the environment."""

    account: BatchAccountSettings = BatchAccountSettings()
    subnet: Annotated[str, arm_id("Microsoft.Network/virtualNetworks/subnets")] | None = Field(
        default=None, description="A subnet for the nodes of pools, which then have no public addresses."
    )
    max_nodes: Annotated[int, Ge(1), Le(10_000)] = Field(default=20, description="A pool has no more nodes.")
    drain_minutes: Annotated[int, Ge(0), Le(10_080)] = Field(
        default=60, description="How long tasks may go on when their pool is replaced, before they move to the new one."
    )
    node_image: NodeImage = NodeImage()


class Azure(Checked):
    """What the cloud targets share: created where a target uses it, unless an id attaches what there is."""

    location: Region = Field(description="The region.")
    prefix: Prefix | None = Field(default=None, description="How names begin. Default: from the project's name.")
    resource_group: Annotated[str, arm_id("")] | None = Field(default=None, description="Default: one is created.")
    registry: RegistrySettings | None = Field(
        default=None, description="Where images are. Default: one is created, unless slipway:registry names another."
    )
    storage: StorageSettings = StorageSettings()
    logs: LogSettings = Field(default=LogSettings(), description="Where containers' logs go.")
    key_vault: KeyVaultSettings = KeyVaultSettings()
    machine_learning: MachineLearningSettings | None = Field(default=None, description="Default: none is created.")
    identity: IdentitySettings = IdentitySettings()
    assign_roles: bool = Field(
        default=True, description="false: somebody else gives the identities their roles, as docs/azure.md lists them."
    )
    protect: bool = Field(default=True, description="Refuse to delete what holds data or images.")
    tags: Annotated[Mapping[TagName, Text], Len(max_length=40)] = Field(
        default_factory=dict, description="Tags of all that is created."
    )
    tls: TlsSettings | None = Field(default=None, description="For HTTPS.")
    aci: AciSettings = AciSettings()
    iot_hub: IotHubSettings = Field(default=IotHubSettings(), description="The IoT hub, for iot-edge targets.")
    aks: AksSettings = Field(default=AksSettings(), description="The cluster of `aks` targets.")
    batch: BatchSettings = BatchSettings()
