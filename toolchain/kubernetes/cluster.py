"""Starts, looks at and stops the cluster."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolchain import gobuild
from toolchain.cache import read_json, write_atomically, write_json
from toolchain.context import Taken
from toolchain.daemon import Daemon, answers
from toolchain.kubernetes import certificates, host, settings
from toolchain.kubernetes.layout import NODES, SERVER, Layout, folder, kubeconfig, layout_of
from toolchain.kubernetes.objects import objects
from toolchain.kubernetes.parts import Part, parts, without_proxy
from toolchain.oci import Registry, image_digest, write_image
from toolchain.process import capture, run, tail
from toolchain.report import ToolchainError

if TYPE_CHECKING:
    from collections.abc import Callable

    from toolchain.context import Context
    from toolchain.report import Step

NAME = "Kubernetes"
PAUSE = "kubernetes/pause"
READY_SECONDS = 180.0
DELETE_SECONDS = 40.0
POLL_SECONDS = 0.5
ELSEWHERE = (
    "name a cluster of your own with KUBECONFIG: `kind create cluster`, Docker Desktop and minikube make one, and "
    "`slipway:kubeconfig` takes its file."
)


def ensure(context: Context, step: Step) -> Taken:
    """Find or start a cluster: the user's own, which KUBECONFIG names, else ours.

    Raises:
        ToolchainError: If there can be none, or it does not come up.
    """
    if context.environ.get("KUBECONFIG") not in {None, "", str(kubeconfig(context))}:
        return _users(context, context.environ["KUBECONFIG"])
    return ensure_ours(context, step)


def possible(context: Context) -> bool:
    """Tell whether a cluster can run on this machine."""
    return context.system == "linux" and context.root_user


def ensure_ours(context: Context, step: Step) -> Taken:
    """Find or start a cluster on this machine.

    Raises:
        ToolchainError: If there can be none, or it does not come up.
    """
    if not possible(context):
        raise ToolchainError("A cluster on this machine takes root on Linux.", to_do=ELSEWHERE)
    if not Registry(context.registry).answers():
        raise ToolchainError(
            f"The registry {context.registry}, which the nodes pull from, does not answer.", to_do="run `make setup`."
        )
    host.provide_programs(context, step)
    layout = Layout(context, gobuild.build(context, step, (gobuild.KUBERNETES,)))
    wanted = _parts(layout)
    how = "running"
    if not _is_current(layout):
        step.doing("stopping the cluster of an earlier version")
        stop(context)
        _prepare(layout)
        how = "started"
    stopped = [part for part in wanted if _daemon(context, part).pid is None]
    if stopped:
        step.doing("starting the cluster")
        _start(layout, stopped, step)
        how = "started" if len(stopped) == len(wanted) else f"started again: {', '.join(one.name for one in stopped)}"
    _await_ready(layout, wanted, step)
    version = gobuild.KUBERNETES.version(context)
    line = f"{version} built from Go modules, {len(NODES)} nodes, {how}; kubeconfig {layout.kubeconfig}"
    return Taken(NAME, f"{line}; kubectl {layout.tool('kubectl')}")


def _users(context: Context, path: str) -> Taken:
    """Take the user's own cluster as it is."""
    kubectl = context.which("kubectl")
    if kubectl is not None:
        answer = capture([kubectl, "get", "--raw", "/readyz", "--request-timeout=10s"], env=context.environ)
        if answer is None:
            raise ToolchainError(
                f"The cluster of KUBECONFIG={path} does not answer.",
                to_do="`kubectl get nodes` must work; or unset KUBECONFIG for a cluster on this machine.",
            )
    return Taken(NAME, f"your own, which KUBECONFIG={path} names")


def _daemon(context: Context, part: Part) -> Daemon:
    return Daemon(context.cache, part.daemon, context.environ)


def _parts(layout: Layout) -> tuple[Part, ...]:
    context = layout.context
    return parts(layout, context.which("etcd") or "etcd", context.which("containerd") or "containerd")


