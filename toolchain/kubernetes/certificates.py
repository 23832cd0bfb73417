"""The cluster's certificates: all signed at once by an authority whose key is then forgotten."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from toolchain.kubernetes.layout import ADDRESS, DOMAIN, FIRST_SERVICE, NODES
from toolchain.report import ToolchainError

if TYPE_CHECKING:
    from toolchain.kubernetes.layout import Layout

# Who they are to the API server, whose own rules name them so.
PARTS = {
    "controller-manager": "system:kube-controller-manager",
    "scheduler": "system:kube-scheduler",
    "proxy": "system:kube-proxy",
    "metrics-server": "system:metrics-server",
    "dns": "system:dns",
    "policies": "system:network-policies",
}
KUBELET_CLIENT = "kube-apiserver-kubelet-client"
FRONT_PROXY = "front-proxy-client"
SECONDS = 60.0


def wanted() -> list[dict[str, Any]]:
    """Return what is to be signed: name, user and groups for clients, hosts for servers."""
    api = [f"kubernetes.default.svc.{DOMAIN}"]
    api += ["kubernetes.default.svc", "kubernetes.default", "kubernetes", "localhost", FIRST_SERVICE, ADDRESS]
    hosts = {"metrics-server": ["metrics-server.kube-system.svc", ADDRESS]}
    found: list[dict[str, Any]] = [
        {"name": "etcd", "user": "etcd", "hosts": [ADDRESS]},
        {"name": "apiserver", "user": "kube-apiserver", "hosts": api},
        {"name": "service-accounts", "user": "service-accounts"},
        {"name": KUBELET_CLIENT, "user": KUBELET_CLIENT},
        {"name": FRONT_PROXY, "user": FRONT_PROXY},
        {"name": "admin", "user": "slipway-admin", "groups": ["system:masters"]},
    ]
    found += [{"name": name, "user": user, "hosts": hosts.get(name, [])} for name, user in PARTS.items()]
    found += [
        {
            "name": f"kubelet-{node.name}",
            "user": f"system:node:{node.name}",
            "groups": ["system:nodes"],
            "hosts": [node.name, node.address],
        }
        for node in NODES
    ]
    return found


def issue(layout: Layout) -> None:
    """Make them all.

    Raises:
        ToolchainError: If it fails.
    """
    folder = layout.folder / "certificates"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    lines = "".join(json.dumps(one) + "\n" for one in wanted())
    done = subprocess.run(
        [layout.tool("certificates"), str(folder)],
        input=lines,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode:
        raise ToolchainError(f"The cluster's certificates cannot be made: {done.stderr.strip()}.")
