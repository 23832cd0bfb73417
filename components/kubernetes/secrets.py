"""A model's Secrets: its keys, which are followed while it runs, and its variables, with which it starts."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes import core

if TYPE_CHECKING:
    from components.access_keys import AccessKeys
    from components.kubernetes.place import Place

_OPAQUE = "Opaque"
_DIGITS = 12


def keys_secret(place: Place, keys: AccessKeys) -> core.v1.Secret:
    """Hand a service its keys: the same object for ever, since the runtime takes over what is replaced in it.

    Args:
        place: Where.
        keys: The keys.
    """
    return core.v1.Secret(
        f"{place.model}-keys",
        metadata=place.metadata(f"{place.name}-keys"),
        type=_OPAQUE,
        string_data={"primary": keys.primary, "secondary": keys.secondary},
        opts=place.options(),
    )


def variables_secret(place: Place, variables: dict[str, pulumi.Output[str]]) -> core.v1.Secret:
    """Hand a service its secret variables, in an object named by their content.

    Other values are another object, so that pods are replaced, and those of before find what they started with.

    Args:
        place: Where.
        variables: By name.
    """
    # A hash of keys and tokens tells nobody what they are; without the mark, the pods' template can be shown.
    digest = pulumi.Output.unsecret(pulumi.Output.all(**variables).apply(_digest))
    return core.v1.Secret(
        f"{place.model}-variables",
        metadata=place.metadata(digest.apply(lambda known: f"{place.name}-{known}")),
        type=_OPAQUE,
        immutable=True,
        string_data=variables,
        opts=place.options(delete_before_replace=False),
    )


def _digest(values: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:_DIGITS]
