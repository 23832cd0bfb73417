"""Kubernetes' side of the mocks: answers as the plugin does."""

from contextlib import contextmanager
from dataclasses import dataclass, field

import pulumi
import yaml

from tests.program.azure_mocks import Azure, plain

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: local, user: me}}]
clusters: [{name: local, cluster: {server: "https://10.1.2.3:6443"}}]
users: [{name: me, user: {token: canary-token}}]
"""
_NODE_PORT = 30123


@dataclass
class Kubernetes(Azure):
    """Records as Azure does; Services have ports and addresses."""

    exported: dict = field(default_factory=dict)
    # How far canaries are; known in previews too, by the resource's Check.
    stage: dict = field(default_factory=lambda: {"weight": 10, "phase": "running", "since": "now", "reason": ""})

    def export(self, name, value):
        """Take what a stack exports, once it is known."""
        pulumi.Output.from_input(value).apply(lambda known: self.exported.update({name: known}))

    def new_resource(self, args):
        made, outputs = super().new_resource(args)
        if args.typ == "slipway:index:Canary":
            return made, {**outputs, **self.stage}
        if args.typ == "kubernetes:core/v1:Service" and not self.unknown:
            port = {**outputs["spec"]["ports"][0], "nodePort": _NODE_PORT}
            outputs = {
                **outputs,
                "spec": {**outputs["spec"], "ports": [port]},
                "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}},
            }
        return made, outputs

    @property
    def objects(self):
        """What would be made on the cluster, as (kind, name in the program)."""
        return {
            (one.type.rpartition(":")[2], one.name) for one in self.registered if one.type.startswith("kubernetes:")
        }

    def manifest(self, kind, name=None):
        """An object as it would be sent, without the marks of secrets."""
        return plain(self.one(kind, name).inputs)


@contextmanager
def asking(declare, project, monkeypatch):
    """What declares a project with an aks target on iris, and returns the recorder."""
    (project / "kubeconfig").write_text(KUBECONFIG)
    monkeypatch.delenv("SLIPWAY_REGISTRY", raising=False)

    def run(
        target=None, *, models=("iris",), scoring=None, unknown=False, secrets=(), config=None, stage=None, **kubernetes
    ):
        path = project / "models.yaml"
        data = yaml.safe_load(path.read_text())
        for one in data["models"]:
            one["targets"] = [{"aks": target or {}}] if one["name"] in models else []
            if one["name"] in models:
                one["scoring"] = {**one.get("scoring", {}), **(scoring or {})}
        path.write_text(yaml.safe_dump(data, sort_keys=False))
        recorder = Kubernetes(unknown=unknown)
        recorder.stage.update(stage or {})
        monkeypatch.setattr(pulumi, "export", recorder.export)
        pulumi.runtime.set_all_config({}, secret_keys=[f"slipway:{key}" for key in secrets])
        keys = {"targets": ["aks"], "kubernetes": {"kubeconfig": "kubeconfig", **kubernetes}, **(config or {})}
        return declare(stack="prod", recorder=recorder, preview=unknown, **keys)

    try:
        yield run
    finally:
        pulumi.runtime.set_all_config({}, secret_keys=[])
