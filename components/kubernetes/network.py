"""How a model is reached and whom it reaches: its Service, its way in from outside, and what it may talk to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
from pulumi_kubernetes import apiextensions, core, meta, networking

from components.dockerfile import PORT
from manifest.object_names import dns_label

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.kubernetes.place import Place
    from manifest.kubernetes import GatewaySettings, IngressSettings, KubernetesSettings

SERVICE_PORT = 80
_DNS = 53
# Private, link-local with the cloud's metadata, shared by carriers, and multicast.
_PRIVATE = ["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/4"]
_PRIVATE_6 = ["fc00::/7", "fe80::/10", "ff00::/8"]


def service(place: Place, settings: KubernetesSettings, *, selector: dict[str, str]) -> core.v1.Service:
    """Lead a name, a node's port or an address to the model's pods.

    Args:
        place: Where.
        settings: Which of them.
        selector: The labels of the pods that it leads to.
    """
    internal = settings.internal and settings.service == "LoadBalancer"
    return core.v1.Service(
        place.model,
        metadata=place.metadata(
            annotations={"service.beta.kubernetes.io/azure-load-balancer-internal": "true"} if internal else None
        ),
        spec=core.v1.ServiceSpecArgs(
            type=settings.service,
            selector=selector,
            ports=[core.v1.ServicePortArgs(name="http", port=SERVICE_PORT, target_port="http", protocol="TCP")],
        ),
        opts=place.options(),
    )


def policy(place: Place, egress: str) -> networking.v1.NetworkPolicy:
    """Let requests in at the model's port and at no other, and the model out only as the manifest says.

    Args:
        place: Where.
        egress: `internet`, `any` or `none`.
    """
    tcp = networking.v1.NetworkPolicyPortArgs(port=PORT, protocol="TCP")
    dns = [networking.v1.NetworkPolicyPortArgs(port=_DNS, protocol=protocol) for protocol in ("UDP", "TCP")]
    out = [networking.v1.NetworkPolicyEgressRuleArgs(ports=dns)]
    if egress == "any":
        out = [networking.v1.NetworkPolicyEgressRuleArgs()]
    elif egress == "internet":
        # AzureCNI's and others' NetworkPolicies know no names, so that "outside" is what is not private.
        blocks = (("0.0.0.0/0", _PRIVATE), ("::/0", _PRIVATE_6))
        outside = [
            networking.v1.NetworkPolicyPeerArgs(ip_block=networking.v1.IPBlockArgs(cidr=cidr, except_=but))
            for cidr, but in blocks
        ]
        out.append(networking.v1.NetworkPolicyEgressRuleArgs(to=outside))
    return networking.v1.NetworkPolicy(
        place.model,
        metadata=place.metadata(),
        spec=networking.v1.NetworkPolicySpecArgs(
            pod_selector=meta.v1.LabelSelectorArgs(match_labels=place.selector),
            policy_types=["Ingress", "Egress"],
            ingress=[networking.v1.NetworkPolicyIngressRuleArgs(ports=[tcp])],
            egress=out,
        ),
        opts=place.options(),
    )


def inner_service(place: Place) -> core.v1.Service:
    """Lead a Gateway to the pods of one of two versions.

    Args:
        place: Which.
    """
    name = dns_label(f"{place.name}-{place.track}")
    return core.v1.Service(
        f"{place.model}-{place.track}",
        metadata=place.metadata(name),
        spec=core.v1.ServiceSpecArgs(
            type="ClusterIP",
            selector=place.own,
            ports=[core.v1.ServicePortArgs(name="http", port=SERVICE_PORT, target_port="http", protocol="TCP")],
        ),
        opts=place.options(),
    )


def route(place: Place, host: str, gateway: GatewaySettings, rule: Mapping[str, Any]) -> apiextensions.CustomResource:
    """Lead a host's requests to the model by a Gateway, which has the certificate.

    Args:
        place: Where.
        host: The host.
        gateway: The Gateway.
        rule: To which Services, with which weights.
    """
    return apiextensions.CustomResource(
        place.model,
        api_version="gateway.networking.k8s.io/v1",
        kind="HTTPRoute",
        metadata=place.metadata(),
        spec={
            "parentRefs": [{"name": gateway.name, "namespace": gateway.namespace}],
            "hostnames": [host],
            "rules": [rule],
        },
        opts=place.options(),
    )


def backend(name: pulumi.Input[str], weight: pulumi.Input[int] | None = None) -> dict[str, Any]:
    """Return a Service as routes name it.

    Args:
        name: Its name.
        weight: Its share of the requests.
    """
    return {"name": name, "port": SERVICE_PORT, **({} if weight is None else {"weight": weight})}


def ingress(place: Place, host: str, settings: IngressSettings) -> networking.v1.Ingress:
    """Lead a host's requests to the model by an ingress controller, over TLS.

    Args:
        place: Where.
        host: The host.
        settings: Which controller and which certificate.
    """
    # Controllers differ in what they write to its status; waiting for it hangs with some.
    annotations: dict[str, Any] = {"pulumi.com/skipAwait": "true"}
    if settings.issuer:
        annotations["cert-manager.io/cluster-issuer"] = settings.issuer
    backend = networking.v1.IngressBackendArgs(
        service=networking.v1.IngressServiceBackendArgs(
            name=place.name, port=networking.v1.ServiceBackendPortArgs(name="http")
        )
    )
    return networking.v1.Ingress(
        place.model,
        metadata=place.metadata(annotations=annotations),
        spec=networking.v1.IngressSpecArgs(
            ingress_class_name=settings.class_name,
            tls=[networking.v1.IngressTLSArgs(hosts=[host], secret_name=settings.tls_secret or f"{place.name}-tls")],
            rules=[
                networking.v1.IngressRuleArgs(
                    host=host,
                    http=networking.v1.HTTPIngressRuleValueArgs(
                        paths=[networking.v1.HTTPIngressPathArgs(path="/", path_type="Prefix", backend=backend)]
                    ),
                )
            ],
        ),
        opts=place.options(),
    )


def endpoint(found: core.v1.Service, place: Place, settings: KubernetesSettings, node: str) -> pulumi.Output[str]:
    """Return where the Service answers.

    Args:
        found: The Service.
        place: Where it is.
        settings: Of which type it is.
        node: The node that stands for all, with NodePort.
    """
    if settings.service == "NodePort":
        return found.spec.apply(lambda spec: f"http://{_bracketed(node)}:{(spec.ports or [])[0].node_port}")
    if settings.service == "LoadBalancer":
        return found.status.apply(_balanced)
    return pulumi.Output.from_input(f"http://{place.name}.{place.namespace.name}.svc.cluster.local")


def _balanced(status: Any) -> str:
    balancer = status.load_balancer if status else None
    first = balancer.ingress[0] if balancer and balancer.ingress else None
    host = (first.ip or first.hostname) if first else None
    return f"http://{_bracketed(host)}" if host else ""


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
