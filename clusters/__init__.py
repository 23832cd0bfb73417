"""How a Kubernetes cluster is asked, by what deploys to it and by what looks at it."""

from clusters.client import ClusterError, client_from
from clusters.forward import connected

__all__ = ["ClusterError", "client_from", "connected"]
