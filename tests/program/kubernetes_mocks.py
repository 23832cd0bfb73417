"""Kubernetes' side of the mocks: answers as the plugin does."""

from dataclasses import dataclass, field

import pulumi

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

    def export(self, name, value):
        """Take what a stack exports, once it is known."""
        pulumi.Output.from_input(value).apply(lambda known: self.exported.update({name: known}))

    def new_resource(self, args):
        made, outputs = super().new_resource(args)
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
