"""What a stack's configuration says about the policy pack: which rules, how strict, and what is allowed."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from manifest.fields import AsTuple, Checked, matching, refusal
from manifest.problems import unknown

# As policies/rules names them; the tests hold the two together.
PolicyName = Literal[
    "images-by-digest",
    "container-limits",
    "least-privilege",
    "authenticated-endpoints",
    "authenticated-services",
    "no-anonymous-access",
    "allowed-regions",
    "allowed-sizes",
]
Severity = Literal["mandatory", "advisory", "disabled"]


def _known_name(value: Any) -> Any:
    if isinstance(value, str) and value not in get_args(PolicyName):
        raise refusal(unknown("policy", value, get_args(PolicyName)))
    return value


def _known_severity(value: Any) -> Any:
    # YAML takes `off` for false.
    if value not in get_args(Severity):
        raise refusal(unknown("severity", str(value).lower(), get_args(Severity)))
    return value


KnownName = Annotated[PolicyName, BeforeValidator(_known_name)]
KnownSeverity = Annotated[Severity, BeforeValidator(_known_severity)]
Region = Annotated[str, matching(r"[A-Za-z][A-Za-z0-9 ]{2,49}", 'a region as in "westeurope"')]
Size = Annotated[str, matching(r"[A-Za-z][A-Za-z0-9_-]{2,63}", 'a size as in "Standard_D2s_v5"')]


class PolicySettings(Checked):
    """The rules that `slipway preview` and `slipway up` hold the stack to; with them, all rules are in force."""

    severity: KnownSeverity = Field(
        default="mandatory", description="What a violation does: mandatory stops the deployment, advisory warns."
    )
    severities: Mapping[KnownName, KnownSeverity] = Field(
        default_factory=dict, description="The same for single policies, by name."
    )
    regions: Annotated[tuple[Region, ...], AsTuple] = Field(
        default=(), description="Azure's regions that are allowed. Default: all."
    )
    sizes: Annotated[tuple[Size, ...], AsTuple] = Field(
        default=(), description="Sizes of nodes of AKS and Batch that are allowed. Default: all."
    )

    def pack_config(self) -> dict[str, Any]:
        """Return the configuration as Pulumi takes it for a policy pack."""
        config: dict[str, Any] = {"all": self.severity}
        config.update({name: {"enforcementLevel": severity} for name, severity in self.severities.items()})
        for name, option, values in (
            ("allowed-regions", "regions", self.regions),
            ("allowed-sizes", "sizes", self.sizes),
        ):
            if values:
                config[name] = {"enforcementLevel": self.severity, **config.get(name, {}), option: list(values)}
        return config
