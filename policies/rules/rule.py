"""What a rule is, and the resources that it looks at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


class Unknown:
    """A value that a preview cannot know. It is looked at again in the update, before the resource is made."""

    def __repr__(self) -> str:
        """Return what messages would show."""
        return "(known later)"


UNKNOWN = Unknown()


@dataclass(frozen=True)
class Resource:
    """A resource as the engine is about to have it.

    Attributes:
        type: Its type, as `docker:index/container:Container`.
        name: Its name in the program.
        body: Its properties, of plain Python values; UNKNOWN for what a preview cannot know.
        urn: Its name in the state.
    """

    type: str
    name: str
    body: Mapping[str, Any]
    urn: str = ""

    @property
    def kind(self) -> str:
        """The type without a version of its API: `azure-native:batch:Pool`, `kubernetes:Deployment`."""
        package, _, rest = self.type.partition(":")
        module, _, name = rest.rpartition(":")
        # The other packages' modules say nothing, or are a version.
        return f"{package}:{module.partition('/')[0]}:{name}" if package == "azure-native" else f"{package}:{name}"

    def __str__(self) -> str:
        """Return how messages name it."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Rule:
    """A rule about one resource by itself.

    Attributes:
        name: What configurations call it.
        says: What it asks for, in a sentence.
        check: Returns what is wrong with a resource, with the options that the configuration gives.
        options: The JSON Schemas of its options, by name.
    """

    name: str
    says: str
    check: Callable[[Resource, Mapping[str, Any]], Iterator[str]]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class JointRule:
    """A rule about resources together; the rest as in `Rule`.

    They come one by one, and as the program asks for them: what the engine shows of all of them at the end of a preview
    is what providers foretell, who leave open what they do not know.

    Attributes:
        check: Returns what is wrong with a resource and those that came before it.
    """

    name: str
    says: str
    check: Callable[[Resource, Sequence[Resource]], Iterator[str]]


def at(value: Any, *path: str) -> Any:
    """Return what is at a path in a body; None where nothing is, UNKNOWN where that cannot be known."""
    for name in path:
        if value is UNKNOWN:
            return UNKNOWN
        value = value.get(name) if isinstance(value, dict) else None
    return value


def items(value: Any) -> list[Any]:
    """Return a list's items; none where it is no list, or not known."""
    return value if isinstance(value, list) else []


def mapping(value: Any) -> dict[str, Any]:
    """Return a mapping; an empty one where it is none, or not known."""
    return value if isinstance(value, dict) else {}


def told(value: Any) -> str:
    """Return a value as a message shows it."""
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
