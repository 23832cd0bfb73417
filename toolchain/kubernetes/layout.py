"""Where the cluster is: its addresses, which only this machine has, and its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain import gobuild

if TYPE_CHECKING:
    from toolchain.context import Context

INTERFACE = "slipway0"  # Of this machine alone: a bridge without members, so nobody else reaches its addresses.
DOMAIN = "cluster.local"
NETWORK = "10.119.0.0/16"  # All of the addresses below.
SERVICES = "10.119.64.0/20"
FIRST_SERVICE = "10.119.64.1"  # The API server's, for pods.
PODS = "10.119.0.0/18"
POLICY_QUEUE = 119  # Of the kernel: in it, the first packets of pods' connections wait for a verdict.
CNI_PROGRAMS = ("/usr/lib/cni", "/opt/cni/bin")


@dataclass(frozen=True)
class Node:
    """One node: a kubelet with a containerd of its own."""

    name: str
    address: str
    pods: str
    zone: str

    @property
    def cgroup(self) -> str:
        """Where its pods are accounted."""
        return f"/slipway-{self.name}"


NODES = (
    Node("slipway-1", "10.119.128.1", "10.119.0.0/20", "local-1"),
    Node("slipway-2", "10.119.128.2", "10.119.16.0/20", "local-2"),
)
ADDRESS = NODES[0].address  # Of all that is not a node's own.
SERVER = f"https://{ADDRESS}:6443"


@dataclass(frozen=True)
class Layout:
    """The cluster's files, below the cache's folder of what runs."""

    context: Context
    tools: Path

    @property
    def folder(self) -> Path:
        """All that the cluster has written."""
        return folder(self.context)

    @property
    def kubeconfig(self) -> Path:
        """For the user, with all rights."""
        return kubeconfig(self.context)

    def certificate(self, name: str) -> str:
        """Return a certificate's file."""
        return str(self.folder / "certificates" / f"{name}.crt")

    def key(self, name: str) -> str:
        """Return the file of a certificate's key."""
        return str(self.folder / "certificates" / f"{name}.key")

    def access(self, name: str) -> str:
        """Return the kubeconfig of one of the cluster's parts."""
        return str(self.folder / "access" / name)

    def settings(self, name: str) -> Path:
        """Return a file of settings."""
        return self.folder / "settings" / name

    def of(self, node: Node) -> Path:
        """Return the folder of a node."""
        return self.folder / node.name

    def socket(self, node: Node) -> Path:
        """Return the socket of a node's containerd."""
        return self.of(node) / "containerd.sock"

    def tool(self, name: str) -> str:
        """Return one of the programs that were built."""
        return str(self.tools / name)


def folder(context: Context) -> Path:
    """Return the folder of all that a cluster writes."""
    return context.cache.run / "kubernetes"


def kubeconfig(context: Context) -> Path:
    """Return where the user's kubeconfig is, while there is a cluster."""
    return folder(context) / "kubeconfig"


def layout_of(context: Context) -> Layout | None:
    """Return the layout of what was built before; None where it was not."""
    tools = gobuild.built(context, (gobuild.KUBERNETES,))
    return Layout(context, tools) if tools is not None else None


def cni_programs() -> Path:
    """Return the folder of the network plugins."""
    return next((Path(one) for one in CNI_PROGRAMS if (Path(one) / "ptp").exists()), Path(CNI_PROGRAMS[0]))
