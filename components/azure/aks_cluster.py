"""AksCluster: the Kubernetes cluster that Azure runs, created with its pools of nodes or attached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi_azure_native import containerservice as aks
from pulumi_azure_native import managedidentity

from components.azure import names, roles
from components.azure.kubelogin import usable
from components.azure.scope import group_in, name_in
from components.kubernetes.access import Access

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from components.azure.roles import Identity
    from components.azure.scope import Scope
    from manifest.aks import Pool, SystemPool

_TIMEOUTS = pulumi.CustomTimeouts(create="60m", update="60m", delete="60m")
_SURGE = "33%"
_GPU_TAINT = "nvidia.com/gpu=present:NoSchedule"


@dataclass(frozen=True)
class _Found:
    """A cluster, whoever made it."""

    id: pulumi.Output[str]
    name: pulumi.Output[str]
    group: pulumi.Input[str]
    kubelet: pulumi.Output[str]
    issuer: pulumi.Output[str]
    made: tuple[pulumi.Resource, ...] = ()


class AksCluster(pulumi.ComponentResource):
    """The cluster; it outlives the models on it.

    Attributes:
        access: How it is reached.
        after: What has to be there before models: nodes, and the right to pull images.
    """

    access: Access
    after: list[pulumi.Resource]

    def __init__(
        self, scope: Scope, *, registry: pulumi.Output[str] | None, logs: Callable[[], pulumi.Output[str]], keda: bool
    ) -> None:
        """Create the cluster with its pools, or attach the one that is configured, which stays as it is.

        Args:
            scope: Of the stack.
            registry: The id of the registry that nodes pull from; None where the stack has none of its own.
            logs: Returns the id of the Log Analytics workspace, where pods' logs go there.
            keda: Whether a cluster that is created has KEDA.
        """
        super().__init__(
            "slipway:index:AksCluster",
            f"{pulumi.get_project()}-{pulumi.get_stack()}",
            None,
            pulumi.ResourceOptions(parent=scope.parent),
        )
        self._scope, self._settings, self._keda = scope, scope.settings.aks, keda
        self.after = []
        self._found = self._attached(self._settings.id) if self._settings.id else self._created(logs)
        if registry:
            may = roles.grant(scope, "aks-pull", role=roles.ACR_PULL, on=registry, to=self._found.kubelet)
            self.after += [may] if may else []
        login = self._settings.login
        credentials = aks.list_managed_cluster_user_credentials_output(
            resource_group_name=self._found.group,
            resource_name=self._found.name,
            # Asked for once the cluster is there.
            opts=pulumi.InvokeOutputOptions(depends_on=[*self._found.made]),
        )
        kubeconfig = credentials.apply(lambda found: usable(found.kubeconfigs[0].value, login))
        # Azure's answer is not marked as secret.
        self.access = Access(pulumi.Output.secret(kubeconfig), None, self._found.id)
        self.register_outputs({"id": self._found.id})

    def trust(self, identity: Identity, *, namespace: str, account: str) -> managedidentity.FederatedIdentityCredential:
        """Let the pods of a ServiceAccount be an identity.

        Args:
            identity: The identity.
            namespace: The account's namespace.
            account: The account's name.
        """
        return managedidentity.FederatedIdentityCredential(
            f"{namespace}-{account}",
            resource_group_name=identity.id.apply(group_in),
            resource_name_=identity.id.apply(name_in),
            federated_identity_credential_resource_name=self._scope.names.of(names.FEDERATION, namespace, account),
            issuer=self._found.issuer,
            subject=f"system:serviceaccount:{namespace}:{account}",
            audiences=["api://AzureADTokenExchange"],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _attached(self, cluster: str) -> _Found:
        found = aks.get_managed_cluster_output(resource_group_name=group_in(cluster), resource_name=name_in(cluster))
        return _Found(
            pulumi.Output.from_input(cluster),
            pulumi.Output.from_input(name_in(cluster)),
            group_in(cluster),
            found.identity_profile.apply(lambda profile: _kubelet(profile, cluster)),
            found.oidc_issuer_profile.apply(lambda profile: _issuer(profile, cluster)),
        )

    def _created(self, logs: Callable[[], pulumi.Output[str]]) -> _Found:
        settings, scope = self._settings, self._scope
        name = scope.names.of(names.CLUSTER)
        cluster = aks.ManagedCluster(
            "aks",
            resource_group_name=scope.group,
            resource_name_=name,
            location=scope.settings.location,
            dns_prefix=name[:54].rstrip("-"),
            node_resource_group=scope.names.of(names.NODE_GROUP, "nodes"),
            kubernetes_version=settings.version,
            sku=aks.ManagedClusterSKUArgs(
                name=aks.ManagedClusterSKUName.BASE, tier=aks.ManagedClusterSKUTier(settings.tier)
            ),
            identity=aks.ManagedClusterIdentityArgs(type=aks.ResourceIdentityType.SYSTEM_ASSIGNED),
            enable_rbac=True,
            # Nobody has a certificate or a password: people and pipelines come as themselves.
            disable_local_accounts=True,
            aad_profile=aks.ManagedClusterAADProfileArgs(
                managed=True, enable_azure_rbac=True, admin_group_object_ids=list(settings.admin_groups) or None
            ),
            oidc_issuer_profile=aks.ManagedClusterOIDCIssuerProfileArgs(enabled=True),
            security_profile=aks.ManagedClusterSecurityProfileArgs(
                workload_identity=aks.ManagedClusterSecurityProfileWorkloadIdentityArgs(enabled=True),
                image_cleaner=aks.ManagedClusterSecurityProfileImageCleanerArgs(enabled=True, interval_hours=48),
            ),
            network_profile=aks.ContainerServiceNetworkProfileArgs(
                network_plugin=aks.NetworkPlugin.AZURE,
                network_plugin_mode=aks.NetworkPluginMode.OVERLAY,
                network_dataplane=aks.NetworkDataplane.CILIUM,
                network_policy=aks.NetworkPolicy.CILIUM,
                load_balancer_sku=aks.LoadBalancerSku.STANDARD,
                outbound_type=aks.OutboundType.LOAD_BALANCER,
            ),
            auto_scaler_profile=aks.ManagedClusterPropertiesAutoScalerProfileArgs(
                expander=aks.Expander.LEAST_WASTE, balance_similar_node_groups="true", scale_down_unneeded_time="10m"
            ),
            auto_upgrade_profile=aks.ManagedClusterAutoUpgradeProfileArgs(
                upgrade_channel=aks.UpgradeChannel.PATCH, node_os_upgrade_channel=aks.NodeOSUpgradeChannel.NODE_IMAGE
            ),
            workload_auto_scaler_profile=aks.ManagedClusterWorkloadAutoScalerProfileArgs(
                keda=aks.ManagedClusterWorkloadAutoScalerProfileKedaArgs(enabled=True)
            )
            if self._keda
            else None,
            addon_profiles={"omsagent": _monitoring(logs())} if settings.monitoring else None,
            api_server_access_profile=aks.ManagedClusterAPIServerAccessProfileArgs(
                authorized_ip_ranges=list(settings.authorized_ranges)
            )
            if settings.authorized_ranges
            else None,
            agent_pool_profiles=[_system(settings.system)],
            tags=scope.tags,
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=scope.settings.protect,
                # Theirs: the autoscaler's, and with `patch` Azure's.
                ignore_changes=["agentPoolProfiles[*].count"],
                custom_timeouts=_TIMEOUTS,
            ),
        )
        self.after += [self._pool(cluster, pool) for pool in settings.pools]
        return _Found(
            cluster.id,
            cluster.name,
            scope.group,
            cluster.identity_profile.apply(lambda profile: _kubelet(profile, name)),
            cluster.oidc_issuer_profile.apply(lambda profile: _issuer(profile, name)),
            (cluster,),
        )

    def _pool(self, cluster: aks.ManagedCluster, pool: Pool) -> aks.AgentPool:
        """By itself: a change of one in the cluster's list would set the others back (azure-native#4264)."""
        return aks.AgentPool(
            f"aks-{pool.name}",
            resource_group_name=self._scope.group,
            resource_name_=cluster.name,
            agent_pool_name=pool.name,
            mode=aks.AgentPoolMode.USER,
            type=aks.AgentPoolType.VIRTUAL_MACHINE_SCALE_SETS,
            vm_size=pool.vm_size,
            os_type=aks.OSType.LINUX,
            os_sku=aks.OSSKU.AZURE_LINUX,
            enable_auto_scaling=True,
            count=max(pool.min, 1),
            min_count=pool.min,
            max_count=pool.max,
            availability_zones=list(pool.zones) or None,
            node_labels={"slipway.io/pool": pool.name},
            node_taints=[_GPU_TAINT] if pool.gpu else None,
            scale_set_priority=aks.ScaleSetPriority.SPOT if pool.spot else aks.ScaleSetPriority.REGULAR,
            scale_set_eviction_policy=aks.ScaleSetEvictionPolicy.DELETE if pool.spot else None,
            # -1: up to the price of others.
            spot_max_price=-1.0 if pool.spot else None,
            # Spot nodes cannot be added for an upgrade.
            upgrade_settings=None if pool.spot else aks.AgentPoolUpgradeSettingsArgs(max_surge=_SURGE),
            tags=self._scope.tags,
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["count"], custom_timeouts=_TIMEOUTS),
        )


