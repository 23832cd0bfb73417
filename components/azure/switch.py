"""The switch in front of two versions: a Traffic Manager profile, one name that leads to the version in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_azure_native import trafficmanager

from components.azure import names

if TYPE_CHECKING:
    from components.azure.scope import Scope

_ENDPOINT = "Microsoft.Network/trafficManagerProfiles/externalEndpoints"
_PROBE_SECONDS = 30
_PROBE_TIMEOUT = 10
_PROBE_FAILURES = 3


def switch(  # noqa: PLR0913 - what a profile is
    model: str,
    scope: Scope,
    *,
    label: str,
    target: pulumi.Input[str],
    revision: str,
    https: bool,
    port: int,
    parent: pulumi.Resource,
    after: pulumi.Resource,
) -> pulumi.Output[str]:
    """Lead a name to a version.

    Args:
        model: The model's name.
        scope: Of the stack.
        label: The name's first part.
        target: The version's own host.
        revision: Names the version.
        https: Whether it speaks HTTPS.
        port: Its port.
        parent: The component that it belongs to.
        after: What says that the version is ready.

    Returns:
        The host that callers use.
    """
    profile = trafficmanager.Profile(
        model,
        resource_group_name=scope.group,
        profile_name=scope.names.of(names.TRAFFIC_MANAGER, model),
        location="global",
        profile_status=trafficmanager.ProfileStatus.ENABLED,
        traffic_routing_method=trafficmanager.TrafficRoutingMethod.PRIORITY,
        dns_config=trafficmanager.DnsConfigArgs(relative_name=label, ttl=scope.settings.aci.ttl_seconds),
        monitor_config=trafficmanager.MonitorConfigArgs(
            protocol=trafficmanager.MonitorProtocol.HTTPS if https else trafficmanager.MonitorProtocol.HTTP,
            port=port,
            path="/ready",
            interval_in_seconds=_PROBE_SECONDS,
            timeout_in_seconds=_PROBE_TIMEOUT,
            tolerated_number_of_failures=_PROBE_FAILURES,
        ),
        # In the profile itself, so that the change from one version to the other is one request.
        endpoints=[
            trafficmanager.EndpointArgs(
                name=revision,
                type=_ENDPOINT,
                target=target,
                endpoint_status=trafficmanager.EndpointStatus.ENABLED,
                priority=1,
            )
        ],
        tags=scope.tags,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[after]),
    )
    return profile.dns_config.apply(lambda config: (config.fqdn if config else None) or "")
