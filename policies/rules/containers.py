"""The containers of a resource, whatever runs them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Container:
    """What a rule has to know of a container.

    Attributes:
        what: What messages call it: "container model".
        image: Its image; None where the resource names none.
        missing: The limits that it is without, as the resource calls them.
        excess: What it may that it need not, each as "FIELD: VALUE".
        variables: Its environment variables; None for a value that is secret.
    """

    what: str
    image: Any = None
    missing: tuple[str, ...] = ()
    excess: tuple[str, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)

    @property
    def auth(self) -> Any:
        """How it asks callers who they are: "key", "entra", "none", or None where it does not say."""
        return self.variables.get("SLIPWAY_AUTH")


def capabilities(added: list[Any], name: str) -> list[str]:
    """Return the rights of the kernel that are added, but for the one that low ports need."""
    found = [str(one).upper().removeprefix("CAP_") for one in added]
    return [f"{name}: {one}" for one in found if one != "NET_BIND_SERVICE"]
