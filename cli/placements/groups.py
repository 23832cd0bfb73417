"""What a stack has on Container Instances: the groups, what their models printed, and how Azure sees them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from azure_management.client import AbsentError, Management, ManagementError
from azure_management.place import place_of
from cli.errors import CliError
from cli.logs.source import LogSource
from cli.logs.window import dated, followed
from cli.placements.placement import Placement, recorded
from cli.placements.states import MISSING, STOPPED, UNREACHABLE, restoring

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from azure_management.place import Place
    from cli.logs.window import Line
    from cli.stack.pulumi import Pulumi

# As components/aci_service.py names it; a proxy may be beside it.
_CONTAINER = "model"
_API = "2023-05-01"
# Azure has no log of a container yet: it has not started.
_NO_LOG_YET = "ContainerLogNotAvailable"
_LOOK_SECONDS = 2.0
_OVER = {"Succeeded", "Failed", "Stopped"}


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


@dataclass(frozen=True)
class View:
    """How Azure sees a group.

    Attributes:
        state: Azure's word for the group; `missing` where there is none.
        trouble: What keeps its containers from running, by their names; nothing where nothing does.
    """

    state: str
    trouble: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether its containers have ended, and are not started again."""
        return self.state in _OVER


def groups(outputs: Mapping[str, Any] | None) -> list[Group]:
    """Return the container groups of a stack, by model.

    Args:
        outputs: The stack's outputs; None when there is no stack.
    """
    azure = (outputs or {}).get("azure") or {}
    where = str(azure.get("resourceGroup")), str(azure.get("subscription"))
    return [Group(one.model, one.group, *where) for one in recorded(outputs) if one.group]


class Groups:
    """Asks Azure for groups, each where it is; threads may share it."""

    def __init__(self, pulumi: Pulumi) -> None:
        """Ask nothing yet.

        Args:
            pulumi: The stack that made them.
        """
        self._stack, self._env, self._root = pulumi.stack, pulumi.env, pulumi.project.root
        self._apis: dict[Place, Management] = {}
        self._opening = threading.Lock()

    def log(self, group: Group, tail: int, *, follow: bool = False) -> Iterator[Line]:
        """Read what a group's model printed.

        Args:
            group: The group.
            tail: How many of its last lines.
            follow: Whether to wait for more.

        Yields:
            For each line when it was printed, and the line.

        Raises:
            CliError: Azure does not hand it out.
        """
        if follow:
            yield from followed(lambda most: self._lines(group, most), tail, lambda: time.sleep(_LOOK_SECONDS))
        elif tail:
            yield from self._lines(group, tail)

    def view(self, group: Group) -> View:
        """Return how Azure sees a group.

        Raises:
            CliError: Azure does not tell.
        """
        try:
            found = self._get(group, group.id)["properties"]
            containers = [(one["name"], one["properties"].get("instanceView") or {}) for one in found["containers"]]
            state = str((found.get("instanceView") or {}).get("state") or found.get("provisioningState"))
        except AbsentError:
            return View(MISSING)
        except ManagementError as error:
            raise CliError(f"How Azure sees {group.name} cannot be found out: {error}.") from None
        except (KeyError, TypeError, AttributeError):
            raise CliError(f"What Azure tells of {group.name} is no container group.") from None
        return View(state, "; ".join(filter(None, (_trouble(*one) for one in containers))) or None)

    def _lines(self, group: Group, most: int | None) -> list[Line]:
        query = {"timestamps": "true", **({} if most is None else {"tail": str(most)})}
        try:
            answer = self._get(group, f"{group.id}/containers/{_CONTAINER}/logs", **query)
        except AbsentError as error:
            if error.code == _NO_LOG_YET:
                return []
            raise CliError(
                f"The container group {group.name} of {group.model} is not there ({error}).",
                hint=f"Somebody removed it: `{restoring(self._stack)}` makes it again. If it is there, the login is to "
                "another subscription or tenant: `az account show`.",
            ) from None
        except ManagementError as error:
            raise CliError(f"The log of {group.model} cannot be read: {error}.") from None
        return dated(str(answer.get("content") or ""))

    def _get(self, group: Group, path: str, **query: str) -> dict[str, Any]:
        place = place_of(group.id, self._env, self._root)
        with self._opening:
            api = self._apis.setdefault(place, Management(_API, place))
        return api.get(path, f"the role Reader on {group.id}", **query)


def _trouble(name: str, view: Mapping[str, Any]) -> str | None:
    """What keeps a container from running."""
    now, before = view.get("currentState") or {}, view.get("previousState") or {}
    state = now.get("state")
    if state in {"Running", None}:
        return None
    code = now.get("exitCode", before.get("exitCode"))
    said = [one.get("message") for one in view.get("events") or [] if one.get("type") == "Warning"]
    parts = [
        f"{name} is {str(state).lower()}",
        now.get("detailStatus") or before.get("detailStatus"),
        f"exit code {code}" if code is not None else None,
        *said[-1:],
    ]
    return ", ".join(str(part) for part in parts if part)


def log_sources(pulumi: Pulumi) -> list[LogSource]:
    """Return the logs of a stack's models on Container Instances."""
    asked = Groups(pulumi)
    return [LogSource(one.model, one.name, partial(asked.log, one)) for one in groups(pulumi.outputs())]


def with_views(pulumi: Pulumi, outputs: Mapping[str, Any] | None, placements: list[Placement]) -> list[Placement]:
    """Add why groups do not answer, as far as Azure sees it.

    Args:
        pulumi: The stack.
        outputs: Its outputs.
        placements: What it has deployed, asked for their states.

    Raises:
        CliError: Azure does not tell.
    """
    made, asked = {one.name: one for one in groups(outputs)}, Groups(pulumi)

    def beside(placement: Placement) -> Placement:
        if placement.state != UNREACHABLE or placement.group not in made:
            return placement
        view = asked.view(made[placement.group])
        state = MISSING if view.state == MISSING else STOPPED if view.is_over else placement.state
        return replace(placement, state=state, error=view.trouble)

    return [beside(one) for one in placements]
