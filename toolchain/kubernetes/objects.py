"""What a cluster needs inside: rights of its parts, the resource metrics, and a class of storage."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolchain.kubernetes.certificates import KUBELET_CLIENT, PARTS
from toolchain.kubernetes.layout import ADDRESS

if TYPE_CHECKING:
    from toolchain.kubernetes.layout import Layout

RIGHTS = "rbac.authorization.k8s.io"
READ = ["get", "list", "watch"]


def objects(layout: Layout) -> dict[str, Any]:
    """Return them as one list, to be applied with all rights."""
    metrics = PARTS["metrics-server"]
    authority = base64.b64encode(Path(layout.certificate("ca")).read_bytes()).decode()
    items = [
        _granted("slipway:kubelet-api", "system:kubelet-api-admin", KUBELET_CLIENT),
        _role(
            "slipway:metrics-server",
            [([""], ["nodes/metrics"], ["get"]), ([""], ["pods", "nodes"], READ)],
        ),
        _granted("slipway:metrics-server", "slipway:metrics-server", metrics),
        _granted("slipway:metrics-server-delegator", "system:auth-delegator", metrics),
        {
            "apiVersion": f"{RIGHTS}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "slipway:metrics-server-reader", "namespace": "kube-system"},
            "roleRef": {"apiGroup": RIGHTS, "kind": "Role", "name": "extension-apiserver-authentication-reader"},
            "subjects": [{"apiGroup": RIGHTS, "kind": "User", "name": metrics}],
        },
        _role(
            "slipway:dns",
            [
                ([""], ["endpoints", "services", "pods", "namespaces"], READ),
                (["discovery.k8s.io"], ["endpointslices"], READ),
            ],
        ),
        _granted("slipway:dns", "slipway:dns", PARTS["dns"]),
        _role(
            "slipway:policies",
            [([""], ["pods", "namespaces"], READ), (["networking.k8s.io"], ["networkpolicies"], READ)],
        ),
        _granted("slipway:policies", "slipway:policies", PARTS["policies"]),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "metrics-server", "namespace": "kube-system"},
            "spec": {"ports": [{"name": "https", "port": 443, "targetPort": 4443}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "metrics-server",
                "namespace": "kube-system",
                "labels": {"kubernetes.io/service-name": "metrics-server"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": 4443}],
            "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": authority,
                "service": {"name": "metrics-server", "namespace": "kube-system", "port": 443},
            },
        },
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": "standard",
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": "kubernetes.io/host-path",
        },
    ]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _role(name: str, rules: list[tuple[list[str], list[str], list[str]]]) -> dict[str, Any]:
    return {
        "apiVersion": f"{RIGHTS}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [{"apiGroups": groups, "resources": resources, "verbs": verbs} for groups, resources, verbs in rules],
    }


def _granted(name: str, role: str, user: str) -> dict[str, Any]:
    return {
        "apiVersion": f"{RIGHTS}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RIGHTS, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RIGHTS, "kind": "User", "name": user}],
    }
