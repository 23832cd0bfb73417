"""Limits: what one model uses is not taken from others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from policies.rules.every import containers
from policies.rules.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from policies.rules.rule import Resource


def _check(resource: Resource, _options: Mapping[str, Any]) -> Iterator[str]:
    for one in containers(resource):
        if one.missing:
            yield (
                f"{one.what} is without {' and '.join(one.missing)}. Allowed: containers with limits of processors and "
                "memory. Set `cpu` and `memory` of the model's target in models.yaml, or these properties."
            )


CONTAINER_LIMITS = Rule("container-limits", "Containers have limits of processors and memory.", _check)
