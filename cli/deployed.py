"""What a stack has deployed and how it is: the stack's outputs, joined with what runs."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cli.containers import Engine
from cli.errors import CliError
from cli.keys import Keys
from cli.project import short_name
from cli.service import statuses
from cli.states import IDLE, MISSING, READY, RUNNING, STOPPED, TAKEN_BACK, UNKNOWN, UNREACHABLE, UPDATING, is_good

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from cli.containers import Running
    from cli.edge import DeviceState
    from cli.pulumi import Pulumi

LOCAL_DOCKER = "local-docker"
BATCH = "batch"
AKS = "aks"
# What runs batch jobs on this machine, among `engine`.
LOCAL = "local"
# States of Docker in which nothing runs.
_STOPPED = ("created", "exited", "dead")
# In these, nothing is wrong with the pods of the version that serves.
_SERVES = {READY, UPDATING}


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


@dataclass(frozen=True)
class Overview:
    """All that a stack has deployed.

    Attributes:
        placements: By model, then target.
        note: What could not be found out.
    """

    placements: tuple[Placement, ...]
    note: str | None = None


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


def overview(pulumi: Pulumi, keys: Keys | None = None) -> Overview:
    """Find out what the stack has deployed, and how that is.

    Args:
        pulumi: The stack.
        keys: Its models' keys, where the command needs them elsewhere too.

    Raises:
        CliError: The stack's outputs cannot be read.
    """
    with ThreadPoolExecutor(1) as pool:
        outputs = pool.submit(pulumi.outputs)
        notes = []
        try:
            engine = Engine(pulumi.env)
            running = engine.containers(pulumi.project.name, pulumi.stack)
            busy = engine.busy_with_jobs(f"{pulumi.project.name}/{short_name(pulumi.stack)}")
        except CliError as error:
            running, busy = None, set()
            notes.append(str(error))
        placements = recorded(outputs.result())
    if running is not None:
        placements = _joined(placements, running)
    placements = [_with_jobs(one, busy) if one.target == BATCH else one for one in placements]
    if any(one.deployment for one in placements):
        placements = _on_devices(pulumi, placements, notes)
    if any(one.workload for one in placements):
        try:
            placements = _on_cluster(pulumi, placements)
        except CliError as error:
            notes.append(str(error))
    asked = [one for one in placements if one.endpoint and one.state == UNKNOWN]
    shown: dict[str, str] = {}
    try:
        shown = (keys or Keys(pulumi)).by_endpoint(asked)
    except CliError as error:
        # Whether a service answers at all shows without a key, too.
        notes.append(f"{error}\nServices that want a key are asked without one.")
    told = asyncio.run(statuses([one.endpoint or "" for one in asked], shown))
    placements = [_asked(one, told) for one in placements]
    if any(one.group and one.state == UNREACHABLE for one in placements):
        placements = _in_groups(pulumi, outputs.result(), placements, notes)
    return Overview(tuple(placements), "\n".join(notes) or None)


def noting_containers(pulumi: Pulumi, placements: list[Placement]) -> list[Placement]:
    """Return placements, with their state where they are on this machine and not there: another stack may answer.

    Args:
        pulumi: The stack.
        placements: Any, as they are recorded.
    """
    if not any(one.container for one in placements):
        return placements
    try:
        found = {one.name: one for one in Engine(pulumi.env).containers(pulumi.project.name, pulumi.stack)}
    except CliError:
        # Who reaches a model need not reach its engine.
        return placements
    return [_beside(one, found.get(one.container)) if one.container else one for one in placements]


def _joined(placements: Iterable[Placement], running: Iterable[Running]) -> list[Placement]:
    """Add what Docker knows: what a deployment that failed half-way started is in no output."""
    containers = {container.name: container for container in running}
    joined = [_beside(one, containers.pop(one.container, None)) if one.container else one for one in placements]
    joined += [
        _beside(Placement(one.model, one.version, LOCAL_DOCKER, endpoint=one.endpoint, container=one.name), one)
        for one in containers.values()
    ]
    return sorted(joined, key=lambda one: (one.model, one.target))


def _on_devices(pulumi: Pulumi, placements: list[Placement], notes: list[str]) -> list[Placement]:
    """Add how devices are, of which only their hub knows."""
    from cli.edge import hub_of, with_devices  # noqa: PLC0415 - only stacks with devices need it

    try:
        return with_devices(placements, hub_of(pulumi))
    except CliError as error:
        notes.append(f"How the devices are could not be found out: {error}")
        return placements


def _in_groups(
    pulumi: Pulumi, outputs: Mapping[str, Any] | None, placements: list[Placement], notes: list[str]
) -> list[Placement]:
    """Add what Azure sees of groups that do not answer."""
    from cli.groups import with_views  # noqa: PLC0415 - only where one does not

    try:
        return with_views(pulumi, outputs, placements)
    except CliError as error:
        notes.append(str(error))
        return placements


def _on_cluster(pulumi: Pulumi, placements: list[Placement]) -> list[Placement]:
    """Add what the cluster knows of Deployments: callers of a service inside it are not here."""
    from cli.cluster import Cluster  # noqa: PLC0415 - only stacks on Kubernetes need it
    from cli.pods import pods_of, refused, state_of, taken_back, trouble  # noqa: PLC0415 - as above

    cluster = Cluster.of(pulumi, placements)
    deployments = {(one.metadata.namespace, one.metadata.name): one for one in cluster.deployments()}
    states = {place: state_of(one) for place, one in deployments.items()}
    pods = cluster.pods() if not all(map(is_good, states.values())) else []

    def beside(placement: Placement) -> Placement:
        if not placement.workload:
            return placement
        found = deployments.get((placement.namespace, placement.workload))
        if found is None:
            return replace(placement, state=MISSING)
        state = states[placement.namespace, placement.workload]
        canary = placement.canary or {}
        if state in _SERVES and canary.get("phase") == "aborted":
            return replace(placement, state=TAKEN_BACK, error=f"the canary was aborted: {canary.get('reason')}")
        if is_good(state):
            return replace(placement, state=state)
        wrong = next((one.message for pod in pods_of(found, pods) if (one := trouble(pod, cluster))), None)
        return replace(placement, state=state, error=wrong or refused(found) or taken_back(found))

    return [beside(one) for one in placements]


def _with_jobs(placement: Placement, busy: Collection[str]) -> Placement:
    """Add whether jobs run; only this machine tells that at once."""
    if placement.engine != LOCAL:
        return replace(placement, state=READY)
    return replace(placement, state=RUNNING if placement.model in busy else IDLE)


def _beside(placement: Placement, container: Running | None) -> Placement:
    if container is None:
        return replace(placement, state=MISSING)
    if container.state == "running":
        return replace(placement, version=container.version or placement.version)
    return replace(placement, state=STOPPED if container.state in _STOPPED else container.state)


def _asked(placement: Placement, told: Mapping[str, Mapping[str, Any]]) -> Placement:
    if placement.state != UNKNOWN or not placement.endpoint:
        return placement
    status = told.get(placement.endpoint)
    if status is None:
        return replace(placement, state=UNREACHABLE)
    reload = status.get("reload") or {}
    return replace(
        placement,
        state=status["state"],
        error=status.get("error"),
        reload=bool(reload.get("enabled", placement.reload)),
        reload_error=reload.get("error"),
    )
