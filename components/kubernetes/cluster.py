"""Cluster: the Kubernetes that a stack's models are on, and the namespaces that they share there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes import core, meta

from components.kubernetes.access import Access, configured
from manifest.kubernetes import NamespaceSettings
from manifest.object_names import instance

if TYPE_CHECKING:
    from components.azure.platform import Platform
    from components.project import Project
    from manifest.kubernetes import Quota

_IDENTITY = "azure.workload.identity"


@dataclass(frozen=True)
class Namespace:
    """A namespace, and what there is for all models in it.

    Attributes:
        name: Its name.
        account: The ServiceAccount of models without an identity.
        is_own: Whether it is this stack's alone, so that a model's name is enough to tell its objects.
        after: What has to be there before its objects.
    """

    name: str
    account: pulumi.Output[str]
    is_own: bool
    after: list[pulumi.Resource] = field(default_factory=list)


class Cluster(pulumi.ComponentResource):
    """What all `aks` targets of a stack share.

    Attributes:
        host: The API server's host, where it is known.
        access: How it is reached.
        outputs: What the stack exports of it.
    """

    host: str
    access: Access
    outputs: dict[str, Any]

    def __init__(self, project: Project, platform: Platform | None) -> None:
        """Find the cluster, or make it on Azure.

        Args:
            project: The checkout and its stack.
            platform: What the stack has in Azure; the cluster is there unless the configuration names another one.

        Raises:
            pulumi.RunError: The configuration's cluster cannot be found.
        """
        self.instance = instance(pulumi.get_project(), pulumi.get_stack())
        super().__init__("slipway:index:Cluster", f"{pulumi.get_project()}-{pulumi.get_stack()}")
        self._settings = project.environment.kubernetes
        access = configured(project.environment, project.root)
        self._platform = None if access else platform
        after: list[pulumi.Resource] = []
        if access is None:
            if platform is None:
                raise ValueError("there is neither a cluster in the configuration nor a platform")
            access, after = platform.cluster.access, platform.cluster.after
        self.host, self.access = access.host, access
        self._after = after
        self.provider = self._connected(access)
        self._namespaces: dict[str, Namespace] = {}
        self._collectors: dict[str, core.v1.ServiceAccount] = {}
        self.outputs = {
            "context": access.context or "",
            "cluster": access.identity,
        }
        self.register_outputs({})

    def _connected(self, access: Access) -> kubernetes.Provider:
        return kubernetes.Provider(
            "cluster",
            kubeconfig=access.kubeconfig,
            context=access.context,
            # Other credentials are the same cluster: nothing is replaced.
            cluster_identifier=access.identity,
            enable_server_side_apply=True,
            # Keys are replaced in the object that pods have mounted; by default it would be deleted and made anew.
            enable_secret_mutable=True,
            opts=pulumi.ResourceOptions(parent=self, additional_secret_outputs=["kubeconfig"]),
        )

    def options(self, *, parent: pulumi.Resource | None = None, **more: Any) -> pulumi.ResourceOptions:
        """Return the options of an object on this cluster.

        Args:
            parent: The component that it belongs to; by default the cluster.
            more: Further options.
        """
        return pulumi.ResourceOptions(parent=parent or self, provider=self.provider, **more)

    def namespace(self, name: str | None) -> Namespace:
        """Return a namespace, which is made at its first use if it is the stack's to make.

        Args:
            name: As the target names it; None for the environment's.
        """
        own = self.instance
        name = name or self._settings.namespace or own
        if name not in self._namespaces:
            made = {own: NamespaceSettings(), **self._settings.namespaces}.get(name)
            self._namespaces[name] = self._namespace(name, made, is_own=name == own)
        return self._namespaces[name]

    def _namespace(self, name: str, made: NamespaceSettings | None, *, is_own: bool) -> Namespace:
        labels = {"app.kubernetes.io/managed-by": "slipway", "app.kubernetes.io/instance": self.instance}
        after = list(self._after)
        if made:
            after = [
                core.v1.Namespace(
                    name,
                    metadata=meta.v1.ObjectMetaArgs(
                        name=name, labels={**labels, "pod-security.kubernetes.io/enforce": "restricted"}
                    ),
                    opts=self.options(depends_on=after),
                )
            ]
            if made.quota:
                after.append(self._quota(name, made.quota, labels, after))
        account = core.v1.ServiceAccount(
            f"{name}-models",
            metadata=meta.v1.ObjectMetaArgs(
                name="models" if is_own else f"{self.instance}-models", namespace=name, labels=labels
            ),
            automount_service_account_token=False,
            opts=self.options(depends_on=after),
        )
        return Namespace(name, account.metadata.apply(lambda found: found.name or ""), is_own, [*after, account])

    def _quota(
        self, name: str, quota: Quota, labels: dict[str, str], after: list[pulumi.Resource]
    ) -> core.v1.ResourceQuota:
        hard = {
            "requests.cpu": f"{quota.cpu:g}" if quota.cpu else None,
            "requests.memory": quota.memory,
            "requests.nvidia.com/gpu": None if quota.gpu is None else str(quota.gpu),
            "pods": str(quota.pods) if quota.pods else None,
        }
        return core.v1.ResourceQuota(
            name,
            metadata=meta.v1.ObjectMetaArgs(name="slipway", namespace=name, labels=labels),
            spec=core.v1.ResourceQuotaSpecArgs(hard={key: value for key, value in hard.items() if value}),
            opts=self.options(depends_on=after),
        )

    def collector(self, namespace: Namespace) -> pulumi.Output[str] | None:
        """Return the ServiceAccount of models that collect by an identity; None where they need a connection string.

        It is one for each namespace: an identity of Azure takes 20 federated credentials at most.
        """
        identity = self._platform.collector if self._platform else None
        if self._platform is None or identity is None:
            return None
        if namespace.name not in self._collectors:
            name = "collect" if namespace.is_own else f"{self.instance}-collect"
            trust = self._platform.cluster.trust(identity, namespace=namespace.name, account=name)
            self._collectors[namespace.name] = core.v1.ServiceAccount(
                f"{namespace.name}-collect",
                metadata=meta.v1.ObjectMetaArgs(
                    name=name,
                    namespace=namespace.name,
                    labels={"app.kubernetes.io/managed-by": "slipway", "app.kubernetes.io/instance": self.instance},
                    annotations={f"{_IDENTITY}/client-id": identity.client_id},
                ),
                automount_service_account_token=False,
                opts=self.options(depends_on=[*namespace.after, *identity.roles, trust]),
            )
        return self._collectors[namespace.name].metadata.apply(lambda found: found.name or "")