def _system(pool: SystemPool) -> aks.ManagedClusterAgentPoolProfileArgs:
    return aks.ManagedClusterAgentPoolProfileArgs(
        name="system",
        mode=aks.AgentPoolMode.SYSTEM,
        type=aks.AgentPoolType.VIRTUAL_MACHINE_SCALE_SETS,
        vm_size=pool.vm_size,
        os_type=aks.OSType.LINUX,
        os_sku=aks.OSSKU.AZURE_LINUX,
        enable_auto_scaling=True,
        count=pool.min,
        min_count=pool.min,
        max_count=pool.max,
        availability_zones=list(pool.zones) or None,
        node_taints=["CriticalAddonsOnly=true:NoSchedule"],
        upgrade_settings=aks.AgentPoolUpgradeSettingsArgs(max_surge=_SURGE),
    )


def _monitoring(logs: pulumi.Output[str]) -> aks.ManagedClusterAddonProfileArgs:
    return aks.ManagedClusterAddonProfileArgs(
        enabled=True, config={"logAnalyticsWorkspaceResourceID": logs, "useAADAuth": "true"}
    )


def _kubelet(profile: Mapping[str, Any] | None, cluster: str) -> str:
    """The principal that nodes pull images as."""
    found = (profile or {}).get("kubeletidentity")
    principal = (found or {}).get("object_id") or ""
    if not principal and not pulumi.runtime.is_dry_run():
        raise pulumi.RunError(f"The cluster {cluster} tells no identity of its nodes, which has to pull images.")
    return str(principal)


def _issuer(profile: Mapping[str, Any] | None, cluster: str) -> str:
    """The address that the cluster's tokens name."""
    url = (profile or {}).get("issuer_url") or ""
    # A preview of a cluster that is not there yet cannot know it.
    if not url and not pulumi.runtime.is_dry_run():
        raise pulumi.RunError(
            f"The cluster {cluster} issues no tokens for workload identity: `az aks update --enable-oidc-issuer "
            "--enable-workload-identity` lets it, and models collect by an identity then."
        )
    return str(url)
