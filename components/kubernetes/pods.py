"""A model's pods: what runs in them, with what, and where; nothing more than they need."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pulumi_kubernetes import core, meta

from components.dockerfile import PORT, USER

if TYPE_CHECKING:
    import pulumi

    from components.kubernetes.place import Place
    from manifest import AksTarget
    from manifest.kubernetes import KubernetesSettings

KEYS_DIR = "/etc/slipway/keys"
CONTAINER = "model"
# Proxies and load balancers go on for so long with a pod that is about to end; until then it answers.
_LEAVE_SECONDS = 10
# The runtime finishes what it accepted, for 20 s.
_GRACE_SECONDS = _LEAVE_SECONDS + 25
_PROBE_SECONDS = 5
# For what the runtime and libraries write to /tmp.
_TMP = "256Mi"
_GPU = "nvidia.com/gpu"
_SPOT = "kubernetes.azure.com/scalesetpriority"
_ZONE, _HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"


@dataclass(frozen=True)
class Contents:
    """What a pod is given.

    Attributes:
        image: The image by its digest.
        version: The model's version in it.
        plain: Environment variables that anybody may read.
        secret: The Secret with further ones, and their names; None without any.
        keys: The Secret with the service's keys; None without any.
        account: The ServiceAccount.
        has_identity: Whether Azure's workload identity gives it a token of that account.
    """

    image: pulumi.Input[str]
    version: pulumi.Input[str]
    plain: dict[str, pulumi.Input[str]]
    account: pulumi.Input[str]
    secret: pulumi.Input[str] | None = None
    secret_names: tuple[str, ...] = field(default=())
    keys: str | None = None
    has_identity: bool = False


def template(
    place: Place, target: AksTarget, contents: Contents, settings: KubernetesSettings
) -> core.v1.PodTemplateSpecArgs:
    """Return the template of a model's pods.

    Args:
        place: Where they are.
        target: What the manifest asks for.
        contents: What they are given.
        settings: What holds for all models.
    """
    identity = {"azure.workload.identity/use": "true"} if contents.has_identity else {}
    volumes = [core.v1.VolumeArgs(name="tmp", empty_dir=core.v1.EmptyDirVolumeSourceArgs(size_limit=_TMP))]
    if contents.keys:
        secret = core.v1.SecretVolumeSourceArgs(secret_name=contents.keys, default_mode=0o440)
        volumes.append(core.v1.VolumeArgs(name="keys", secret=secret))
    return core.v1.PodTemplateSpecArgs(
        metadata=meta.v1.ObjectMetaArgs(
            labels={**place.labels, **place.own, "app.kubernetes.io/version": contents.version, **identity},
            annotations={"kubectl.kubernetes.io/default-container": CONTAINER},
        ),
        spec=core.v1.PodSpecArgs(
            service_account_name=contents.account,
            automount_service_account_token=False,
            enable_service_links=False,
            security_context=core.v1.PodSecurityContextArgs(
                run_as_non_root=True,
                run_as_user=int(USER),
                run_as_group=int(USER),
                fs_group=int(USER),
                seccomp_profile=core.v1.SeccompProfileArgs(type="RuntimeDefault"),
            ),
            containers=[_container(target, contents)],
            volumes=volumes,
            termination_grace_period_seconds=_GRACE_SECONDS,
            node_selector=dict(settings.node_selector) or None,
            tolerations=_tolerations(target) or None,
            affinity=_on_spot() if target.spot else None,
            topology_spread_constraints=_spread(place) if target.spread else None,
            image_pull_secrets=[core.v1.LocalObjectReferenceArgs(name=settings.pull_secret)]
            if settings.pull_secret
            else None,
        ),
    )


def _container(target: AksTarget, contents: Contents) -> core.v1.ContainerArgs:
    gpu = {_GPU: str(target.gpu)} if target.gpu else {}
    mounts = [core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp")]  # noqa: S108 - the container's own
    if contents.keys:
        mounts.append(core.v1.VolumeMountArgs(name="keys", mount_path=KEYS_DIR, read_only=True))
    return core.v1.ContainerArgs(
        name=CONTAINER,
        image=contents.image,
        image_pull_policy="IfNotPresent",
        ports=[core.v1.ContainerPortArgs(name="http", container_port=PORT, protocol="TCP")],
        env=[
            *(core.v1.EnvVarArgs(name=name, value=value) for name, value in sorted(contents.plain.items())),
            *(
                core.v1.EnvVarArgs(
                    name=name,
                    value_from=core.v1.EnvVarSourceArgs(
                        secret_key_ref=core.v1.SecretKeySelectorArgs(name=contents.secret, key=name)
                    ),
                )
                for name in contents.secret_names
            ),
        ],
        resources=core.v1.ResourceRequirementsArgs(
            requests={"cpu": _cpu(target.cpu), "memory": target.memory, "ephemeral-storage": _TMP, **gpu},
            # Of processors twice as many, for starts and bursts; of memory no more than nodes have set aside.
            limits={"cpu": _cpu(2 * target.cpu), "memory": target.memory, "ephemeral-storage": "1Gi", **gpu},
        ),
        # Long for the start alone: what answered once and then hangs is found soon.
        startup_probe=_probe("/ready", period=1, failures=target.startup_seconds),
        readiness_probe=_probe("/ready", period=_PROBE_SECONDS, failures=2),
        liveness_probe=_probe("/live", period=10, failures=6),
        lifecycle=core.v1.LifecycleArgs(
            pre_stop=core.v1.LifecycleHandlerArgs(sleep=core.v1.SleepActionArgs(seconds=_LEAVE_SECONDS))
        ),
        security_context=core.v1.SecurityContextArgs(
            allow_privilege_escalation=False,
            privileged=False,
            read_only_root_filesystem=True,
            capabilities=core.v1.CapabilitiesArgs(drop=["ALL"]),
        ),
        # The log's end, where a container wrote no reason of its own.
        termination_message_policy="FallbackToLogsOnError",
        volume_mounts=mounts,
    )


def _cpu(number: float) -> str:
    """As Kubernetes itself writes it, so that nothing differs when it is read back."""
    thousandths = round(number * 1000)
    return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)


def _probe(path: str, *, period: int, failures: int) -> core.v1.ProbeArgs:
    return core.v1.ProbeArgs(
        http_get=core.v1.HTTPGetActionArgs(path=path, port="http", scheme="HTTP"),
        period_seconds=period,
        timeout_seconds=_PROBE_SECONDS,
        failure_threshold=failures,
        success_threshold=1,
    )


def _tolerations(target: AksTarget) -> list[core.v1.TolerationArgs]:
    found = []
    if target.gpu:
        found.append(core.v1.TolerationArgs(key=_GPU, operator="Exists", effect="NoSchedule"))
    if target.spot:
        found.append(core.v1.TolerationArgs(key=_SPOT, operator="Equal", value="spot", effect="NoSchedule"))
    return found


def _on_spot() -> core.v1.AffinityArgs:
    """Where there are such nodes, rather there."""
    spot = core.v1.NodeSelectorRequirementArgs(key=_SPOT, operator="In", values=["spot"])
    return core.v1.AffinityArgs(
        node_affinity=core.v1.NodeAffinityArgs(
            preferred_during_scheduling_ignored_during_execution=[
                core.v1.PreferredSchedulingTermArgs(
                    weight=100, preference=core.v1.NodeSelectorTermArgs(match_expressions=[spot])
                )
            ]
        )
    )


def _spread(place: Place) -> list[core.v1.TopologySpreadConstraintArgs]:
    """Over zones, then nodes, as far as there are any: a pod that nothing else keeps from running runs."""
    return [
        core.v1.TopologySpreadConstraintArgs(
            max_skew=1,
            topology_key=key,
            when_unsatisfiable="ScheduleAnyway",
            label_selector=meta.v1.LabelSelectorArgs(match_labels=place.selector),
            # The pods of a new version by themselves: old ones are about to go.
            match_label_keys=["pod-template-hash"],
        )
        for key in (_ZONE, _HOST)
    ]
