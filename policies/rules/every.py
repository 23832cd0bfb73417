"""The containers of any resource."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from policies.rules import azure, docker, kubernetes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.rules.containers import Container
    from policies.rules.rule import Resource


def containers(resource: Resource) -> Iterator[Container]:
    """Return a resource's containers; none where it has none."""
    return chain(docker.containers(resource), azure.containers(resource), kubernetes.containers(resource))
