"""One model on one target, as the stack recorded it, and what is found out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.placements.states import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCAL_DOCKER = "local-docker"
BATCH = "batch"
AKS = "aks"
# What runs batch jobs on this machine, among `engine`.
LOCAL = "local"


@dataclass(frozen=True)
class DeviceState:
    """A model on one device.

    Attributes:
        device: The device's id.
        state: `ready`, or another word of the module's own; `failed`; `waiting` for the hub, which has not given it
            the deployment yet; `rolling`, while the device has it and does not run it yet, or it has not told yet.
        error: Why it failed.
    """

    device: str
    state: str
    error: str | None = None


@dataclass(frozen=True)
class Placement:
    """One model on one target.

    Attributes:
        model: The model's name.
        version: Its version there.
        target: The kind of target.
        endpoint: Where it answers, if it does.
        image: The image with its digest, as the stack recorded it.
        container: The container's name, for targets on this machine.
        group: The container group's name, for targets that have one.
        namespace: The Kubernetes namespace, for targets that have one.
        workload: The Deployment's name there.
        engine: What runs its jobs, for batch targets: local, azure, kubernetes.
        canary: How far this version has come beside the one before; None where it is alone.
        auth: What callers have to show: `key`, `none`; None where the target leaves that to the model.
        deployment: The deployment's id in an IoT hub, for targets on devices.
        condition: Which devices it is for.
        module: The module's name there.
        device: The one device that it is for, where it is for one.
        address: What the endpoint's name has to lead to, where that is a name of the user's own.
        devices: How each of them is.
        reload: Whether edits of its script are taken over at once.
        state: The service's own word, or `stopped`, `missing`, `unreachable`, `unknown` and what else Docker says.
        error: Why it does not serve.
        reload_error: Why the latest edit was not taken over.
    """

    model: str
    version: str
    target: str
    endpoint: str | None = None
    image: str | None = None
    container: str | None = None
    group: str | None = None
    namespace: str | None = None
    workload: str | None = None
    engine: str | None = None
    canary: Mapping[str, Any] | None = None
    auth: str | None = None
    deployment: str | None = None
    condition: str | None = None
    module: str | None = None
    device: str | None = None
    address: str | None = None
    devices: tuple[DeviceState, ...] = ()
    reload: bool = False
    state: str = UNKNOWN
    error: str | None = None
    reload_error: str | None = None


def recorded(outputs: Mapping[str, Any] | None) -> list[Placement]:
    """Return what the stack's outputs tell, without looking whether it runs.

    Args:
        outputs: The stack's outputs; None when there is no stack.
    """
    models = (outputs or {}).get("models") or {}
    return [
        Placement(
            model=name,
            version=str(model.get("version", "")),
            target=kind,
            endpoint=target.get("endpoint"),
            address=target.get("address"),
            image=model.get("image"),
            container=target.get("container"),
            group=target.get("group"),
            namespace=target.get("namespace") if kind == AKS else None,
            workload=target.get("deployment") if kind == AKS else None,
            engine=target.get("engine") if kind == BATCH else None,
            canary=target.get("canary"),
            auth=target.get("auth"),
            deployment=target.get("deployment") if kind != AKS else None,
            condition=target.get("condition"),
            module=target.get("module"),
            device=target.get("device"),
            reload=bool(target.get("reload")),
        )
        for name, model in sorted(models.items())
        for kind, target in sorted((model.get("targets") or {}).items())
    ]
