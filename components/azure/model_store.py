"""Where a stack's models are registered in Azure: their bytes in its storage, a list of them in its workspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_azure_native import machinelearningservices as ml

from components.azure import names, roles
from registry.versions import BY_NAME, files_folder

if TYPE_CHECKING:
    from components.azure.machine_learning import Workspace
    from components.azure.scope import Scope
    from components.azure.storage import Storage
    from components.registered_model import RegisteredModel
    from manifest import Model

_CONTAINER = "models"
_FOLDER = "registry"
_TYPES = {"mlflow": "mlflow_model", "triton": "triton_model"}
# Azure's limit; Slipway's own is higher.
_LONGEST_VERSION = 30


@dataclass(frozen=True)
class ModelStore:
    """Storage and list.

    Attributes:
        scope: Of the stack.
        workspace: The workspace with the list.
        datastore: What the workspace calls the storage.
        location: The registry's location, known once its container is there.
    """

    scope: Scope
    workspace: Workspace
    datastore: ml.Datastore
    location: pulumi.Output[str]


def model_store(scope: Scope, storage: Storage, workspace: Workspace) -> ModelStore:
    """Create the container, and have the workspace read it as itself."""
    container = storage.container(_CONTAINER)
    if workspace.principal is not None:
        roles.grant(scope, "models", role=roles.BLOB_DATA_READER, on=container.id, to=workspace.principal)
    datastore = ml.Datastore(
        "models",
        resource_group_name=workspace.group,
        workspace_name=workspace.name,
        name=scope.names.of(names.DATASTORE, "models"),
        properties=ml.AzureBlobDatastoreArgs(
            datastore_type="AzureBlob",
            account_name=storage.name,
            container_name=container.name,
            credentials=ml.NoneDatastoreCredentialsArgs(credentials_type="None"),
            service_data_access_auth_identity=ml.ServiceDataAccessAuthIdentity.WORKSPACE_SYSTEM_ASSIGNED_IDENTITY,
            description="Models that Slipway registered.",
            tags=scope.tags,
        ),
        opts=scope.options(),
    )
    # A name is known before there is anything that has it; an id is not.
    location = pulumi.Output.all(storage.name, container.id).apply(
        lambda known: f"{BY_NAME}abfs://{_CONTAINER}@{known[0]}.blob.core.windows.net/{_FOLDER}"
    )
    return ModelStore(scope, workspace, datastore, location)


def listed(model: Model, registered: RegisteredModel, store: ModelStore) -> None:
    """Have the workspace list a version, with what is known of it as tags.

    The list is what the stack runs: what leaves the manifest leaves the list, and stays registered.

    Args:
        model: The model as the manifest has it.
        registered: Its version in the registry; it is listed once that is there.
        store: Where it is.
    """
    if len(model.version) > _LONGEST_VERSION:
        raise pulumi.RunError(
            f"model {model.name}: version {model.version} has {len(model.version)} characters; a Machine Learning "
            f"workspace takes {_LONGEST_VERSION}"
        )
    workspace, scope = store.workspace, store.scope
    own = {"slipway.project": pulumi.get_project(), "slipway.stack": pulumi.get_stack()}
    # A workspace that others use too has their models beside ours.
    name = (
        model.name
        if workspace.principal is not None
        else f"{own['slipway.project']}-{own['slipway.stack']}-{model.name}"
    )
    container = ml.ModelContainer(
        model.name,
        resource_group_name=workspace.group,
        workspace_name=workspace.name,
        name=name,
        properties=ml.ModelContainerPropertiesArgs(description=model.description, tags=own),
        # Not before: an `up` that ends while models are registered leaves nothing in the list.
        opts=pulumi.ResourceOptions.merge(scope.options(), pulumi.ResourceOptions(depends_on=[registered])),
    )
    folder = f"{_FOLDER}/{files_folder(model.name, registered.digest)}"
    uri = pulumi.Output.concat(
        f"azureml://subscriptions/{workspace.subscription}/resourcegroups/",
        workspace.group,
        "/workspaces/",
        workspace.name,
        "/datastores/",
        store.datastore.name,
        f"/paths/{folder}",
    )
    ml.ModelVersion(
        model.name,
        resource_group_name=workspace.group,
        workspace_name=workspace.name,
        name=container.name,
        version=model.version,
        properties=ml.ModelVersionPropertiesArgs(
            model_type=_TYPES.get(model.framework or "", "custom_model"),
            model_uri=uri,
            description=model.description,
            tags={**model.tags, **own, **_lineage(model, registered)},
        ),
        opts=pulumi.ResourceOptions.merge(
            scope.options(),
            pulumi.ResourceOptions(replace_on_changes=["properties.modelUri", "properties.modelType"]),
        ),
    )


def _lineage(model: Model, registered: RegisteredModel) -> dict[str, pulumi.Input[str]]:
    told: dict[str, pulumi.Input[str] | None] = {
        "slipway.digest": registered.digest,
        "slipway.framework": model.framework,
        "slipway.registered-at": registered.registered_at,
        "slipway.registered-by": registered.registered_by,
        "slipway.commit": registered.commit,
        "slipway.source": model.source.url if model.source else model.path,
        "slipway.data": model.lineage.data,
    }
    metrics = {f"slipway.metric.{name}": f"{value:g}" for name, value in model.lineage.metrics.items()}
    return {name: value for name, value in told.items() if value is not None} | metrics
