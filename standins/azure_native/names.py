"""Azure's rules for names: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class NameRule:
    """What a name may be.

    Attributes:
        least: The fewest characters.
        most: The most.
        pattern: Its form.
        hint: The form, in words.
    """

    least: int
    most: int
    pattern: str
    hint: str

    def refusal(self, name: str) -> str | None:
        """Say what is wrong with a name, or nothing."""
        if not self.least <= len(name) <= self.most:
            return f"{name!r} has {len(name)} characters; Azure allows {self.least} to {self.most}"
        if not re.fullmatch(self.pattern, name):
            return f"{name!r} is not allowed: {self.hint}"
        return None


_DASHED = r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?"
_LABEL = r"[a-z0-9](?!.*--)([a-z0-9-]*[a-z0-9])?"
_LABEL_HINT = "lowercase letters, digits and single hyphens, the hyphens not at an end"
LABEL = NameRule(1, 63, _LABEL, _LABEL_HINT)
DNS_LABEL = NameRule(5, 63, r"[a-z]([a-z0-9-]*[a-z0-9])?", "lowercase letters, digits and hyphens, from a letter on")
_UUID = NameRule(36, 36, r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "a UUID")
_ML = NameRule(3, 33, r"[a-zA-Z0-9][\w-]*", "letters, digits, hyphens and underscores, from a letter or digit on")
_ASSET = NameRule(1, 255, r"[a-zA-Z0-9][\w.-]*", "letters, digits, hyphens, underscores and periods")
_ENDPOINT = NameRule(3, 32, r"[a-zA-Z]([a-zA-Z0-9-]*[a-zA-Z0-9])?", "letters, digits and hyphens, from a letter on")
_DEFAULT = NameRule(7, 7, r"default", "it is always `default`")

NAMES = {
    "applicationinsights:Component": NameRule(
        1, 260, r"[^%&\\?/]*[^%&\\?/. ]", "no %&\\?/, no space or period at its end"
    ),
    "authorization:RoleAssignment": _UUID,
    "batch:BatchAccount": NameRule(3, 24, r"[a-z0-9]+", "lowercase letters and digits"),
    "batch:Pool": NameRule(1, 64, r"[\w-]+", "letters, digits, hyphens and underscores"),
    "containerinstance:ContainerGroup": LABEL,
    "containerregistry:Registry": NameRule(5, 50, r"[a-zA-Z0-9]+", "letters and digits"),
    "containerservice:AgentPool": NameRule(1, 12, r"[a-z][a-z0-9]*", "lowercase letters and digits, from a letter on"),
    "containerservice:ManagedCluster": NameRule(1, 63, r"[a-zA-Z0-9]([\w-]*[a-zA-Z0-9])?", "letters, digits, - and _"),
    "iothub:IotHubResource": NameRule(3, 50, _DASHED, "letters, digits and hyphens, the hyphens not at an end"),
    "keyvault:Secret": NameRule(1, 127, r"[a-zA-Z0-9-]+", "letters, digits and hyphens"),
    "keyvault:Vault": NameRule(
        3, 24, r"[a-zA-Z](?!.*--)[a-zA-Z0-9-]*[a-zA-Z0-9]", "letters, digits and single hyphens, from a letter on"
    ),
    "machinelearningservices:BatchDeployment": _ENDPOINT,
    "machinelearningservices:BatchEndpoint": _ENDPOINT,
    "machinelearningservices:Datastore": NameRule(1, 255, r"[a-zA-Z0-9_]+", "letters, digits and underscores"),
    "machinelearningservices:ModelContainer": _ASSET,
    "machinelearningservices:ModelVersion": NameRule(1, 30, r"[\w.-]+", "letters, digits, hyphens, _ and periods"),
    "machinelearningservices:OnlineDeployment": _ENDPOINT,
    "machinelearningservices:OnlineEndpoint": _ENDPOINT,
    "machinelearningservices:Registry": _ML,
    "machinelearningservices:Workspace": _ML,
    "managedidentity:FederatedIdentityCredential": NameRule(3, 120, r"[a-zA-Z0-9][\w-]*", "letters, digits, - and _"),
    "managedidentity:UserAssignedIdentity": NameRule(3, 128, r"[a-zA-Z0-9][\w-]*", "letters, digits, - and _"),
    "operationalinsights:Workspace": NameRule(4, 63, _DASHED, "letters, digits and hyphens, the hyphens not at an end"),
    "resources:ResourceGroup": NameRule(1, 90, r"[\w().-]*[\w()-]", "letters, digits, _().-, no period at its end"),
    "storage:BlobContainer": NameRule(3, 63, _LABEL, _LABEL_HINT),
    "storage:BlobServiceProperties": _DEFAULT,
    "storage:FileServiceProperties": _DEFAULT,
    "storage:FileShare": NameRule(3, 63, _LABEL, _LABEL_HINT),
    "storage:ManagementPolicy": _DEFAULT,
    "storage:Queue": NameRule(3, 63, _LABEL, _LABEL_HINT),
    "storage:StorageAccount": NameRule(3, 24, r"[a-z0-9]+", "lowercase letters and digits"),
    "storage:Table": NameRule(3, 63, r"[a-zA-Z][a-zA-Z0-9]*", "letters and digits, from a letter on"),
    "trafficmanager:Profile": NameRule(1, 63, _DASHED, "letters, digits and hyphens, the hyphens not at an end"),
}
"""By type; others may be anything without a slash."""

LOCATIONS = frozenset(
    """
    global asia asiapacific australia australiacentral australiacentral2 australiaeast australiasoutheast
    austriaeast belgiumcentral brazil brazilsouth brazilsoutheast canada canadacentral canadaeast centralindia
    centralus chilecentral denmarkeast eastasia eastus eastus2 europe france francecentral francesouth germany
    germanynorth germanywestcentral india indonesiacentral israelcentral italynorth japan japaneast japanwest
    jioindiacentral jioindiawest korea koreacentral koreasouth malaysiawest mexicocentral newzealandnorth
    northcentralus northeurope norway norwayeast norwaywest polandcentral qatarcentral singapore southafrica
    southafricanorth southafricawest southcentralus southeastasia southindia spaincentral sweden swedencentral
    swedensouth switzerland switzerlandnorth switzerlandwest uae uaecentral uaenorth uk uksouth ukwest
    unitedstates westcentralus westeurope westindia westus westus2 westus3
    """.split()  # noqa: SIM905 - a list of them would take 80 lines
)
"""Azure's regions."""
