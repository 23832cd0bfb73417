"""What the cluster needs of this machine: packages, an interface with its addresses, and groups of processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain import apt
from toolchain.kubernetes.layout import INTERFACE, NODES, PODS, POLICY_QUEUE, cni_programs
from toolchain.process import capture, run
from toolchain.report import ToolchainError

if TYPE_CHECKING:
    from toolchain.context import Context
    from toolchain.kubernetes.layout import Layout
    from toolchain.report import Step

# Programs, and the packages that have them on Debian and Ubuntu.
PROGRAMS = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
}
PLUGINS = "containernetworking-plugins"
CGROUPS = Path("/sys/fs/cgroup")
_MANGLE = ("iptables", "--wait", "-t", "mangle")
CONTROLLERS = ("cpuset", "cpu", "memory", "pids", "hugetlb", "io")
UNMOUNT_SECONDS = 20.0
# Without what asks for them, as while the cluster starts, they pass.
ASKED = (
    *("-m", "conntrack", "--ctstate", "NEW"),
    *("-j", "NFQUEUE", "--queue-num", str(POLICY_QUEUE), "--queue-bypass"),
)
# The first packets of connections to pods, but of the kubelets' probes; to what is outside; and to this machine.
POLICY_RULES = (
    ("POSTROUTING", "-d", PODS, "-m", "owner", "!", "--uid-owner", "0", *ASKED),
    ("POSTROUTING", "-s", PODS, "!", "-d", PODS, *ASKED),
    ("INPUT", "-s", PODS, *ASKED),
)


def provide_programs(context: Context, step: Step) -> None:
    """Install what is missing of the system's programs.

    Raises:
        ToolchainError: If that is not possible.
    """
    missing = {package for program, package in PROGRAMS.items() if context.which(program) is None}
    if not (cni_programs() / "ptp").exists():
        missing.add(PLUGINS)
    if not missing:
        return
    apt.install(context, step, tuple(sorted(missing)), "Kubernetes")
    if PROGRAMS["etcd"] in missing and Path("/run/systemd/system").exists():
        # The package starts a service of its own, which nobody asked for.
        capture(["systemctl", "disable", "--now", "etcd"], env=context.system_environ)


def _ip(context: Context, *arguments: str) -> None:
    run(
        ["ip", *arguments],
        log=context.cache.logs / "kubernetes.log",
        what="Setting up the cluster's interface",
        to_do="the kernel must allow bridges; in a container, give it the capability NET_ADMIN.",
        env=context.system_environ,
        timeout=20,
    )


def add_interface(context: Context) -> None:
    """Make the interface whose addresses the nodes have.

    Raises:
        ToolchainError: If it belongs to another cache, or cannot be made.
    """
    folder = Path("/sys/class/net") / INTERFACE
    alias = f"slipway {context.cache.mark}"
    if folder.exists() and (folder / "ifalias").read_text(encoding="utf-8").strip() != alias:
        raise ToolchainError(
            f"The interface {INTERFACE} is there and does not belong to this cache: another cluster runs.",
            to_do="stop that one with `python3 -m toolchain kubernetes stop` and the SLIPWAY_CACHE it was made with; "
            f"or, where nobody needs it, `ip link delete {INTERFACE}`.",
        )
    if not folder.exists():
        _ip(context, "link", "add", INTERFACE, "type", "bridge")
        _ip(context, "link", "set", INTERFACE, "alias", alias)
    for node in NODES:
        _ip(context, "address", "replace", f"{node.address}/32", "dev", INTERFACE)
    _ip(context, "link", "set", INTERFACE, "up")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="utf-8")


def remove_interface(context: Context) -> None:
    """Take the interface away again."""
    if (Path("/sys/class/net") / INTERFACE).exists():
        _ip(context, "link", "delete", INTERFACE)


def add_policy_rules(context: Context) -> bool:
    """Lead the first packet of each of the pods' connections to what knows the NetworkPolicies.

    Returns:
        Whether the kernel can do that.
    """
    remove_policy_rules(context)
    added = [capture([*_MANGLE, "-A", *rule], env=context.system_environ) is not None for rule in POLICY_RULES]
    return all(added)


def remove_policy_rules(context: Context) -> None:
    """Have all packets pass again."""
    for rule in POLICY_RULES:
        capture([*_MANGLE, "-D", *rule], env=context.system_environ)


def _hierarchies() -> list[Path]:
    """Return the roots of the kernel's groups of processes: one of version 2, or several of version 1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return sorted(one for one in CGROUPS.iterdir() if one.is_dir() and not one.is_symlink())


def add_cgroups() -> None:
    """Make the group below which each node's pods are: kubelet wants it to be there."""
    for root in _hierarchies():
        if (root / "cgroup.subtree_control").exists() and root == CGROUPS:
            there = (root / "cgroup.controllers").read_text(encoding="utf-8").split()
            for name in [one for one in CONTROLLERS if one in there]:
                (root / "cgroup.subtree_control").write_text(f"+{name}", encoding="utf-8")
        for node in NODES:
            (root / node.cgroup.lstrip("/")).mkdir(exist_ok=True)


def sweep(layout: Layout) -> None:
    """Remove what is left of pods once nothing looks after them: processes, groups and mounts.

    Raises:
        ToolchainError: If something stays mounted, below which nothing may be deleted.
    """
    groups = [root / node.cgroup.lstrip("/") for root in _hierarchies() for node in NODES]
    for group in groups:
        for listed in group.rglob("cgroup.procs"):
            for pid in listed.read_text(encoding="utf-8").split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
    _end_shims(layout)
    deadline = time.monotonic() + UNMOUNT_SECONDS
    for group in groups:
        for folder in [*sorted(group.rglob("*/"), key=lambda one: -len(one.parts)), group]:
            while folder.is_dir() and time.monotonic() < deadline:
                try:
                    folder.rmdir()
                except OSError:
                    time.sleep(0.05)
    below = f"{layout.folder}/"
    for mounted in reversed(_mounts(below)):
        capture(["umount", "--lazy", mounted], env=layout.context.system_environ)
    if left := _mounts(below):
        raise ToolchainError(f"{left[0]} is still mounted.", to_do="unmount it, and stop the cluster again.")
    shutil.rmtree(layout.folder, ignore_errors=True)


def _mounts(below: str) -> list[str]:
    lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    return [line.split()[1] for line in lines if line.split()[1].startswith(below)]


def _end_shims(layout: Layout) -> None:
    """End the programs that looked after containers, which outlive their containerd: those with a socket of ours."""
    sockets = {str(layout.socket(node)).encode() for node in NODES}
    for found in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = found.read_bytes().split(b"\0")
            if words[0].rpartition(b"/")[2].startswith(b"containerd-shim") and sockets & set(words):
                os.kill(int(found.parent.name), signal.SIGKILL)
