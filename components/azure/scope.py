"""Where and how a stack's Azure resources are made: what all of them are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

if TYPE_CHECKING:
    from components.azure.names import Names
    from manifest.azure import Azure


@dataclass(frozen=True)
class Scope:
    """What every resource of the platform is made with.

    Attributes:
        parent: The component that resources belong to.
        group: The resource group's name.
        settings: The stack's configuration.
        names: Makes names.
        tags: For all that takes tags.
        tenant: The tenant's id.
        subscription: The subscription's id.
    """

    parent: pulumi.Resource
    group: pulumi.Input[str]
    settings: Azure
    names: Names
    tags: dict[str, str]
    tenant: str
    subscription: str

    def options(self, *, protect: bool = False) -> pulumi.ResourceOptions:
        """Return the options of a resource.

        Args:
            protect: It holds data or images: refuse to delete it, where the stack wants that.
        """
        return pulumi.ResourceOptions(parent=self.parent, protect=protect and self.settings.protect)


def name_in(arm_id: str) -> str:
    """Return the name of what an Azure id is of."""
    return arm_id.rpartition("/")[2]


def group_in(arm_id: str) -> str:
    """Return the resource group that an Azure id is in."""
    return arm_id.split("/")[4]
