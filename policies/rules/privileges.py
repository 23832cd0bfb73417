"""Privileges: no container may do more than a model needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from policies.rules.every import containers
from policies.rules.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from policies.rules.rule import Resource


def _check(resource: Resource, _options: Mapping[str, Any]) -> Iterator[str]:
    for one in containers(resource):
        if one.excess:
            yield (
                f"{one.what} has {', '.join(one.excess)}. Allowed: containers that run as another user than root, "
                "without privileges, and apart from the host. Remove it; Slipway's own images run as the user 65532."
            )


LEAST_PRIVILEGE = Rule(
    "least-privilege", "No container is root, privileged, or in the host's network, and none has added rights.", _check
)
