"""The IoT hub of `iot-edge` targets, its devices, and how the deployments on it are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi_azure_native import iothub

from components.azure import names
from components.azure.scope import group_in, name_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.azure.scope import Scope

_OWNER = "iothubowner"


@dataclass(frozen=True)
class IotHub:
    """The hub.

    Attributes:
        host: Its name in the net.
        connection_string: With its key, a secret; None where it is spoken to as whoever is signed in.
        ready: What has to be there before it can be spoken to.
    """

    host: pulumi.Output[str]
    connection_string: pulumi.Output[str] | None
    ready: pulumi.Resource


class EdgeDevice(pulumi.CustomResource):
    """A registered device; see provider/slipway/edge_device.py."""

    def __init__(
        self, device: str, *, hub: IotHub, inputs: Mapping[str, Any], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Register it.

        Args:
            device: Its id.
            hub: The hub.
            inputs: Its tags, how it shows who it is, and whether it may.
            opts: Pulumi's options.
        """
        values = {"hub": hub.host, "deviceId": device, **inputs, "deviceConnectionString": None}
        if hub.connection_string is not None:
            values["connectionString"] = hub.connection_string
        secret = pulumi.ResourceOptions(additional_secret_outputs=["deviceConnectionString", "connectionString"])
        super().__init__("slipway:index:EdgeDevice", device, values, pulumi.ResourceOptions.merge(opts, secret))


class EdgeDeployment(pulumi.CustomResource):
    """A deployment; see provider/slipway/edge_deployment.py. Its id is that of the hub's configuration."""

    def __init__(
        self,
        name: str,
        *,
        hub: IotHub,
        configuration: str,
        content: pulumi.Input[Mapping[str, Any]],
        target_condition: str,
        priority: int,
        labels: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Create it.

        Args:
            name: The resource's name.
            hub: The hub.
            configuration: How its id begins.
            content: What modules' twins are to say.
            target_condition: Which devices it is for.
            priority: Of two, a device takes the one with the higher.
            labels: Of one's own.
            opts: Pulumi's options.
        """
        values = {
            "hub": hub.host,
            "name": configuration,
            "content": content,
            "targetCondition": target_condition,
            "priority": priority,
            "labels": labels,
            "owner": None,
        }
        if hub.connection_string is not None:
            values["connectionString"] = hub.connection_string
        secret = pulumi.ResourceOptions(additional_secret_outputs=["connectionString"])
        super().__init__("slipway:index:EdgeDeployment", name, values, pulumi.ResourceOptions.merge(opts, secret))


def iot_hub(scope: Scope) -> IotHub:
    """Create the hub with its devices, or attach the one that is configured and register them there."""
    settings = scope.settings.iot_hub
    resource: iothub.IotHubResource
    if settings.id:
        options = pulumi.ResourceOptions(parent=scope.parent)
        resource = iothub.IotHubResource.get("iot-hub", settings.id, opts=options)
        group: pulumi.Input[str] = group_in(settings.id)
        name: pulumi.Input[str] = name_in(settings.id)
    else:
        resource = iothub.IotHubResource(
            "iot-hub",
            resource_group_name=scope.group,
            resource_name_=scope.names.of(names.IOT_HUB),
            location=scope.settings.location,
            sku=iothub.IotHubSkuInfoArgs(name=iothub.IotHubSku(settings.sku), capacity=settings.units),
            properties=iothub.IotHubPropertiesArgs(
                min_tls_version="1.2",
                public_network_access=iothub.PublicNetworkAccess.ENABLED,
                disable_local_auth=settings.access == "entra",
            ),
            tags=scope.tags,
            opts=scope.options(protect=True),
        )
        group, name = scope.group, resource.name
    host = resource.properties.apply(lambda properties: properties.host_name)
    key: pulumi.Output[str] | None = None
    if settings.access == "key":
        owner = iothub.list_iot_hub_resource_keys_for_key_name_output(
            resource_group_name=group,
            resource_name=name,
            key_name=_OWNER,
            opts=pulumi.InvokeOutputOptions(parent=scope.parent, depends_on=[resource]),
        )
        key = pulumi.Output.secret(
            pulumi.Output.concat(
                "HostName=", host, f";SharedAccessKeyName={_OWNER};SharedAccessKey=", owner.primary_key
            )
        )
    hub = IotHub(host, key, resource)
    for device, asked in sorted(settings.devices.items()):
        inputs = {"tags": dict(asked.tags), "auth": asked.auth, "enabled": asked.enabled}
        EdgeDevice(
            device,
            hub=hub,
            inputs=inputs,
            opts=pulumi.ResourceOptions(parent=scope.parent, depends_on=[resource], delete_before_replace=True),
        )
    return hub
