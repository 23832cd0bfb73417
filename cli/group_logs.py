"""What models on Container Instances printed: read from the stand-in for Azure, else the command that reads it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.deployed import recorded
from cli.errors import CliError
from standins.azure_native import in_use

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.pulumi import Pulumi

# As components/aci_service.py names it; a proxy may be beside it.
_CONTAINER = "model"
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Group:
    """A container group that a stack made.

    Attributes:
        model: The model that it serves.
        name: Its name.
        resource_group: The resource group that it is in.
        subscription: The subscription's id.
    """

    model: str
    name: str
    resource_group: str
    subscription: str

    @property
    def id(self) -> str:
        """Its id in Azure."""
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.ContainerInstance/containerGroups/{self.name}"
        )

    def command(self, *, follow: bool) -> str:
        """The command that prints what its model wrote."""
        return (
            f"az container logs --subscription {self.subscription} --resource-group {self.resource_group} "
            f"--name {self.name} --container-name {_CONTAINER}{' --follow' if follow else ''}"
        )


def groups(outputs: Mapping[str, Any] | None) -> list[Group]:
    """Return the container groups of a stack, by model.

    Args:
        outputs: The stack's outputs; None when there is no stack.
    """
    azure = (outputs or {}).get("azure") or {}
    where = str(azure.get("resourceGroup")), str(azure.get("subscription"))
    return [Group(one.model, one.group, *where) for one in recorded(outputs) if one.group]


def written(group: Group, pulumi: Pulumi, tail: int) -> list[str] | None:
    """Return the last lines that a group's model wrote; None where the group is in Azure itself.

    Args:
        group: The group.
        pulumi: Its stack.
        tail: How many lines.

    Raises:
        CliError: The stand-in does not have it, or its container cannot be read.
    """
    if in_use(pulumi.env) is None:
        return None
    # A process of its own: the stand-in finds its state and Docker in the environment.
    path = os.pathsep.join(filter(None, (str(_ROOT), pulumi.env.get("PYTHONPATH"))))
    tool = [sys.executable, "-m", "standins.azure_native.tool"]
    done = subprocess.run(
        [*tool, "logs", group.id, _CONTAINER, "--tail", str(tail)],
        cwd=pulumi.project.root,
        env={**pulumi.env, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"]
        raise CliError(f"The log of {group.model} on the stand-in for Azure cannot be read: {said[-1]}")
    return done.stdout.splitlines()
