"""Pods of Kubernetes, in whatever makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from policies.rules.containers import Container, capabilities
from policies.rules.rule import UNKNOWN, at, items, mapping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.rules.rule import Resource

_TEMPLATE = ("spec", "template")
_TEMPLATES = {
    "kubernetes:Pod": (),
    "kubernetes:PodTemplate": ("template",),
    "kubernetes:CronJob": ("spec", "jobTemplate", "spec", "template"),
    **{
        f"kubernetes:{kind}": _TEMPLATE
        for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job")
    },
}


def template(resource: Resource) -> Any:
    """Return the template of a resource's pods; None where it makes none."""
    path = _TEMPLATES.get(resource.kind)
    return None if path is None else at(resource.body, *path)


def containers(resource: Resource) -> Iterator[Container]:
    """Return a resource's containers."""
    pod = at(template(resource), "spec")
    host = [f"{name}: true" for name in ("hostNetwork", "hostPID", "hostIPC") if at(pod, name) is True]
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for one in items(at(pod, kind)):
            yield Container(
                f"container {at(one, 'name')}",
                image=at(one, "image"),
                missing=tuple(_missing(at(one, "resources"))),
                excess=(*host, *_excess(at(one, "securityContext"), at(pod, "securityContext"))),
                variables={
                    str(at(env, "name")): at(env, "value") for env in items(at(one, "env")) if env is not UNKNOWN
                },
            )


def _missing(resources: Any) -> Iterator[str]:
    if resources is UNKNOWN:
        return
    if not at(resources, "limits", "memory"):
        yield "resources.limits.memory"
    # A pod that asks for processors has its share of them; one that is over it is slowed down, and harms nobody.
    if not (at(resources, "limits", "cpu") or at(resources, "requests", "cpu")):
        yield "resources.limits.cpu"


def _excess(own: Any, pods: Any) -> Iterator[str]:
    user, is_not_root = (
        at(own, name) if at(own, name) is not None else at(pods, name) for name in ("runAsUser", "runAsNonRoot")
    )
    if user == 0:
        yield "securityContext.runAsUser: 0"
    elif user is None and is_not_root is not True and is_not_root is not UNKNOWN:
        yield "no securityContext.runAsNonRoot: true"
    if at(own, "privileged") is True:
        yield "securityContext.privileged: true"
    yield from capabilities(items(at(own, "capabilities", "add")), "securityContext.capabilities.add")


def labels(resource: Resource) -> dict[str, Any]:
    """Return the labels of a resource's pods."""
    return mapping(at(template(resource), "metadata", "labels"))


def namespace(resource: Resource) -> Any:
    """Return the namespace that an object is in."""
    return at(resource.body, "metadata", "namespace") or "default"
