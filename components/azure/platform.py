"""Platform: what the cloud targets of a stack share, once; made when a target first asks for it, and not otherwise."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

import pulumi
from pulumi_azure_native import authorization, managedidentity, resources

from components.azure import batch, container_registry, machine_learning, model_store, monitoring, names, roles, storage
from components.azure.roles import Identity
from components.azure.scope import Scope, name_in

if TYPE_CHECKING:
    from pulumi_azure_native.applicationinsights import Component
    from pulumi_azure_native.containerregistry import Registry

    from components.azure.aks_cluster import AksCluster
    from components.azure.iot_hub import IotHub
    from components.azure.machine_learning import Vault
    from manifest import Environment

# A container of the stack's own account; one of another account names that account.
_CONTAINER = re.compile(r"(?:abfss?|az)://([a-z0-9](?:-?[a-z0-9]){2,62})(?:/.*)?")


class Platform(pulumi.ComponentResource):
    """The shared resources of one stack in Azure, each a property that makes it at its first use.

    Attributes:
        scope: Where and how they are made.
        outputs: What the stack exports of them.
    """

    scope: Scope
    outputs: dict[str, pulumi.Input[str] | None]

    def __init__(self, environment: Environment, *, opts: pulumi.ResourceOptions | None = None) -> None:
        """Take the configuration; nothing but the resource group is made yet.

        Args:
            environment: The stack's configuration, with `azure`.
            opts: Pulumi's options.

        Raises:
            ValueError: The configuration is without `azure`.
        """
        if environment.azure is None:
            raise ValueError("the configuration has no azure")
        project, stack = pulumi.get_project(), pulumi.get_stack()
        super().__init__("slipway:index:Platform", f"{project}-{stack}", None, opts)
        settings = environment.azure
        self._collected = _container(environment)
        self._keda = environment.kubernetes.keda is not None
        self._batch_granted: set[tuple[str, str]] = set()
        self._registry_wanted = settings.registry is not None or "registry" not in environment.model_fields_set
        client = authorization.get_client_config()
        tags = {"slipway-project": project, "slipway-stack": stack, **settings.tags}
        unique = names.Names(client.subscription_id, project, stack, settings.prefix)
        self.scope = Scope(self, "", settings, unique, tags, client.tenant_id, client.subscription_id)
        group: pulumi.Input[str]
        if settings.resource_group:
            group = name_in(settings.resource_group)
        else:
            group = resources.ResourceGroup(
                "group",
                resource_group_name=unique.of(names.RESOURCE_GROUP),
                location=settings.location,
                tags=tags,
                opts=self.scope.options(),
            ).name
        self.scope = Scope(self, group, settings, unique, tags, client.tenant_id, client.subscription_id)
        if settings.machine_learning is not None:
            # No target asks for it: who configures one wants it.
            _ = self.machine_learning
        self.outputs = {"resourceGroup": group, "subscription": client.subscription_id, "location": settings.location}
        if self._registry_wanted:
            self.outputs["registry"] = self.registry_server
        self.register_outputs(self.outputs)

    @cached_property
    def registry_server(self) -> pulumi.Output[str] | None:
        """The registry's address; None where slipway:registry names another one and none is configured here."""
        return self._registry.login_server if self._registry_wanted else None

    @cached_property
    def _registry(self) -> Registry:
        return container_registry.container_registry(self.scope)

    @cached_property
    def puller(self) -> Identity:
        """The identity that pulls images, and may do nothing else."""
        identity = self._identity("pull", self.scope.settings.identity.id)
        if not self._registry_wanted:
            return Identity(identity.id, identity.client_id)
        return roles.granted(self.scope, "pull", identity, role=roles.ACR_PULL, on=self._registry.id)

    @cached_property
    def cluster(self) -> AksCluster:
        """The Kubernetes cluster."""
        from components.azure.aks_cluster import AksCluster  # noqa: PLC0415 - only stacks with an `aks` target need it

        registry = self._registry.id if self._registry_wanted else None
        return AksCluster(self.scope, registry=registry, logs=lambda: self.logs.id, keda=self._keda)

    @cached_property
    def storage(self) -> storage.Storage:
        """The storage account."""
        return storage.storage_account(self.scope, self._collected)

    @cached_property
    def collector(self) -> Identity | None:
        """The identity that writes what is collected; None where that does not go to the stack's own storage."""
        if self._collected is None:
            return None
        container = self.storage.container(self._collected)
        identity = self._identity("collect")
        return roles.granted(self.scope, "collect", identity, role=roles.BLOB_DATA_CONTRIBUTOR, on=container.id)

    @cached_property
    def logs(self) -> monitoring.Logs:
        """The Log Analytics workspace."""
        return monitoring.logs(self.scope)

    @cached_property
    def insights_connection_string(self) -> pulumi.Output[str]:
        """What services send traces to Application Insights with; a secret, since whoever has it can send."""
        return pulumi.Output.secret(self._insights.connection_string)

    @cached_property
    def _insights(self) -> Component:
        return monitoring.insights(self.scope, self.logs.id)

    @cached_property
    def machine_learning(self) -> machine_learning.Workspace | None:
        """The Machine Learning workspace; None where none is configured."""
        settings = self.scope.settings.machine_learning
        if settings is None:
            return None
        if settings.id:
            return machine_learning.attached(settings.id)
        return machine_learning.workspace(
            self.scope,
            storage=self.storage.id,
            key_vault=self._vault.id,
            registry=self._registry.id if self._registry_wanted else None,
            insights=self._insights.id,
        )

    @cached_property
    def models(self) -> model_store.ModelStore:
        """Where models are registered, and listed.

        Raises:
            ValueError: The configuration is without a workspace.
        """
        workspace = self.machine_learning
        if workspace is None:
            raise ValueError("the configuration has no machineLearning")
        store = model_store.model_store(self.scope, self.storage, workspace)
        self.outputs["modelRegistry"] = store.location
        return store

    @cached_property
    def iot_hub(self) -> IotHub:
        """The IoT hub, with the devices that are configured."""
        from components.azure.iot_hub import iot_hub  # noqa: PLC0415 - only stacks with devices import that SDK

        hub = iot_hub(self.scope)
        self.outputs["iotHub"] = hub.host
        return hub

    @cached_property
    def _vault(self) -> Vault:
        return machine_learning.vault(self.scope)

    @cached_property
    def batch(self) -> batch.BatchAccount:
        """The Batch account."""
        settings = self.scope.settings.batch.account
        if settings.id:
            return batch.attached(self.scope, settings.id)
        owner = self._identity("batch-account")
        role = roles.BLOB_DATA_CONTRIBUTOR
        return batch.batch_account(
            self.scope,
            storage=self.storage,
            owner=roles.granted(self.scope, "batch-account", owner, role=role, on=self.storage.id),
            worker=self.batch_worker,
            vault=self._vault if settings.spot else None,
        )

    @cached_property
    def batch_worker(self) -> Identity:
        """The identity that tasks read and write with: nothing but the containers that `batch_may` was asked for."""
        identity = self._identity("batch")
        self._batch_principal = identity.principal_id
        return Identity(identity.id, identity.client_id)

    def batch_may(self, role: str, container: str) -> None:
        """Let tasks do something with a container of the stack's storage, which is made.

        Args:
            role: What.
            container: Its name.
        """
        worker = self.batch_worker
        if (role, container) in self._batch_granted:
            return
        self._batch_granted.add((role, container))
        verb = "read" if role == roles.BLOB_DATA_READER else "write"
        on = self.storage.container(container).id
        may = roles.grant(self.scope, f"batch-{verb}-{container}", role=role, on=on, to=self._batch_principal)
        worker.roles.extend([may] if may else [])

    @cached_property
    def batch_submitter(self) -> Identity:
        """The identity that a scheduled job splits itself into tasks with; no other pool has it."""
        identity = self._identity("batch-jobs")
        return roles.granted(self.scope, "batch-jobs", identity, role=roles.BATCH_JOB_SUBMITTER, on=self.batch.id)

    def _identity(self, purpose: str, attached: str | None = None) -> managedidentity.UserAssignedIdentity:
        if attached:
            return managedidentity.UserAssignedIdentity.get(purpose, attached, opts=pulumi.ResourceOptions(parent=self))
        return managedidentity.UserAssignedIdentity(
            purpose,
            resource_group_name=self.scope.group,
            resource_name_=self.scope.names.of(names.IDENTITY, purpose),
            location=self.scope.settings.location,
            tags=self.scope.tags,
            opts=self.scope.options(),
        )


def _container(environment: Environment) -> str | None:
    """The container of the stack's storage that inputs and outputs are collected to."""
    if environment.collect is None or environment.storage_connection_string:
        return None
    found = _CONTAINER.fullmatch(environment.collect.to)
    return found[1] if found else None
