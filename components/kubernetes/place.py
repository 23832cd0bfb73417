"""Where the objects of one model are, and how they are told from all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pulumi_kubernetes import meta

from manifest.object_names import dns_label

if TYPE_CHECKING:
    import pulumi

    from components.kubernetes.cluster import Cluster, Namespace

STABLE = "stable"
TRACK = "slipway.io/track"


@dataclass(frozen=True)
class Place:
    """A model's place on a cluster.

    Attributes:
        cluster: The cluster.
        namespace: The namespace.
        model: The model's name.
        parent: The component that objects belong to.
        track: Which of two versions side by side: `stable`, or `canary` or `shadow`, which is tried beside it.
    """

    cluster: Cluster
    namespace: Namespace
    model: str
    parent: pulumi.Resource
    track: str = STABLE

    @property
    def resource(self) -> str:
        """What the program calls a Deployment and what is its own."""
        return self.model if self.track == STABLE else f"{self.model}-{self.track}"

    @property
    def own_name(self) -> str:
        """What a Deployment and what is its own are called on the cluster."""
        return self.name if self.track == STABLE else dns_label(f"{self.name}-{self.track}")

    @property
    def name(self) -> str:
        """What the model's objects are called: in a namespace that others use too, with the stack's name."""
        return self.model if self.namespace.is_own else dns_label(f"{self.cluster.instance}-{self.model}")

    @property
    def selector(self) -> dict[str, str]:
        """The labels of the model's pods, of every version side by side; they never change."""
        return {"app.kubernetes.io/name": self.model, "app.kubernetes.io/instance": self.cluster.instance}

    @property
    def labels(self) -> dict[str, str]:
        """The labels of objects."""
        return {**self.selector, "app.kubernetes.io/managed-by": "slipway"}

    @property
    def own(self) -> dict[str, str]:
        """The labels of the pods of one Deployment, beside which there may be another of the same model."""
        return {**self.selector, TRACK: self.track}

    def metadata(
        self, name: pulumi.Input[str] | None = None, annotations: dict[str, Any] | None = None
    ) -> meta.v1.ObjectMetaArgs:
        """Return the metadata of an object.

        Args:
            name: Its name; by default the model's.
            annotations: Its annotations.
        """
        return meta.v1.ObjectMetaArgs(
            name=name or self.name, namespace=self.namespace.name, labels=self.labels, annotations=annotations
        )

    def options(self, **more: Any) -> pulumi.ResourceOptions:
        """Return the options of an object."""
        given = {"depends_on": self.namespace.after, **more}
        return self.cluster.options(parent=self.parent, **given)
