"""What models on Kubernetes are made of, each kind of object in a file. Imported only where an `aks` target is live."""

from components.kubernetes.cluster import Cluster

__all__ = ["Cluster"]
