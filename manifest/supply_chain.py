"""What is kept and demanded of each image of a stack: its list of contents, known vulnerabilities, a signature."""

import re
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from manifest.fields import Checked, Rule, refusal
from manifest.serving import OR_SWITCH

_KEY = r"(?:env|awskms|azurekms|gcpkms|hashivault|k8s)://[^\s?#@]{1,1024}|(?!-|~[^/])(?!.*://)[^\x00-\x1f\x7f]{1,4096}"
_ALLOWED = (
    "must be a file, env://VARIABLE, or a key in awskms://, azurekms://, gcpkms://, hashivault:// or k8s://, "
    "with ~/ for your own home alone; not the key itself (what was given is not shown here)"
)
# Not repeated in the message: somebody may have put the key itself there.
KeyReference = Annotated[str, Rule(f"^(?:{_KEY})$", lambda value: None if re.fullmatch(_KEY, value) else _ALLOWED)]
Severity = Literal["low", "medium", "high", "critical"]


class ScanSettings(Checked):
    """Whether known vulnerabilities are in the way."""

    fail_on: Severity | None = Field(
        default=None, description="An image with one as severe as this, or worse, is in no release."
    )


class SignSettings(Checked):
    """What signs the images."""

    key: KeyReference = Field(
        description="The private key: a file, env://VARIABLE or a key service's address. Its password: COSIGN_PASSWORD."
    )
    transparency_log: bool = Field(
        default=False, description="Also enter the signatures in Sigstore's public log, image names included."
    )


class VerifySettings(Checked):
    """Whose images may be promoted to the stack."""

    key: KeyReference = Field(description="The public key: a file, env://VARIABLE or a key service's address.")
    transparency_log: bool = Field(default=False, description="Only signatures that Sigstore's public log has.")


class SupplyChainSettings(Checked):
    """What is recorded of each image that the stack deploys, and what is demanded of it."""

    sbom: bool = Field(default=True, description="List what is in the images: an SBOM each, in CycloneDX, by syft.")
    scan: Annotated[ScanSettings | None, OR_SWITCH] = Field(
        default=None, description="Look for known vulnerabilities, by trivy; `true` only reports them."
    )
    sign: SignSettings | None = Field(default=None, description="Sign the images, by cosign.")
    verify: VerifySettings | None = Field(
        default=None, description="Promote only images to this stack that this key has signed."
    )

    @field_validator("scan", mode="after")
    @classmethod
    def _scan_has_an_sbom(cls, value: ScanSettings | None, info: ValidationInfo) -> ScanSettings | None:
        if value is not None and info.data.get("sbom") is False:
            raise refusal("looks into the SBOM, which sbom: false leaves out; remove one of the two")
        return value
