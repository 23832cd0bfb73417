"""BatchPool: a model as a pool of Azure Batch, whose nodes have its image before a job comes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi_azure_native import batch

from components.azure import names, roles
from components.batch_exports import exported
from components.batch_formula import INTERVAL, autoscale_formula
from components.batch_jobs import BatchJobs, BatchJobSchedule
from jobs.cloud_places import INPUTS, OUTPUTS, CloudPlace, cloud_place
from manifest.cron import even

if TYPE_CHECKING:
    from components.azure.platform import Platform
    from components.azure.roles import Identity
    from components.model_image import ModelImage
    from components.project import Project
    from manifest import BatchTarget, Model

# What Azure refuses to change in a pool, with 400; azure-native would try to.
_FIXED = [
    "deploymentConfiguration",
    "identity",
    "mountConfiguration",
    "networkConfiguration",
    "vmSize",
    "taskSlotsPerNode",
    "interNodeCommunication",
    "targetNodeCommunicationMode",
]

# Containers run as a user that is not the one who mounts.
_MOUNT_OPTIONS = "-o allow_other -o ro"


class BatchPool(pulumi.ComponentResource):
    """One pool, named by what is in it: another image or size is another pool, to which jobs move before the old goes.

    Attributes:
        outputs: What the stack exports of it.
    """

    outputs: dict[str, Any]

    def __init__(
        self,
        model: Model,
        target: BatchTarget,
        image: ModelImage,
        *,
        project: Project,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Register the pool, and the job's schedule where there is one.

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
        super().__init__("slipway:index:BatchPool", model.name, None, opts)
        self._model, self._target, self._image = model, target, image
        self._platform, self._scope = platform, platform.scope
        self._settings = platform.scope.settings.batch
        self._refuse()
        places = self._places()
        self._worker = platform.batch_worker
        pool = self._pool([platform.puller, self._worker, *([platform.batch_submitter] if target.schedule else [])])
        url = platform.batch.url
        self.outputs = self._outputs(project, pool, url, *places)
        jobs = BatchJobs(
            f"{model.name}-batch",
            account=url,
            pool=pool.name,
            drain_minutes=self._settings.drain_minutes,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[pool]),
        )
        if target.schedule:
            self._schedule(jobs)
        self.register_outputs({"pool": pool.name})

    def _refuse(self) -> None:
        """Refuse what each of manifest and configuration may say, but not both."""
        target, where = self._target, f"model {self._model.name}: batch"
        account, most = self._settings.account, self._settings.max_nodes
        if target.nodes.low_priority and not (account.spot or account.id):
            raise pulumi.RunError(
                f"{where}: lowPriority needs slipway:azure.batch.account.spot: true: Azure has Spot nodes only in "
                "accounts whose nodes are machines of your subscription (docs/azure-batch.md says what those need)."
            )
        asked = target.nodes.dedicated + target.nodes.low_priority
        if asked > most:
            raise pulumi.RunError(
                f"{where}: {asked} nodes are more than slipway:azure.batch.maxNodes, which is {most}; ask for fewer, "
                "or raise it."
            )
        if target.schedule and even(target.schedule) is None:
            raise pulumi.RunError(
                f'{where}: the schedule "{target.schedule}" has no even distances, which are all that Azure Batch '
                'knows: every so many minutes or hours that divide a day, as in "*/15 * * * *", each day, or each week.'
            )

    def _places(self) -> tuple[CloudPlace | None, CloudPlace]:
        """Where it reads and writes, with the rights to do so."""
        target = self._target
        try:
            source = cloud_place(target.input, INPUTS) if target.input else None
            output = cloud_place(target.output or self._model.name, OUTPUTS)
        except ValueError as error:
            raise pulumi.RunError(
                f"model {self._model.name}: batch: {error}; give a whole URL, or a path without .."
            ) from None
        # What `run` reads when it is told a path.
        self._platform.batch_may(roles.BLOB_DATA_READER, INPUTS)
        if source and source.container:
            self._platform.batch_may(roles.BLOB_DATA_READER, source.container)
        if output.container:
            self._platform.batch_may(roles.BLOB_DATA_CONTRIBUTOR, output.container)
        for mounted in target.mounts.values():
            if "@" not in mounted:
                self._platform.batch_may(roles.BLOB_DATA_READER, mounted)
        return source, output

    def _pool_name(self, identities: list[Identity]) -> pulumi.Output[str]:
        """Name the pool as it is: another name for all that cannot be changed in one."""
        settings, target = self._settings, self._target
        parts = [
            self._image.tag,
            # What it is built to may change under its tag; a registry's address is in it.
            self._image.ref,
            target.vm_size,
            target.task_slots,
            [one.id for one in identities],
            settings.node_image.model_dump(mode="json"),
            settings.subnet,
            self._scope.settings.location,
        ]
        # Pools of targets without keep their names.
        parts += [dict(target.mounts), self._platform.storage.name] if target.mounts else []

        def named(text: str) -> str:
            revision = hashlib.sha256(text.encode()).hexdigest()[:10]
            return self._scope.names.of(names.BATCH_POOL, self._model.name, revision)

        return pulumi.Output.json_dumps(parts).apply(named)

    def _pool(self, identities: list[Identity]) -> batch.Pool:
        target, scope, image = self._target, self._scope, self._settings.node_image
        account, server = self._platform.batch, self._platform.registry_server
        return batch.Pool(
            self._model.name,
            resource_group_name=account.group,
            account_name=account.name,
            pool_name=self._pool_name(identities),
            display_name=f"{self._model.name} {self._image.tag}",
            vm_size=target.vm_size,
            task_slots_per_node=target.task_slots,
            task_scheduling_policy=batch.TaskSchedulingPolicyArgs(node_fill_type=batch.ComputeNodeFillType.SPREAD),
            inter_node_communication=batch.InterNodeCommunicationState.DISABLED,
            target_node_communication_mode=batch.NodeCommunicationMode.SIMPLIFIED,
            identity=batch.BatchPoolIdentityArgs(
                type=batch.PoolIdentityType.USER_ASSIGNED, user_assigned_identities=[one.id for one in identities]
            ),
            deployment_configuration=batch.DeploymentConfigurationArgs(
                virtual_machine_configuration=batch.VirtualMachineConfigurationArgs(
                    image_reference=batch.ImageReferenceArgs(
                        publisher=image.publisher, offer=image.offer, sku=image.sku, version=image.version
                    ),
                    node_agent_sku_id=image.agent,
                    container_configuration=batch.ContainerConfigurationArgs(
                        type=batch.ContainerType.DOCKER_COMPATIBLE,
                        # Pulled as a node starts: no task waits for it.
                        container_image_names=[self._image.ref],
                        container_registries=[
                            batch.ContainerRegistryArgs(
                                registry_server=server,
                                identity_reference=batch.ComputeNodeIdentityReferenceArgs(
                                    resource_id=self._platform.puller.id
                                ),
                            )
                        ]
                        if server
                        else None,
                    ),
                )
            ),
            mount_configuration=self._mounts(),
            network_configuration=self._network(),
            scale_settings=batch.ScaleSettingsArgs(
                auto_scale=batch.AutoScaleSettingsArgs(
                    formula=autoscale_formula(target.nodes, target.task_slots), evaluation_interval=INTERVAL
                )
            ),
            metadata=[
                batch.MetadataItemArgs(name=name, value=value)
                for name, value in sorted(
                    {
                        **scope.tags,
                        "slipway-model": self._model.name,
                        "slipway-version": self._model.version,
                    }.items()
                )
            ],
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[role for one in identities for role in one.roles],
                # Its name is what it is: the new pool is there, and the jobs are on it, before the old one goes.
                delete_before_replace=False,
                replace_on_changes=_FIXED,
                custom_timeouts=pulumi.CustomTimeouts(create="1h", update="1h", delete="1h"),
            ),
        )

    def _mounts(self) -> list[batch.MountConfigurationArgs] | None:
        """Containers as folders of each node, read by the identity that tasks have: no key is in the pool."""
        by = batch.ComputeNodeIdentityReferenceArgs(resource_id=self._worker.id)
        found = []
        for name, mounted in sorted(self._target.mounts.items()):
            container, _, account = mounted.partition("@")
            blobs = batch.AzureBlobFileSystemConfigurationArgs(
                account_name=account or self._platform.storage.name,
                container_name=container,
                relative_mount_path=name,
                identity_reference=by,
                blobfuse_options=_MOUNT_OPTIONS,
            )
            found.append(batch.MountConfigurationArgs(azure_blob_file_system_configuration=blobs))
        # Azure refuses an empty list.
        return found or None

    def _network(self) -> batch.NetworkConfigurationArgs | None:
        if not self._settings.subnet:
            return None
        return batch.NetworkConfigurationArgs(
            subnet_id=self._settings.subnet,
            public_ip_address_configuration=batch.PublicIPAddressConfigurationArgs(
                provision=batch.IPAddressProvisioningType.NO_PUBLIC_IP_ADDRESSES
            ),
        )

    def _outputs(
        self, project: Project, pool: batch.Pool, url: pulumi.Output[str], source: CloudPlace | None, output: CloudPlace
    ) -> dict[str, Any]:
        target, worker = self._target, self._worker
        same = exported(self._model, target, self._image, project=project)
        return {
            **same,
            "engine": "azure",
            "input": source.url if source else None,
            "output": output.url,
            "environment": {
                **same["environment"],
                "AZURE_STORAGE_ACCOUNT_NAME": self._platform.storage.name,
                # A node has several identities; this is the one that may read and write.
                "AZURE_CLIENT_ID": worker.client_id,
            },
            "taskSlots": target.task_slots,
            "account": url,
            "pool": pool.name,
            "registryServer": self._platform.registry_server,
            "registryIdentity": self._platform.puller.id,
            "identity": {"id": worker.id, "clientId": worker.client_id},
            "storageAccount": self._platform.storage.name,
        }

    def _schedule(self, jobs: BatchJobs) -> None:
        name = self._model.name
        inputs = {
            key: value for key, value in self.outputs.items() if key not in {"engine", "identity", "storageAccount"}
        }
        BatchJobSchedule(
            f"{name}-batch",
            inputs={
                **inputs,
                "id": self._scope.names.of(names.BATCH_JOB_SCHEDULE, name),
                "model": name,
                "submitter": self._platform.batch_submitter.client_id,
                "metadata": self._scope.tags,
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[jobs]),
        )
