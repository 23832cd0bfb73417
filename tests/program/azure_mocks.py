"""Azure's side of the mocks: answers as azure-native does, checks every body against the SDK's types."""

import base64
from dataclasses import dataclass, field

import yaml

from standins.azure_native.checking import check_inputs
from standins.azure_native.schema import read_sdk
from tests.program.conftest import Recorder

SUBSCRIPTION = "00000000-0000-0000-0000-00000000000a"
TENANT = "00000000-0000-0000-0000-00000000000b"
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
WORKSPACE_KEY = "canary-workspace-key"
PRIMARY = "canary-primary"
SECONDARY = "canary-secondary"
CONNECTION = "canary-connection-string"
HUB_KEY = "canary-hub-key"
CANARIES = (WORKSPACE_KEY, PRIMARY, SECONDARY, CONNECTION, HUB_KEY)
ARM = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/theirs"
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_schemas = {}
_CLUSTER = {
    "identityProfile": {"kubeletidentity": {"objectId": "principal-kubelet"}},
    "oidcIssuerProfile": {"enabled": True, "issuerURL": "https://issuer.example/"},
}
# As Azure's for clusters without local accounts: it asks a person to type a code.
KUBECONFIG = b"""
apiVersion: v1
kind: Config
current-context: theirs
contexts: [{name: theirs, context: {cluster: theirs, user: clusterUser}}]
clusters: [{name: theirs, cluster: {server: "https://theirs.example:443", certificate-authority-data: Y2E=}}]
users:
- name: clusterUser
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1beta1
      command: kubelogin
      args: [get-token, --environment, AzurePublicCloud, --server-id, theserver, --client-id, theclient, --tenant-id,
        thetenant, --login, devicecode]
"""


@dataclass
class Azure(Recorder):
    """Records as Recorder does, and answers with what the SDK's classes expect of azure-native."""

    read: list = field(default_factory=list)
    called: list = field(default_factory=list)

    def new_resource(self, args):
        if not args.typ.startswith(("azure-native:", "slipway:index:AccessKeys")):
            return super().new_resource(args)
        if args.resource_id:
            self.read.append((args.typ.rpartition(":")[2], args.resource_id))
            return args.resource_id, self._outputs(args.typ, args.name, {})
        _, outputs = super().new_resource(args)
        if self.unknown:
            # Unknown to the SDK, as ids are in a preview.
            return "", outputs | _with_identities(outputs)
        return f"{ARM}/providers/{args.typ}/{args.name}", outputs | self._outputs(args.typ, args.name, outputs)

    def _outputs(self, token, name, inputs):
        kind = token.rpartition(":")[2]
        if kind == "ContainerGroup":
            return _group(inputs)
        if kind == "Profile":
            dns = inputs["dnsConfig"]
            return {"dnsConfig": {**dns, "fqdn": f"{dns['relativeName']}.trafficmanager.example"}}
        if ":machinelearningservices:" in token and kind == "Workspace":
            identity = {"type": "SystemAssigned", "principalId": "principal-workspace", "tenantId": TENANT}
            return {"name": inputs["workspaceName"], "identity": identity}
        fixed = {
            "BlobContainer": {"name": inputs.get("containerName")},
            "Registry": {"loginServer": "theregistry.azurecr.io"},
            "UserAssignedIdentity": {"name": name, "principalId": f"principal-{name}", "clientId": f"client-{name}"},
            "Workspace": {"name": "logs", "customerId": "customer"},
            "Component": {"name": "insights", "connectionString": CONNECTION},
            "BatchAccount": {
                "name": "thebatch",
                "accountEndpoint": "thebatch.westeurope.batch.azure.com",
                **_with_identities(inputs),
            },
            "Pool": {"name": inputs.get("poolName"), **_with_identities(inputs)},
            "StorageAccount": {"name": inputs.get("accountName", "theirs")},
            "IotHubResource": {
                "name": inputs.get("resourceName", "theirs"),
                "properties": {**inputs.get("properties", {}), "hostName": "thehub.azure-devices.net"},
            },
            "ResourceGroup": {"name": inputs.get("resourceGroupName")},
            "ManagedCluster": {"name": inputs.get("resourceName"), **_CLUSTER},
            # As the provider marks them.
            "AccessKeys": {"primary": _secret(PRIMARY), "secondary": _secret(SECONDARY)},
        }
        return fixed.get(kind, {})

    def call(self, args):
        self.called.append(args.token.rpartition(":")[2])
        match args.token:
            case "azure-native:authorization:getClientConfig":
                return {"clientId": "c", "objectId": "o", "subscriptionId": SUBSCRIPTION, "tenantId": TENANT}
            case "azure-native:operationalinsights:getSharedKeys":
                return {"primarySharedKey": WORKSPACE_KEY, "secondarySharedKey": WORKSPACE_KEY}
            case "azure-native:containerservice:listManagedClusterUserCredentials":
                return {"kubeconfigs": [{"name": "clusterUser", "value": base64.b64encode(KUBECONFIG).decode()}]}
            case "azure-native:containerservice:getManagedCluster":
                return {"name": args.args["resourceName"], **_CLUSTER}
            case "azure-native:iothub:listIotHubResourceKeysForKeyName":
                return {"keyName": args.args["keyName"], "primaryKey": HUB_KEY, "rights": "RegistryRead"}
        return super().call(args)

    @property
    def azure(self):
        """What would be made in Azure, as (kind, name)."""
        return {(one.type.rpartition(":")[2], one.name) for one in self.registered if _is_azure(one)}

    def one(self, kind, name=None):
        """The inputs of the only registration of a kind, or of that name."""
        found = self.of(kind)
        if name is None:
            assert len(found) == 1, sorted(found)
            return next(iter(found.values()))
        return found[name]


