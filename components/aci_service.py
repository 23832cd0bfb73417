"""AciService: a model as a container group of Azure Container Instances."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi_azure_native import containerinstance as aci

from components.access_keys import AccessKeys
from components.azure import names, tls_proxy
from components.azure.switch import switch
from components.dockerfile import PORT
from components.service_ready import ServiceReady
from components.service_variables import body_limit, service_variables

if TYPE_CHECKING:
    from components.azure.platform import Platform
    from components.azure.roles import Identity
    from components.model_image import ModelImage
    from components.project import Project
    from manifest import AciTarget, Model

# What Azure changes only by deleting the group first (azure-native#918).
_REPLACING = [
    "osType",
    "restartPolicy",
    "containers[*].resources",
    "ipAddress.ports",
    "subnetIds",
    "diagnostics",
    "sku",
    "priority",
    "zones",
]
_TIMEOUTS = pulumi.CustomTimeouts(create="30m", update="30m", delete="30m")


class AciService(pulumi.ComponentResource):
    """One container group with a public address and a key, or in a subnet.

    Attributes:
        endpoint: Where it answers; the same from version to version.
        outputs: What the stack exports of it.
    """

    endpoint: pulumi.Output[str]
    outputs: dict[str, Any]

    def __init__(
        self,
        model: Model,
        target: AciTarget,
        image: ModelImage,
        *,
        project: Project,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Register the group, its keys and, for blue-green, what switches.

        Args:
            model: The model as the manifest has it.
            target: What its manifest entry asks for here.
            image: The image to run.
            project: The checkout and its stack.
            platform: What the stack has in Azure.
            opts: Pulumi's options.

        Raises:
            pulumi.RunError: Manifest and configuration do not go together.
        """
        super().__init__("slipway:index:AciService", model.name, None, opts)
        self._model, self._target, self._image = model, target, image
        self._environment, self._platform, self._scope = project.environment, platform, platform.scope
        self._private = self._scope.settings.aci.subnet
        self._tls = self._scope.settings.tls if target.https else None
        self._refuse()
        self._port = tls_proxy.PORT if self._tls else PORT
        self._blue_green = target.update == "blue-green"
        keys = None
        if target.auth == "key":
            keys = AccessKeys(f"{model.name}-aci", rotate=target.rotate, opts=pulumi.ResourceOptions(parent=self))
        plain, secret, identities = self._variables(keys)
        self._revision = self._revised(plain)
        group = self._group(plain, secret, identities)
        address = self._led(group, self._host(group))
        self.endpoint = self._url(address.apply(lambda name: target.host or name))
        # Without the keys: Pulumi's debug log has a stack's outputs as they are. AccessKeys has them in the state.
        self.outputs = {"endpoint": self.endpoint, "group": group.name, "auth": target.auth}
        if target.host:
            # What the host's name has to lead to.
            self.outputs["address"] = address
        self.register_outputs({"endpoint": self.endpoint})

    def _refuse(self) -> None:
        """Refuse what each of manifest and configuration may say, but not both."""
        target, where = self._target, f"model {self._model.name}: aci"
        if target.https and not (self._tls and self._environment.tls_key):
            raise pulumi.RunError(
                f"{where}: HTTPS needs slipway:azure.tls with a certificate and a proxy, and the secret slipway:tlsKey "
                "(docs/azure.md says how to get them). `https: false` goes without; keys then go over the net openly."
            )
        if self._tls and not pulumi.runtime.is_config_secret("slipway:tlsKey"):
            raise pulumi.RunError(
                "slipway:tlsKey stands in the configuration as it is; it has to be encrypted: "
                "`pulumi config set --secret slipway:tlsKey < key.pem`."
            )
        if target.auth == "none" and not self._private:
            raise pulumi.RunError(
                f"{where}: `auth: none` would let everybody ask. It needs slipway:azure.aci.subnet; else use auth: key."
            )
        if target.update == "blue-green" and self._private:
            raise pulumi.RunError(
                f"{where}: blue-green needs a public address, and slipway:azure.aci.subnet gives private ones; "
                "use update: in-place."
            )
        if not target.https and not self._private:
            pulumi.log.warn(f"{self._model.name}: on aci with https: false, keys and data go over the net openly.")

    def _variables(
        self, keys: AccessKeys | None
    ) -> tuple[dict[str, pulumi.Input[str]], dict[str, pulumi.Output[str]], list[Identity]]:
        """The container's environment, what of it is secret, and the identities that the group has."""
        writer = self._writer()
        identities = [self._platform.puller, *([writer] if writer else [])]
        storage: dict[str, pulumi.Input[str]] = {}
        if writer:
            storage = {
                "AZURE_STORAGE_ACCOUNT_NAME": self._platform.storage.name,
                # The group has several identities; this is the one that may write.
                "AZURE_CLIENT_ID": writer.client_id,
            }
        found = service_variables(self._model, self._environment, storage=storage)
        plain: dict[str, pulumi.Input[str]] = {**found.plain, **body_limit(self._model, self._target.memory_mib)}
        secret = dict(found.secret)
        if self._model.scoring.telemetry and not (
            self._environment.telemetry or self._environment.insights_connection_string
        ):
            secret["APPLICATIONINSIGHTS_CONNECTION_STRING"] = self._platform.insights_connection_string
        # Said, so that a key that is missing stops the service, instead of opening it.
        plain["SLIPWAY_AUTH"] = self._target.auth
        if keys:
            secret["SLIPWAY_PRIMARY_KEY"], secret["SLIPWAY_SECONDARY_KEY"] = keys.primary, keys.secondary
        return plain, secret, identities

    def _writer(self) -> Identity | None:
        """The identity that collects to the stack's own storage; None where it collects elsewhere, or not."""
        return self._platform.collector if self._model.scoring.collect else None

    def _revised(self, plain: dict[str, pulumi.Input[str]]) -> str:
        """Name the group as it is: another name for every change that shows before it is made."""
        settings = self._scope.settings
        parts = {
            "image": self._image.tag,
            # What callers call it is nothing of the group's.
            "target": self._target.model_dump(mode="json", exclude={"host"}),
            "variables": {name: value for name, value in plain.items() if isinstance(value, str)},
            "tls": self._tls.model_dump(mode="json") if self._tls else None,
            "where": [settings.location, self._private],
        }
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        return f"v{digest[:10]}"

    def _group(
        self, plain: dict[str, pulumi.Input[str]], secret: dict[str, pulumi.Output[str]], identities: list[Identity]
    ) -> aci.ContainerGroup:
        target, scope, logs = self._target, self._scope, self._platform.logs
        server = self._platform.registry_server
        # In blue-green a new version is another group, which is there before the old one goes.
        version = [self._revision] if self._blue_green else []
        return aci.ContainerGroup(
            self._model.name,
            resource_group_name=scope.group,
            container_group_name=scope.names.of(names.CONTAINER_GROUP, self._model.name, *version),
            location=scope.settings.location,
            os_type=aci.OperatingSystemTypes.LINUX,
            sku=aci.ContainerGroupSku.STANDARD,
            restart_policy=aci.ContainerGroupRestartPolicy(target.restart_policy),
            containers=[
                self._container(plain, secret),
                *([tls_proxy.container(self._tls)] if self._tls else []),
            ],
            volumes=[tls_proxy.volume(self._tls, self._environment.tls_key, PORT)] if self._tls else None,
            identity=aci.ContainerGroupIdentityArgs(
                type=aci.ResourceIdentityType.USER_ASSIGNED, user_assigned_identities=[one.id for one in identities]
            ),
            image_registry_credentials=[
                aci.ImageRegistryCredentialArgs(server=server, identity=self._platform.puller.id)
            ]
            if server
            else None,
            ip_address=self._address(version),
            subnet_ids=[aci.ContainerGroupSubnetIdArgs(id=self._private)] if self._private else None,
            diagnostics=aci.ContainerGroupDiagnosticsArgs(
                log_analytics=aci.LogAnalyticsArgs(
                    workspace_id=logs.customer_id,
                    workspace_key=logs.key,
                    log_type=aci.LogAnalyticsLogType.CONTAINER_INSTANCE_LOGS,
                )
            ),
            zones=[target.zone] if target.zone else None,
            tags={**scope.tags, "slipway-model": self._model.name, "slipway-version": self._model.version},
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[role for one in identities for role in one.roles],
                delete_before_replace=not self._blue_green,
                replace_on_changes=_REPLACING,
                custom_timeouts=_TIMEOUTS,
            ),
        )

    def _container(
        self, plain: dict[str, pulumi.Input[str]], secret: dict[str, pulumi.Output[str]]
    ) -> aci.ContainerArgs:
        target = self._target
        gpu = aci.GpuResourceArgs(count=target.gpu.count, sku=aci.GpuSku(target.gpu.sku)) if target.gpu else None
        return aci.ContainerArgs(
            name="model",
            image=self._image.ref,
            ports=[aci.ContainerPortArgs(port=PORT, protocol=aci.ContainerNetworkProtocol.TCP)],
            resources=aci.ResourceRequirementsArgs(
                requests=aci.ResourceRequestsArgs(
                    cpu=target.cpu, memory_in_gb=math.ceil(target.memory_mib / 102.4) / 10, gpu=gpu
                )
            ),
            environment_variables=[
                *(aci.EnvironmentVariableArgs(name=name, value=value) for name, value in sorted(plain.items())),
                *(aci.EnvironmentVariableArgs(name=name, secure_value=value) for name, value in sorted(secret.items())),
            ],
            liveness_probe=_probe("/live", period=10, failures=3),
            readiness_probe=_probe("/ready", period=5, failures=2),
        )

    def _address(self, version: list[str]) -> aci.IpAddressArgs:
        ports = [aci.PortArgs(port=self._port, protocol=aci.ContainerGroupNetworkProtocol.TCP)]
        if self._private:
            return aci.IpAddressArgs(type=aci.ContainerGroupIpAddressType.PRIVATE, ports=ports)
        label = self._scope.names.of(names.DNS_LABEL, self._model.name, *version)
        if self._target.label and not version:
            label = self._target.label
        return aci.IpAddressArgs(
            type=aci.ContainerGroupIpAddressType.PUBLIC,
            ports=ports,
            dns_name_label=label,
            # Azure adds a hash of the resource group: nobody else can take the address when the group is gone.
            auto_generated_domain_name_label_scope=aci.DnsNameLabelReusePolicy.RESOURCE_GROUP_REUSE,
        )

    def _host(self, group: aci.ContainerGroup) -> pulumi.Output[str]:
        private = bool(self._private)
        return group.ip_address.apply(lambda found: ((found.ip if private else found.fqdn) if found else None) or "")

    def _led(self, group: aci.ContainerGroup, host: pulumi.Output[str]) -> pulumi.Output[str]:
        """Wait until the group answers, where it can be reached from here; return the host that callers use."""
        if self._private:
            return host
        ready = ServiceReady(
            f"{self._model.name}-aci",
            url=self._url(host).apply(lambda url: f"{url}/ready"),
            revision=self._revision,
            seconds=self._target.startup_seconds,
            drain=self._scope.settings.aci.drain_seconds if self._blue_green else 0,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[group]),
        )
        if not self._blue_green:
            return host
        return switch(
            self._model.name,
            self._scope,
            label=self._target.label or self._scope.names.of(names.DNS_LABEL, self._model.name),
            target=host,
            revision=self._revision,
            https=self._tls is not None,
            port=self._port,
            parent=self,
            after=ready,
        )

    def _url(self, host: pulumi.Output[str]) -> pulumi.Output[str]:
        return host.apply(lambda name: f"https://{name}" if self._tls else f"http://{name}:{PORT}")


def _probe(path: str, *, period: int, failures: int) -> aci.ContainerProbeArgs:
    return aci.ContainerProbeArgs(
        http_get=aci.ContainerHttpGetArgs(path=path, port=PORT, scheme=aci.Scheme.HTTP),
        initial_delay_seconds=5,
        period_seconds=period,
        timeout_seconds=5,
        failure_threshold=failures,
    )
