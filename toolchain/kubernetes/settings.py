"""The settings of the cluster's parts: pure text, one function for each."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from toolchain.kubernetes.layout import ADDRESS, DOMAIN, NODES, PODS, SERVER, cni_programs

if TYPE_CHECKING:
    from pathlib import Path

    from toolchain.kubernetes.layout import Layout, Node


def containerd(layout: Layout, node: Node, runc: str, pause: str) -> str:
    """Return the settings of a node's containerd.

    Args:
        layout: Where things are.
        node: Whose it is.
        runc: The program that runs containers; containerd does not look in all of PATH.
        pause: The image that holds a pod's namespaces.
    """
    own = layout.of(node)
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    # Without restrict_oom_score_adj no pod starts where this process may not lower its own score.
    return f"""version = 2
root = {json.dumps(str(own / "images"))}
state = {json.dumps(str(own / "containerd"))}
[grpc]
address = {json.dumps(str(layout.socket(node)))}
[plugins."io.containerd.internal.v1.opt"]
path = {json.dumps(str(own / "opt"))}
[{cri}]
sandbox_image = {json.dumps(pause)}
restrict_oom_score_adj = true
[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[{cri}.containerd.runtimes.runc.options]
BinaryName = {json.dumps(runc)}
SystemdCgroup = false
[{cri}.cni]
bin_dir = {json.dumps(str(cni_programs()))}
conf_dir = {json.dumps(str(own / "network"))}
[{cri}.registry]
config_path = {json.dumps(str(layout.folder / "registries"))}
"""


def registry(address: str) -> str:
    """Return how the nodes reach the local registry: "localhost" may be ::1 first, where it does not listen."""
    server = json.dumps(f"http://{address.replace('localhost', '127.0.0.1')}")
    return f'server = {server}\n[host.{server}]\ncapabilities = ["pull", "resolve"]\n'


def network(layout: Layout, node: Node) -> str:
    """Return how a node's pods are connected: each by a link of its own to this machine, which routes between them."""
    addresses = {"type": "host-local", "ranges": [[{"subnet": node.pods}]], "dataDir": str(layout.of(node) / "leases")}
    return json.dumps(
        {
            "cniVersion": "0.4.0",
            "name": f"slipway-{node.name}",
            "plugins": [
                {
                    "type": "ptp",
                    "ipMasq": True,
                    "ipam": {**addresses, "routes": [{"dst": "0.0.0.0/0"}]},
                },
                {"type": "portmap", "capabilities": {"portMappings": True}},
                # Docker drops all that is forwarded and not its own.
                {"type": "firewall", "backend": "iptables"},
            ],
        },
        indent=2,
    )


def kubelet(layout: Layout, node: Node) -> str:
    """Return the settings of a node's kubelet."""
    own = layout.of(node)
    return json.dumps(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": node.address,
            "healthzBindAddress": node.address,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": layout.certificate("ca")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": layout.certificate(f"kubelet-{node.name}"),
            "tlsPrivateKeyFile": layout.key(f"kubelet-{node.name}"),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": node.cgroup,
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,
            "failSwapOn": False,
            "containerRuntimeEndpoint": f"unix://{layout.socket(node)}",
            "podLogsDir": str(own / "logs"),
            "clusterDNS": [ADDRESS],
            "clusterDomain": DOMAIN,
            "maxPods": 250,
            # A replaced key is in its pods this soon, instead of after one minute or two.
            "syncFrequency": "10s",
            "serializeImagePulls": False,
            # A developer's disk is often nearly full; no reason to put the pods out.
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
        },
        indent=2,
    )


def proxy(layout: Layout) -> str:
    """Return the settings of kube-proxy: node ports answer on loopback and the nodes' addresses, nowhere else."""
    return json.dumps(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": layout.access("proxy")},
            "mode": "iptables",
            "clusterCIDR": PODS,
            "hostnameOverride": NODES[0].name,
            "bindAddress": ADDRESS,
            "healthzBindAddress": f"{ADDRESS}:10256",
            "metricsBindAddress": f"{ADDRESS}:10249",
            "nodePortAddresses": ["127.0.0.0/8", *(f"{node.address}/32" for node in NODES)],
            # The machine's limits on connections stay as they are.
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        },
        indent=2,
    )


def names(layout: Layout) -> str:
    """Return the settings of the cluster's name server."""
    return f""". {{
    bind {ADDRESS}
    errors
    cache 5
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {layout.access("dns")}
    }}
    forward . /etc/resolv.conf
}}
"""


def access(layout: Layout, name: str) -> str:
    """Return the kubeconfig of one of the cluster's parts."""
    user = {"client-certificate": layout.certificate(name), "client-key": layout.key(name)}
    return _kubeconfig({"server": SERVER, "certificate-authority": layout.certificate("ca")}, user)


def admin(folder: Path) -> str:
    """Return the user's kubeconfig, which needs no other file."""

    def content(name: str) -> str:
        return base64.b64encode((folder / name).read_bytes()).decode()

    user = {"client-certificate-data": content("admin.crt"), "client-key-data": content("admin.key")}
    return _kubeconfig({"server": SERVER, "certificate-authority-data": content("ca.crt")}, user)


def _kubeconfig(cluster: dict[str, str], user: dict[str, str]) -> str:
    # JSON is YAML too.
    value: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "slipway", "cluster": cluster}],
        "users": [{"name": "slipway", "user": user}],
        "contexts": [{"name": "slipway", "context": {"cluster": "slipway", "user": "slipway"}}],
        "current-context": "slipway",
    }
    return json.dumps(value, indent=2) + "\n"