def _is_azure(one):
    return one.type.startswith("azure-native:")


def _secret(value):
    return {SIGNATURE: SECRET, "value": value}


def _group(inputs):
    label = inputs["ipAddress"].get("dnsNameLabel")
    address = {**inputs["ipAddress"], "ip": "10.0.0.4", "fqdn": f"{label}.example" if label else None}
    return {"name": inputs["containerGroupName"], "ipAddress": address, **_with_identities(inputs)}


def _with_identities(inputs):
    """A list of ids is what goes in; what comes out is a map."""
    if not (identity := inputs.get("identity")):
        return {}
    known = [one for one in identity.get("userAssignedIdentities") or [] if isinstance(one, str)]
    made = {one: {"principalId": "p", "clientId": "c"} for one in known}
    return {"identity": {**identity, "userAssignedIdentities": made}}


def wrong(recorder):
    """What the SDK's types say against the bodies: unknown names, wrong types and enumerations, what is missing."""
    said = []
    for one in filter(_is_azure, recorder.registered):
        token = one.type.partition(":")[2]
        # Importing anew for each test would take minutes.
        if token not in _schemas:
            _schemas[token] = read_sdk(token)
        said += [f"{token} {one.name}: {found}" for found in check_inputs(_schemas[token], plain(one.inputs))]
    return said


def plain(value):
    """Take the marks of secrets off; the mocks make every number a float."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            return plain(value["value"])
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def shown(value):
    """What anybody could read: everything but what is marked as a secret."""
    if isinstance(value, dict):
        return "" if value.get(SIGNATURE) == SECRET else "".join(f"{key}{shown(one)}" for key, one in value.items())
    return "".join(map(shown, value)) if isinstance(value, list) else str(value)


def give_target(project, target, *, model="iris", kind="aci", **scoring):
    """Give one model of the project a target in Azure, and the other models none."""
    path = project / "models.yaml"
    data = yaml.safe_load(path.read_text())
    for one in data["models"]:
        one["targets"] = [{kind: target}] if one["name"] == model else []
        if one["name"] == model:
            one["scoring"] = {**one.get("scoring", {}), **scoring}
    path.write_text(yaml.safe_dump(data, sort_keys=False))


def settings(*, targets=("aci",), **azure):
    """A stack's configuration."""
    return {"targets": list(targets), "azure": {"location": "westeurope", **azure}}


__all__ = ["ARM", "CANARIES", "Azure", "give_target", "plain", "settings", "shown", "wrong"]
