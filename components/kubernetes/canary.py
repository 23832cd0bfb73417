"""Canary: how far a new version has come beside the one that serves, as each `up` finds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.access_keys import AccessKeys
    from components.kubernetes.access import Access
    from components.kubernetes.place import Place
    from manifest.targets.canary import Canary as Wanted

RUNNING, FINISHED = "running", "finished"


class Canary(pulumi.CustomResource):
    """The share of a new version; see provider/slipway/canary.py.

    Attributes:
        weight: The share, in percent.
        phase: `running`, `finished` or `aborted`.
        since: Since when.
        reason: Why it was aborted.
    """

    weight: pulumi.Output[int]
    phase: pulumi.Output[str]
    since: pulumi.Output[str]
    reason: pulumi.Output[str]

    def __init__(
        self, name: str, inputs: Mapping[str, pulumi.Input[Any]], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Have it worked out.

        Args:
            name: The resource's name.
            inputs: Which versions, in which steps, and how their pods are asked.
            opts: Pulumi's options.
        """
        told = dict.fromkeys(("weight", "phase", "since", "reason"))
        super().__init__("slipway:index:Canary", name, {**inputs, **told}, opts)


def staged(
    place: Place,
    wanted: Wanted,
    images: Mapping[str, pulumi.Input[str]],
    pods: list[int],
    *,
    access: Access,
    keys: AccessKeys | None,
) -> Canary:
    """Have a canary's steps taken.

    Args:
        place: Where the canary is.
        wanted: What the manifest asks for.
        images: The two, as `from` and `to`, and their versions, as `fromVersion` and `toVersion`.
        pods: How many pods each step has.
        access: How its cluster is reached.
        keys: How its pods are; None where they want no key.
    """
    limits = wanted.limits
    asking: dict[str, pulumi.Input[Any]] = {
        "kubeconfig": access.kubeconfig,
        "context": access.context,
        "namespace": place.namespace.name,
        "labels": place.own,
    }
    if limits and keys:
        asking |= {"primary": keys.primary, "secondary": keys.secondary}
    return Canary(
        f"{place.model}-aks",
        {
            "model": place.model,
            **images,
            "steps": list(wanted.shares),
            "pods": pods,
            "seconds": wanted.seconds,
            "limits": limits,
            **asking,
        },
        pulumi.ResourceOptions(parent=place.parent),
    )
