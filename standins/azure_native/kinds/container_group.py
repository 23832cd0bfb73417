"""Container groups: containers on the local Docker engine."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from standins.azure_native import management, metadata
from standins.azure_native.arm import ArmError
from standins.azure_native.difference import differences
from standins.azure_native.groups.run import Group
from standins.azure_native.groups.view import instance_views
from standins.azure_native.kinds.kind import Kind, made_up
from standins.azure_native.kinds.role_assignment import may_pull
from standins.azure_native.names import DNS_LABEL, LABEL
from standins.docker.engine import Engine
from standins.docker.images import find_image

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from provider.resource import Call
    from standins.azure_native.store import Record, Store

_PORTS, _CONTAINERS, _CPUS, _MEMORY = 5, 60, 4, 16
_ABSENT = ("secureValueReference", "passwordReference", "secretReference", "storageAccountKeyReference")
_API = "2024-05-01-preview"
# What Azure changes only by a deletion: the official plugin does not know, so programs need replaceOnChanges.
_FIXED = frozenset(
    {"osType", "restartPolicy", "ipAddress.ports", "subnetIds", "diagnostics", "sku", "priority", "zones"}
)


class ContainerGroup(Kind):
    """A container group."""

    write_only = (
        "containers[].environmentVariables[].secureValue",
        "initContainers[].environmentVariables[].secureValue",
        "volumes[].secret",
        "volumes[].azureFile.storageAccountKey",
        "imageRegistryCredentials[].password",
        "diagnostics.logAnalytics.workspaceKey",
        "extensions[].protectedSettings",
    )
    taken_code = "DnsNameLabelNotAvailable"
    quota = 100
    quota_code = "ContainerGroupQuotaReached"
    runs = True

    def __init__(self, token: str, store: Store) -> None:
        """Be the type; the engine is connected to when needed."""
        super().__init__(token, store)
        self.engine = Engine()

    def taken_message(self, name: str) -> str:
        """Say it as Azure does."""
        return f"The DNS name label '{name}' is not available in the region."

    def check(self, inputs: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Check what Azure refuses at once."""
        yield from super().check(inputs)
        yield from _absent("", inputs)
        if "osType" not in inputs:
            yield "osType", "is required by Azure, though the SDK does not say so"
        elif inputs["osType"] == "Windows":
            yield "osType", "this stand-in runs Linux containers only"
        volumes = inputs.get("volumes")
        names = {one.get("name") for one in volumes if isinstance(one, dict)} if isinstance(volumes, list) else None
        for kind in ("initContainers", "containers"):
            for index, one in enumerate(_list(inputs.get(kind))):
                yield from _check_container(f"{kind}[{index}]", one, names, resources=kind == "containers")
        for index, volume in enumerate(_list(volumes)):
            yield from _check_volume(f"volumes[{index}]", volume)
        yield from _check_limits(inputs)
        yield from _check_address(inputs)

    def prepare(self, call: Call, inputs: dict[str, Any]) -> None:
        """Pull the images: Azure takes no group whose images it cannot have.

        Raises:
            ArmError: One cannot be had.
        """
        for container in [*(inputs.get("initContainers") or []), *inputs["containers"]]:
            image = container["image"]
            self._need_access(inputs, image)
            call.status(f"pulling {image}")
            try:
                find_image(self.engine, call, image)
            except Exception as error:
                raise _inaccessible(inputs, image, str(error)) from error

    def _need_access(self, inputs: dict[str, Any], image: str) -> None:
        server = image.partition("/")[0]
        registries = [
            one for one in self.store.all("containerregistry:Registry") if one.computed.get("loginServer") == server
        ]
        if not registries or any(one.body.get("anonymousPullEnabled") for one in registries):
            return
        for credential in inputs.get("imageRegistryCredentials") or []:
            if credential["server"] != server:
                continue
            if credential.get("username") and any(one.body.get("adminUserEnabled") for one in registries):
                return
            identity = credential.get("identity")
            if not identity:
                continue
            own = [one.lower() for one in (inputs.get("identity") or {}).get("userAssignedIdentities") or []]
            if identity.lower() not in own:
                raise _inaccessible(inputs, image, f"the identity {identity} is not one of the group's own")
            assignments = self.store.all("authorization:RoleAssignment")
            principal = made_up("principal", identity)
            if any(may_pull(assignments, principal, one.id) for one in registries):
                return
            raise _inaccessible(
                inputs, image, f"the identity {identity} lacks the role AcrPull on the registry {server}"
            )
        raise _inaccessible(inputs, image, f"imageRegistryCredentials has nothing that opens {server}")

    def refuse_update(self, db: sqlite3.Connection, old: Record, inputs: dict[str, Any]) -> None:
        """Refuse what needs a deletion first."""
        del db
        found = differences(old.body, self.stored(inputs), _FIXED)
        fixed = [one.path for one in found if one.replace or ".resources" in one.path]
        if fixed:
            raise ArmError(
                400,
                "InvalidContainerGroupUpdate",
                f"The updates on container group '{old.name}' are invalid ({', '.join(fixed)}). If you are going to "
                "update the os type, restart policy, network profile, CPU, memory or GPU resources for a container "
                "group, you must delete it first and then create a new one.",
            )

    def global_names(self, resource: str, body: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Take the DNS label, unless Azure puts something of its own behind it."""
        del resource
        address = body.get("ipAddress") or {}
        if address.get("dnsNameLabel") and address.get("autoGeneratedDomainNameLabelScope", "Unsecure") == "Unsecure":
            yield f"dns {body['location']}", address["dnsNameLabel"]

    def compute(
        self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any], old: Record | None
    ) -> dict[str, Any]:
        """Say what Azure would by default."""
        defaults = {
            name: value for name, value in (("restartPolicy", "Always"), ("sku", "Standard")) if name not in inputs
        }
        return {
            **super().compute(db, resource, inputs, old),
            **defaults,
            "isCreatedFromStandbyPool": False,
            "instanceView": {"state": "Pending", "events": []},
        }

    def provision(self, call: Call, record: Record, inputs: dict[str, Any]) -> dict[str, Any]:
        """Run it."""
        # Before it runs: the log of one that does not come up is wanted most.
        management.serve(self.store)
        around = metadata.surroundings(call, self.store, self.engine) if inputs.get("identity") else None
        address = Group(self.engine, self.store, record.id).run(call, inputs, around)
        if inputs.get("ipAddress"):
            record.computed["ipAddress"] = {
                **inputs["ipAddress"],
                # The name that Azure would give does not lead here: the address itself does.
                **({"ip": address, "fqdn": address} if address else {}),
            }
        return self._seen(record) or {}

    def _seen(self, record: Record) -> dict[str, Any] | None:
        state, views = instance_views(Group(self.engine, self.store, record.id), record.body["containers"])
        if not state:
            return None
        return {
            "instanceView": {"state": state, "events": []},
            "containers": [{**one, "instanceView": views[one["name"]]} for one in record.body["containers"]],
        }

    def observe(self, record: Record) -> Record | None:
        """Look at its containers; a group whose network is gone has been removed by hand."""
        if record.state in {"Creating", "Updating"}:
            # Its plugin works on it, or was killed: what there is belongs to Azure's next PUT.
            return record
        management.revive(self.store)
        seen = self._seen(record)
        if seen is None:
            return record if record.state == "Failed" else None
        record.computed |= seen
        return record

    def remove(self, call: Call, record: Record) -> None:
        """Remove its containers."""
        del call
        group = Group(self.engine, self.store, record.id)
        group.stop()
        group.remove()
        metadata.withdraw(self.store, self.engine, record.id)


def _inaccessible(inputs: dict[str, Any], image: str, reason: str) -> ArmError:
    return ArmError(
        400,
        "InaccessibleImage",
        f"The image '{image}' in container group '{inputs['containerGroupName']}' is not accessible. Please check the "
        f"image and registry credential. ({reason})",
    )


def _list(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _absent(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _absent(f"{path}[{index}]", item)
    elif isinstance(value, dict):
        for name, item in value.items():
            where = f"{path}.{name}".lstrip(".")
            if name in _ABSENT:
                yield where, f"is in the SDK, but not in the API version {_API} that it uses"
            else:
                yield from _absent(where, item)


def _check_container(
    path: str, container: dict[str, Any], volumes: set[Any] | None, *, resources: bool
) -> Iterator[tuple[str, str]]:
    name = container.get("name")
    if isinstance(name, str) and (refusal := LABEL.refusal(name)):
        yield f"{path}.name", refusal
    if "image" not in container:
        yield f"{path}.image", "is required"
    if resources and "resources" not in container:
        yield f"{path}.resources", "is required: requests with cpu and memoryInGB"
    yield from _check_parts(path, container, volumes)


def _check_parts(path: str, container: dict[str, Any], volumes: set[Any] | None) -> Iterator[tuple[str, str]]:
    for index, one in enumerate(_list(container.get("environmentVariables"))):
        if "value" in one and "secureValue" in one:
            yield f"{path}.environmentVariables[{index}]", "has both value and secureValue"
    for index, mount in enumerate(_list(container.get("volumeMounts"))):
        if volumes is None or (isinstance(mount.get("name"), str) and mount["name"] not in volumes):
            yield f"{path}.volumeMounts[{index}].name", f"the group has no volume {mount.get('name')!r}"
        if ":" in str(mount.get("mountPath", "")):
            yield f"{path}.volumeMounts[{index}].mountPath", "must not have a colon"
    for kind in ("livenessProbe", "readinessProbe"):
        probe = container.get(kind)
        if isinstance(probe, dict) and ("exec" in probe) == ("httpGet" in probe):
            yield f"{path}.{kind}", "has either exec or httpGet"
    if isinstance(container.get("securityContext"), dict) and container["securityContext"].get("privileged"):
        yield f"{path}.securityContext.privileged", "Azure allows it only with the sku Confidential"


def _check_volume(path: str, volume: dict[str, Any]) -> Iterator[tuple[str, str]]:
    kinds = [name for name in ("azureFile", "emptyDir", "gitRepo", "secret") if name in volume]
    if len(kinds) != 1:
        yield path, "has one of azureFile, emptyDir, gitRepo and secret"
    for kind in {"azureFile", "gitRepo"} & set(kinds):
        yield f"{path}.{kind}", "is not run by this stand-in"
    secret = volume.get("secret")
    for name, text in secret.items() if isinstance(secret, dict) else ():
        try:
            if isinstance(text, str):
                base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            yield f"{path}.secret.{name}", "must be base64"


def _check_limits(inputs: dict[str, Any]) -> Iterator[tuple[str, str]]:
    containers = _list(inputs.get("containers"))
    if not containers and isinstance(inputs.get("containers"), list):
        yield "containers", "has at least one"
    if len(containers) > _CONTAINERS:
        yield "containers", f"{len(containers)} containers; Azure allows {_CONTAINERS} in a group"
    names = [one.get("name") for one in containers + _list(inputs.get("initContainers"))]
    if any(names.count(name) > 1 for name in names if isinstance(name, str)):
        yield "containers", "have the same name twice"
    asked = [(one.get("resources") or {}).get("requests") for one in containers]
    for name, limit, unit in (("cpu", _CPUS, "vCPU"), ("memoryInGB", _MEMORY, "GB")):
        values = [one.get(name) for one in asked if isinstance(one, dict)]
        numbers = [one for one in values if isinstance(one, int | float)]
        if any(number <= 0 for number in numbers):
            yield "containers", f"{name} is more than 0"
        if sum(numbers) > limit:
            yield "containers", f"ask for {sum(numbers):g} {unit} together; Azure allows {limit} in a group"
    for index, one in enumerate(asked):
        if isinstance(one, dict) and one.get("gpu"):
            yield (
                f"containers[{index}].resources.requests.gpu",
                "there is no GPU here (and Azure announced their end in container groups for July 2025)",
            )


def _check_address(inputs: dict[str, Any]) -> Iterator[tuple[str, str]]:
    address = inputs.get("ipAddress")
    if not isinstance(address, dict):
        return
    ports = _list(address.get("ports"))
    if len(ports) > _PORTS:
        yield "ipAddress.ports", f"{len(ports)} ports; Azure allows {_PORTS} in a group"
    opened = {port.get("port") for one in _list(inputs.get("containers")) for port in _list(one.get("ports"))}
    for index, port in enumerate(ports):
        number = port.get("port")
        if isinstance(number, int) and number not in opened:
            yield f"ipAddress.ports[{index}].port", f"no container of the group has the port {number} in its ports"
    label = address.get("dnsNameLabel")
    if isinstance(label, str) and (refusal := DNS_LABEL.refusal(label)):
        yield "ipAddress.dnsNameLabel", refusal
    private = address.get("type") == "Private"
    if private and not inputs.get("subnetIds"):
        yield "ipAddress.type", "Private needs subnetIds"
    if inputs.get("subnetIds") and address.get("type") == "Public":
        yield "ipAddress.type", "a group in a subnet has no public address"
    if private and label:
        yield "ipAddress.dnsNameLabel", "only a public address has one"
