"""Containers on Azure: Container Instances, and tasks of Batch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from policies.rules.containers import Container, capabilities
from policies.rules.rule import UNKNOWN, at, items

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.rules.rule import Resource

GROUP, POOL, SCHEDULE = (
    "azure-native:containerinstance:ContainerGroup",
    "azure-native:batch:Pool",
    "slipway:BatchJobSchedule",
)
# Of `docker run`, which Batch passes on.
_RUN = re.compile(r"--privileged\b(?!=false)|--(?:net|network|pid|ipc)[= ]host\b|(?:--user|-u)[= ](?:0|root)\b")


def containers(resource: Resource) -> Iterator[Container]:
    """Return a resource's containers."""
    body = resource.body
    if resource.kind == GROUP:
        for one in items(at(body, "initContainers")):
            yield Container(_name(one), image=at(one, "image"), excess=tuple(_excess(one)))
        for one in items(at(body, "containers")):
            yield Container(
                _name(one),
                image=at(one, "image"),
                missing=tuple(_missing(at(one, "resources"))),
                excess=tuple(_excess(one)),
                variables={
                    str(at(env, "name")): at(env, "value")
                    for env in items(at(one, "environmentVariables"))
                    if env is not UNKNOWN
                },
            )
    elif resource.kind == POOL:
        machine = at(body, "deploymentConfiguration", "virtualMachineConfiguration")
        for image in items(at(machine, "containerConfiguration", "containerImageNames")):
            yield Container("an image of its nodes", image=image)
        start = at(body, "startTask")
        options = str(at(start, "containerSettings", "containerRunOptions") or "")
        is_admin = at(start, "userIdentity", "autoUser", "elevationLevel") == "Admin"
        excess = [f"containerRunOptions: {one[0]}" for one in _RUN.finditer(options)]
        yield Container(
            "the start task",
            image=at(start, "containerSettings", "imageName"),
            excess=(*excess, *(["userIdentity.autoUser.elevationLevel: Admin"] if is_admin else [])),
        )
    elif resource.kind == SCHEDULE:
        yield Container("the task", image=at(body, "image"))


def _name(container: Any) -> str:
    return f"container {at(container, 'name')}"


def _missing(resources: Any) -> Iterator[str]:
    """What is asked for is a limit as well: the group gets no more than the sum."""
    for name in ("memoryInGB", "cpu"):
        if not (at(resources, "requests", name) or at(resources, "limits", name)):
            yield f"resources.limits.{name}"


def _excess(container: Any) -> Iterator[str]:
    context = at(container, "securityContext")
    if at(context, "privileged") is True:
        yield "securityContext.privileged: true"
    if at(context, "runAsUser") == 0:
        yield "securityContext.runAsUser: 0"
    yield from capabilities(items(at(context, "capabilities", "add")), "securityContext.capabilities.add")