def _stamp(layout: Layout) -> str:
    """Return what changes with anything that would make another cluster."""
    known = [str(layout.tools), layout.context.registry, *(" ".join(part.command) for part in _parts(layout))]
    own = [settings.kubelet(layout, node) + settings.network(layout, node) for node in NODES]
    own += [settings.proxy(layout), settings.names(layout), json.dumps(certificates.wanted())]
    return hashlib.sha256("\n".join([*known, *own]).encode()).hexdigest()


def _is_current(layout: Layout) -> bool:
    return read_json(layout.folder / "made.json").get("stamp") == _stamp(layout)


def _prepare(layout: Layout) -> None:
    """Write all files of a new cluster."""
    context = layout.context
    layout.folder.mkdir(parents=True)
    layout.folder.chmod(0o711)
    certificates.issue(layout)
    names = [*certificates.PARTS, *(f"kubelet-{node.name}" for node in NODES)]
    for name in names:
        write_atomically(Path(layout.access(name)), settings.access(layout, name), 0o600)
    write_atomically(layout.kubeconfig, settings.admin(layout.folder / "certificates"), 0o600)
    pause = _push_pause(layout)
    hosts = layout.folder / "registries" / context.registry / "hosts.toml"
    write_atomically(hosts, settings.registry(context.registry))
    for node in NODES:
        text = settings.containerd(layout, node, context.which("runc") or "runc", pause)
        write_atomically(layout.settings(f"containerd-{node.name}.toml"), text)
        write_atomically(layout.settings(f"kubelet-{node.name}.json"), settings.kubelet(layout, node))
        write_atomically(layout.of(node) / "network" / "10-slipway.conflist", settings.network(layout, node))
    write_atomically(layout.settings("proxy.json"), settings.proxy(layout))
    write_atomically(layout.settings("Corefile"), settings.names(layout))
    write_json(layout.folder / "made.json", {"stamp": _stamp(layout)})


def _push_pause(layout: Layout) -> str:
    """Put the image of the pods' sandboxes into the registry, and return its name."""
    context = layout.context
    with tempfile.TemporaryDirectory(dir=context.cache.run) as name:
        rootfs, image = Path(name) / "rootfs", Path(name) / "image"
        rootfs.mkdir()
        image.mkdir()
        shutil.copy(layout.tool("pause"), rootfs / "pause")
        platform = {"os": "linux", "architecture": context.architecture}
        write_image(rootfs, image, settings={"Entrypoint": ["/pause"], "User": "65535"}, platform=platform, newest=0)
        Registry(context.registry).push(image, PAUSE, "latest", lambda _: None)
        return f"{context.registry}/{PAUSE}@{image_digest(image)}"


def _start(layout: Layout, stopped: list[Part], step: Step) -> None:
    context = layout.context
    host.add_interface(context)
    if not host.add_policy_rules(context):
        step.note("this kernel has no NFQUEUE for iptables: network policies are accepted, and nothing enforces them")
    host.add_cgroups()
    env = without_proxy(context.system_environ)
    # The others wait for what they need by themselves.
    awaited: dict[str, Callable[[], bool]] = {"apiserver": lambda: _api(layout, "/readyz") is not None}
    for node in NODES:
        awaited[f"containerd-{node.name}"] = partial(answers, layout.socket(node))
    for part in stopped:
        _daemon(context, part).start(
            list(part.command),
            ready=awaited.get(part.name, lambda: True),
            within=READY_SECONDS,
            to_do="mend what the log says.",
            env=env,
        )
        if part.name == "apiserver":
            _apply(layout)


def _apply(layout: Layout) -> None:
    path = layout.settings("objects.json")
    write_json(path, objects(layout))
    run(
        [*_kubectl(layout), "apply", "--server-side", "--force-conflicts", "-f", str(path)],
        log=layout.context.cache.logs / "kubernetes.log",
        what="Applying what the cluster needs inside",
        to_do="see the log.",
        env=without_proxy(layout.context.system_environ),
        timeout=60,
    )


