"""The cluster of this machine for tests, and namespaces of their own on it."""

import os
import socket
import subprocess
import time
import uuid
from contextlib import contextmanager
from urllib.parse import urlparse

import kubernetes
import pytest

from tests.system.checkout import ROOT
from toolchain.context import context_of
from toolchain.kubernetes import cluster
from toolchain.kubernetes.layout import INTERFACE, NODES, kubeconfig, layout_of
from toolchain.report import Report

OUTSIDE = "203.0.113.119"  # Nobody's: of a net for documentation.


class Cluster:
    """A cluster: where its kubeconfig is, its nodes, and its API server's host, of this machine, and port."""

    nodes = tuple(node.name for node in NODES)

    def __init__(self, path, kubectl):
        self.kubeconfig = str(path)
        self._kubectl = kubectl
        self.client = kubernetes.config.new_client_from_config(self.kubeconfig)
        self.core = kubernetes.client.CoreV1Api(self.client)
        self.batch = kubernetes.client.BatchV1Api(self.client)
        server = urlparse(self.client.configuration.host)
        self.host, self.port = server.hostname, server.port

    @contextmanager
    def namespace(self):
        """A namespace that lets in what a stack's would, and is gone afterwards."""
        name = f"test-{uuid.uuid4().hex[:8]}"
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.core.create_namespace({"metadata": {"name": name, "labels": labels}})
        try:
            yield name
        finally:
            self.core.delete_namespace(name)

    def kubectl(self, *arguments):
        """Run kubectl; what it said, its complaints included."""
        command = [self._kubectl, f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert not done.returncode, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    @contextmanager
    def drained(self, node, pods):
        """A node that takes no pods, and from which those with some labels were put out; yields what kubectl said."""
        options = (f"--pod-selector={pods}", "--delete-emptydir-data", "--timeout=240s")
        try:
            yield self.kubectl("drain", node, *options)
        finally:
            self.kubectl("uncordon", node)

    @contextmanager
    def outside(self):
        """What listens at an address of this machine that is not private; yields the address and the port."""
        command = ["ip", "address", "replace", f"{OUTSIDE}/32", "dev", INTERFACE]
        subprocess.run(command, check=True)
        try:
            with socket.create_server((OUTSIDE, 0)) as listener:
                yield listener.getsockname()
        finally:
            subprocess.run([one.replace("replace", "delete") for one in command], check=True)


def running():
    """Find or start the cluster."""
    report = Report()
    context = context_of(ROOT, os.environ, report)
    if not cluster.possible(context):
        pytest.skip("a cluster on this machine takes root on Linux")
    context.cache.prepare()
    with context.cache.lock(), report.step(cluster.NAME) as step:
        cluster.ensure_ours(context, step)
    return Cluster(kubeconfig(context), layout_of(context).tool("kubectl"))


def until(condition, what, seconds=300):
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.5)
