"""The cluster of this machine for tests, and namespaces of their own on it."""

import os
import time
import uuid
from contextlib import contextmanager
from urllib.parse import urlparse

import kubernetes
import pytest

from tests.system.checkout import ROOT
from toolchain.context import context_of
from toolchain.kubernetes import cluster
from toolchain.kubernetes.layout import kubeconfig
from toolchain.report import Report


class Cluster:
    """A cluster: where its kubeconfig is, and an address of this machine that its pods reach."""

    def __init__(self, path):
        self.kubeconfig = str(path)
        self.client = kubernetes.config.new_client_from_config(self.kubeconfig)
        self.core = kubernetes.client.CoreV1Api(self.client)
        self.batch = kubernetes.client.BatchV1Api(self.client)
        self.host = urlparse(self.client.configuration.host).hostname

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


def running():
    """Find or start the cluster."""
    report = Report()
    context = context_of(ROOT, os.environ, report)
    if not cluster.possible(context):
        pytest.skip("a cluster on this machine takes root on Linux")
    context.cache.prepare()
    with context.cache.lock(lambda _: None), report.step(cluster.NAME) as step:
        cluster.ensure_ours(context, step)
    return Cluster(kubeconfig(context))


def until(condition, what, seconds=300):
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.5)