def _kubectl(layout: Layout) -> list[str]:
    return [layout.tool("kubectl"), f"--kubeconfig={layout.kubeconfig}"]


def _api(layout: Layout, path: str) -> str | None:
    """Ask the API server; None when it does not answer well."""
    command = [*_kubectl(layout), "get", "--raw", path, "--request-timeout=5s"]
    return capture(command, env=without_proxy(layout.context.system_environ))


def _ready(layout: Layout) -> bool:
    nodes = _listed(layout, "/api/v1/nodes")
    ready = [one for one in nodes if _condition(one, "Ready")]
    services = _listed(layout, "/apis/apiregistration.k8s.io/v1/apiservices")
    accounts = _api(layout, "/api/v1/namespaces/default/serviceaccounts/default")
    return len(ready) == len(NODES) and accounts is not None and all(_condition(one, "Available") for one in services)


def _listed(layout: Layout, path: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(_api(layout, path) or "{}").get("items") or []
    return items


def _condition(value: dict[str, Any], kind: str) -> bool:
    conditions = value.get("status", {}).get("conditions") or []
    return any(one.get("type") == kind and one.get("status") == "True" for one in conditions)


def _await_ready(layout: Layout, wanted: tuple[Part, ...], step: Step) -> None:
    """Wait until the nodes are ready, the metrics are served, and pods can be made."""
    deadline = time.monotonic() + READY_SECONDS
    while not _ready(layout):
        step.doing("waiting until the nodes are ready")
        for part in wanted:
            daemon = _daemon(layout.context, part)
            if daemon.pid is None:
                raise ToolchainError(
                    f"{daemon.name} ended.", to_do="mend what the log says.", log=daemon.log, tail=tail(daemon.log)
                )
        if time.monotonic() > deadline:
            log = _daemon(layout.context, next(one for one in wanted if one.name.startswith("kubelet"))).log
            raise ToolchainError(
                f"The nodes were not ready in {READY_SECONDS:.0f} s.",
                to_do=f"see the logs kubernetes-*.log in {log.parent}, and try again.",
                log=log,
                tail=tail(log),
            )
        time.sleep(POLL_SECONDS)


def stop(context: Context) -> str:
    """Stop the cluster and remove all that was in it.

    Returns:
        What was done, for the user.
    """
    if not folder(context).exists():
        return "not running"
    layout = layout_of(context) or Layout(context, context.cache.tools / "none")
    wanted = {part.name: _daemon(context, part) for part in _parts(layout)}
    for name in ("controller-manager", "scheduler"):
        wanted[name].stop()  # They would make new pods for those that go.
    if all(daemon.pid for name, daemon in wanted.items() if name.startswith(("kubelet", "containerd", "apiserver"))):
        # In order: what a pod has on this machine goes with it.
        command = [
            "delete",
            "pods",
            "--all",
            "--all-namespaces",
            "--grace-period=1",
            f"--timeout={DELETE_SECONDS:.0f}s",
        ]
        env = without_proxy(context.system_environ)
        capture([*_kubectl(layout), *command, f"--timeout={DELETE_SECONDS:.0f}s"], env=env, timeout=DELETE_SECONDS + 10)
        capture([layout.tool("kube-proxy"), "--cleanup"], env=env)
    for daemon in reversed(list(wanted.values())):
        daemon.stop()
    host.sweep(layout)
    host.remove_policy_rules(context)
    host.remove_interface(context)
    return "stopped, all that was in it removed"


def describe(context: Context) -> str:
    """Return the cluster's state in one line."""
    if not folder(context).exists():
        return "none on this machine"
    layout = layout_of(context)
    if layout is None:
        return "its programs are gone: `make kubernetes` builds them again"
    stopped = [part.name for part in _parts(layout) if _daemon(context, part).pid is None]
    state = f"without {', '.join(stopped)}" if stopped else "ready" if _ready(layout) else "not ready"
    return f"{SERVER} {state}, kubeconfig {layout.kubeconfig}"
