"""Addresses of models in an Azure Machine Learning workspace: as the manifest has them, and as a workspace answers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from registry.errors import RegistryError

_LONG = re.compile(
    r"azureml://subscriptions/([^/]+)/resourceGroups/([^/]+)/workspaces/([^/]+)/models/([^/]+)/versions/([^/]+)",
    re.IGNORECASE,
)
_SHORT = re.compile(r"azureml:([^:/]+):([^:/]+)")
_IN_DATASTORE = re.compile(
    r"azureml://(?:(subscriptions/[^/]+/resourceGroups/[^/]+)/workspaces/([^/]+)/)?datastores/([^/]+)/paths/(.+)",
    re.IGNORECASE,
)
_PROVIDER = "providers/Microsoft.MachineLearningServices/workspaces"
_WORKSPACE = re.compile(
    r"/subscriptions/([^/]+)/resourceGroups/([^/]+)/providers/Microsoft\.MachineLearningServices/workspaces/([^/]+)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class WorkspaceModel:
    """A version of a model in a workspace.

    Attributes:
        subscription: The subscription's id.
        group: The resource group's name.
        workspace: The workspace's name.
        name: The model's name there.
        version: Its version there.
    """

    subscription: str
    group: str
    workspace: str
    name: str
    version: str

    @classmethod
    def of(cls, url: str) -> WorkspaceModel:
        """Take a long address apart.

        Raises:
            RegistryError: It is none; a short one does not say which workspace.
        """
        found = _LONG.fullmatch(url)
        if not found:
            raise RegistryError(
                f"{url} does not say which workspace: write azureml://subscriptions/ID/resourceGroups/GROUP/"
                "workspaces/WORKSPACE/models/NAME/versions/VERSION"
            )
        return cls(*found.groups())

    @property
    def workspace_path(self) -> str:
        """The workspace's id in Azure."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}/{_PROVIDER}/{self.workspace}"


def with_workspace(url: str, workspace: str | None) -> str:
    """Return the address of a source with the workspace in it; one that says where it is stays as it is.

    Args:
        url: Of any source; `azureml:NAME:VERSION` leaves the workspace to the stack.
        workspace: The id of the stack's workspace, if it has one.

    Raises:
        RegistryError: It is such an address, and the stack names no workspace.
    """
    found = _SHORT.fullmatch(url)
    if not found:
        return url
    place = _WORKSPACE.fullmatch(workspace or "")
    if not place:
        raise RegistryError(
            f"{url} is in the stack's workspace, and the stack names none: set slipway:azure.machineLearning to "
            "{id: …}, or write azureml://subscriptions/ID/resourceGroups/GROUP/workspaces/WORKSPACE/models/NAME/"
            "versions/VERSION"
        )
    subscription, group, name = place.groups()
    model, version = found.groups()
    return (
        f"azureml://subscriptions/{subscription}/resourceGroups/{group}/workspaces/{name}"
        f"/models/{model}/versions/{version}"
    )


def in_datastore(address: str, workspace: str) -> tuple[str, str] | None:
    """Return the id of the datastore, and the path in it, that an address names; None where it names none.

    Args:
        address: As a workspace has it in `modelUri`.
        workspace: The id of that workspace; an address may name another one.
    """
    found = _IN_DATASTORE.fullmatch(address)
    if not found:
        return None
    other = f"/{found[1]}/{_PROVIDER}/{found[2]}" if found[1] else workspace
    return f"{other}/datastores/{found[3]}", found[4].strip("/")
