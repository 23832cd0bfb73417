"""Services of Kubernetes that can be reached from outside lead to pods that ask who it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from policies.rules import kubernetes
from policies.rules.endpoints import ASKING, wrong
from policies.rules.rule import UNKNOWN, JointRule, at, items, mapping

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from policies.rules.rule import Resource

_SERVICE, _INGRESS = "kubernetes:Service", "kubernetes:Ingress"
_ROUTES = ("kubernetes:HTTPRoute", "kubernetes:GRPCRoute", "kubernetes:TCPRoute", "kubernetes:TLSRoute")
# Of each cloud: an address of the virtual network only.
_INTERNAL = {
    "service.beta.kubernetes.io/azure-load-balancer-internal": "true",
    "networking.gke.io/load-balancer-type": "Internal",
    "service.beta.kubernetes.io/aws-load-balancer-scheme": "internal",
}


def _check(resource: Resource, before: Sequence[Resource]) -> Iterator[str]:
    known = [*before, resource]
    services = {
        (kubernetes.namespace(one), at(one.body, "metadata", "name")): one for one in known if one.kind == _SERVICE
    }
    for way in known:
        for how, service in _led(way, services):
            for pods in _behind(service, known):
                # What went together before was told before.
                if any(resource is one for one in (way, service, pods)) and (
                    has := wrong([*kubernetes.containers(pods)])
                ):
                    yield (
                        f"{way.kind} {way.name} {how} to the pods of {pods.name}, which have {has}. "
                        f"Allowed: SLIPWAY_AUTH {' or '.join(ASKING)}. Set `auth: key` or `auth: entra` for the "
                        "model's target in models.yaml, or keep the Service inside (ClusterIP)."
                    )


def _led(way: Resource, services: Mapping[tuple[Any, Any], Resource]) -> Iterator[tuple[str, Resource]]:
    """The Services to which something leads from outside, and how."""
    if way.kind == _SERVICE and (how := _public(way)):
        yield how, way
    elif way.kind == _INGRESS or way.kind in _ROUTES:
        for name in sorted(_backends(way)):
            if service := services.get((kubernetes.namespace(way), name)):
                yield "leads requests from outside", service


def _public(service: Resource) -> str | None:
    """How a Service can be reached from outside; None where it cannot."""
    kind = at(service.body, "spec", "type")
    if kind == "NodePort":
        return "leads a port of every node (NodePort)"
    annotations = mapping(at(service.body, "metadata", "annotations"))
    if kind == "LoadBalancer" and not any(annotations.get(name) == value for name, value in _INTERNAL.items()):
        return "leads an address of its own (LoadBalancer)"
    return None


def _backends(resource: Resource) -> set[str]:
    """The names of the Services that an Ingress or a route leads to."""
    spec = at(resource.body, "spec")
    found = [at(spec, "defaultBackend", "service", "name")]
    for rule in items(at(spec, "rules")):
        found += [at(path, "backend", "service", "name") for path in items(at(rule, "http", "paths"))]
        found += [at(one, "name") for one in items(at(rule, "backendRefs"))]
    return {str(name) for name in found if name is not None and name is not UNKNOWN}


def _behind(service: Resource, known: Sequence[Resource]) -> Iterator[Resource]:
    """What makes the pods that a Service leads to; without a selector it leads to what somebody else writes down."""
    selector = mapping(at(service.body, "spec", "selector"))
    for one in known if selector else ():
        is_near = kubernetes.namespace(one) == kubernetes.namespace(service)
        if kubernetes.template(one) is not None and is_near and selector.items() <= kubernetes.labels(one).items():
            yield one


AUTHENTICATED_SERVICES = JointRule(
    "authenticated-services",
    "Services, Ingresses and routes of Kubernetes lead to pods that ask callers for a key or a token.",
    _check,
)
