"""The cluster's processes, in the order in which they start: each program with its arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolchain.kubernetes.certificates import FRONT_PROXY, KUBELET_CLIENT
from toolchain.kubernetes.layout import ADDRESS, NETWORK, NODES, POLICY_QUEUE, SERVICES

if TYPE_CHECKING:
    from toolchain.kubernetes.layout import Layout, Node

ETCD = f"https://{ADDRESS}:2379"
PEER = f"https://{ADDRESS}:2380"


@dataclass(frozen=True)
class Part:
    """One process of the cluster."""

    name: str
    command: tuple[str, ...]

    @property
    def daemon(self) -> str:
        """Its name among the services of the toolchain."""
        return f"kubernetes-{self.name}"


def parts(layout: Layout, etcd: str, containerd: str) -> tuple[Part, ...]:
    """Return all of them.

    Args:
        layout: Where things are.
        etcd: The system's etcd.
        containerd: The system's containerd.
    """
    found = [_etcd(layout, etcd), _api_server(layout), _controllers(layout), _scheduler(layout)]
    for node in NODES:
        settings = layout.settings(f"containerd-{node.name}.toml")
        found.append(Part(f"containerd-{node.name}", (containerd, "--config", str(settings))))
        found.append(_kubelet(layout, node))
    found.append(Part("proxy", (layout.tool("kube-proxy"), f"--config={layout.settings('proxy.json')}")))
    found.append(Part("dns", (layout.tool("dns"), "-conf", str(layout.settings("Corefile")))))
    found.append(_metrics(layout))
    found.append(_policies(layout))
    return tuple(found)


def _etcd(layout: Layout, program: str) -> Part:
    return Part(
        "etcd",
        (
            program,
            f"--data-dir={layout.folder / 'etcd'}",
            f"--listen-client-urls={ETCD}",
            f"--advertise-client-urls={ETCD}",
            f"--listen-peer-urls={PEER}",
            f"--initial-advertise-peer-urls={PEER}",
            f"--initial-cluster=default={PEER}",
            f"--cert-file={layout.certificate('etcd')}",
            f"--key-file={layout.key('etcd')}",
            f"--trusted-ca-file={layout.certificate('ca')}",
            "--client-cert-auth",
            f"--peer-cert-file={layout.certificate('etcd')}",
            f"--peer-key-file={layout.key('etcd')}",
            f"--peer-trusted-ca-file={layout.certificate('ca')}",
            "--peer-client-cert-auth",
            # What is lost with the machine's power can be deployed again.
            "--unsafe-no-fsync",
        ),
    )


def _api_server(layout: Layout) -> Part:
    return Part(
        "apiserver",
        (
            layout.tool("kube-apiserver"),
            f"--bind-address={ADDRESS}",
            f"--advertise-address={ADDRESS}",
            f"--etcd-servers={ETCD}",
            f"--etcd-cafile={layout.certificate('ca')}",
            f"--etcd-certfile={layout.certificate('apiserver')}",
            f"--etcd-keyfile={layout.key('apiserver')}",
            f"--tls-cert-file={layout.certificate('apiserver')}",
            f"--tls-private-key-file={layout.key('apiserver')}",
            f"--client-ca-file={layout.certificate('ca')}",
            f"--kubelet-certificate-authority={layout.certificate('ca')}",
            f"--kubelet-client-certificate={layout.certificate(KUBELET_CLIENT)}",
            f"--kubelet-client-key={layout.key(KUBELET_CLIENT)}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--requestheader-client-ca-file={layout.certificate('ca')}",
            f"--requestheader-allowed-names={FRONT_PROXY}",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={layout.certificate(FRONT_PROXY)}",
            f"--proxy-client-key-file={layout.key(FRONT_PROXY)}",
            "--enable-aggregator-routing=true",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={layout.certificate('service-accounts')}",
            f"--service-account-signing-key-file={layout.key('service-accounts')}",
            f"--service-cluster-ip-range={SERVICES}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--profiling=false",
        ),
    )


def _controllers(layout: Layout) -> Part:
    return Part(
        "controller-manager",
        (
            layout.tool("kube-controller-manager"),
            *_as_client(layout, "controller-manager"),
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={layout.key('service-accounts')}",
            f"--root-ca-file={layout.certificate('ca')}",
            "--enable-hostpath-provisioner=true",
            # Clusters wait minutes before they believe a new pod's load; whoever tries this one out should not.
            "--horizontal-pod-autoscaler-sync-period=5s",
            "--horizontal-pod-autoscaler-cpu-initialization-period=10s",
            "--horizontal-pod-autoscaler-initial-readiness-delay=5s",
            # And minutes before pods that are needed no longer go.
            "--horizontal-pod-autoscaler-downscale-stabilization=15s",
        ),
    )


def _scheduler(layout: Layout) -> Part:
    return Part("scheduler", (layout.tool("kube-scheduler"), *_as_client(layout, "scheduler")))


def _as_client(layout: Layout, name: str) -> tuple[str, ...]:
    access = layout.access(name)
    return (
        f"--kubeconfig={access}",
        f"--authentication-kubeconfig={access}",
        f"--authorization-kubeconfig={access}",
        f"--bind-address={ADDRESS}",
        f"--tls-cert-file={layout.certificate('apiserver')}",
        f"--tls-private-key-file={layout.key('apiserver')}",
        "--leader-elect=false",
        "--profiling=false",
    )


def _kubelet(layout: Layout, node: Node) -> Part:
    return Part(
        f"kubelet-{node.name}",
        (
            layout.tool("kubelet"),
            f"--config={layout.settings(f'kubelet-{node.name}.json')}",
            f"--kubeconfig={layout.access(f'kubelet-{node.name}')}",
            f"--hostname-override={node.name}",
            f"--node-ip={node.address}",
            f"--node-labels=topology.kubernetes.io/region=local,topology.kubernetes.io/zone={node.zone}",
            f"--root-dir={layout.of(node) / 'kubelet'}",
            f"--cert-dir={layout.of(node) / 'kubelet' / 'pki'}",
        ),
    )


def _metrics(layout: Layout) -> Part:
    access = layout.access("metrics-server")
    return Part(
        "metrics-server",
        (
            layout.tool("metrics-server"),
            f"--kubeconfig={access}",
            f"--authentication-kubeconfig={access}",
            f"--authorization-kubeconfig={access}",
            f"--bind-address={ADDRESS}",
            "--secure-port=4443",
            f"--tls-cert-file={layout.certificate('metrics-server')}",
            f"--tls-private-key-file={layout.key('metrics-server')}",
            f"--kubelet-certificate-authority={layout.certificate('ca')}",
            "--kubelet-preferred-address-types=InternalIP",
            "--metric-resolution=10s",
            "--kubelet-request-timeout=5s",
        ),
    )


def _policies(layout: Layout) -> Part:
    program, access = layout.tool("policies"), layout.access("policies")
    return Part("policies", (program, f"--kubeconfig={access}", f"--queue={POLICY_QUEUE}"))


def without_proxy(environ: dict[str, str]) -> dict[str, str]:
    """Return an environment in which the cluster's own addresses are not looked for behind a proxy."""
    own = ["127.0.0.1", "localhost", NETWORK, ".svc", ".cluster.local"]
    given = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    value = ",".join([*filter(None, given.split(",")), *own])
    return {**environ, "NO_PROXY": value, "no_proxy": value}
