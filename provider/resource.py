"""What a resource of a provider plugin is: the model that resources are written against.

Resources see plain values. protocol.py takes secrets off before a call and puts them back on its results, so that
no resource can leak one by forgetting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

Severity = Literal["debug", "info", "warning", "error"]


class ProviderError(Exception):
    """A failure that a person can act on; its text is all that they see."""


@dataclass(frozen=True, slots=True)
class State:
    """A resource as the engine knows it, or is to know it.

    Attributes:
        id: The provider's name for it.
        inputs: What the program asked for, as `check` completed it.
        outputs: What it has become.
    """

    id: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]


class InitFailedError(ProviderError):
    """It exists but does not work: the engine keeps it in the state, with the reason."""

    def __init__(self, reason: str, state: State) -> None:
        """Keep what exists.

        Args:
            reason: For the person.
            state: What was made.
        """
        super().__init__(reason)
        self.state = state


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing wrong with the inputs: the property's path, and what is allowed."""

    property: str
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """One changed property, by its path on the wire."""

    path: str
    kind: Literal["ADD", "UPDATE", "DELETE"]
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Diff:
    """All that differs, and whether a replacement has to take the old one away first."""

    changes: tuple[Change, ...] = ()
    delete_before_replace: bool = False

    @property
    def replace(self) -> bool:
        """Whether any change needs a new resource."""
        return any(change.replace for change in self.changes)


@dataclass(frozen=True, slots=True)
class Naming:
    """How to name a resource that the program left unnamed.

    Attributes:
        seed: The same bytes in a preview and its update, others for a replacement.
        proposed: What the stack's naming rules propose, if it has any.
        disabled: The stack's rules ask for names in the program.
    """

    seed: bytes = b""
    proposed: str = ""
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """What a resource may need to know about the call that it answers.

    Attributes:
        urn: The resource's full name.
        cancelled: Set when the user has interrupted; waits end then.
        write: Takes a severity, a text, and whether the next text may take its place.
        timeout: What `customTimeouts` allows, in seconds; zero when nothing was said.
        naming: How to name it.
    """

    urn: str
    cancelled: threading.Event
    write: Callable[[Severity, str, bool], None] = field(repr=False)
    timeout: float = 0.0
    naming: Naming = Naming()

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return self.urn.rpartition("::")[2]

    def status(self, text: str) -> None:
        """Show progress beside the resource, until the next text."""
        self.write("info", text, True)

    def log(self, severity: Severity, text: str) -> None:
        """Say something that stays on the screen."""
        self.write(severity, text, False)


class Resource:
    """What can be done with one type; unknown values reach only `check`, `diff` and `preview`."""

    def check(
        self, call: Call, old: dict[str, Any] | None, new: dict[str, Any]
    ) -> tuple[dict[str, Any], list[Failure]]:
        """Complete the inputs, and say all that is wrong with them.

        Args:
            call: About this call.
            old: The inputs of the last deployment, if there was one.
            new: What the program says now.

        Returns:
            The completed inputs, and the failures.
        """
        del call, old
        return new, []

    def diff(self, call: Call, old: State, new: dict[str, Any]) -> Diff:
        """Compare what was asked for last time with what is asked for now."""
        raise NotImplementedError

    def preview(self, call: Call, inputs: dict[str, Any], old: State | None) -> dict[str, Any]:
        """Foretell the outputs of a create (without `old`) or an update, touching nothing."""
        raise NotImplementedError

    def create(self, call: Call, inputs: dict[str, Any]) -> State:
        """Make it."""
        raise NotImplementedError

    def read(self, call: Call, state: State) -> State | None:
        """Look at what there is. No inputs in `state` mean an import; None says that it is gone."""
        raise NotImplementedError

    def update(self, call: Call, old: State, new: dict[str, Any]) -> dict[str, Any]:
        """Change it in place, and return its outputs."""
        raise NotImplementedError

    def delete(self, call: Call, state: State) -> None:
        """Take it away; it may be gone already."""
        raise NotImplementedError


class Package:
    """A plugin: its name, its resources and functions by token, and its configuration."""

    def __init__(
        self,
        name: str,
        version: str,
        resources: Mapping[str, Resource],
        functions: Mapping[str, Callable[[Call, dict[str, Any]], dict[str, Any]]] | None = None,
    ) -> None:
        """Name the parts.

        Args:
            name: The package, as in `pulumi-resource-NAME`.
            version: The version to answer with.
            resources: By type token.
            functions: By function token.
        """
        self.name = name
        self.version = version
        self.resources = resources
        self.functions = functions or {}

    def check_config(self, config: dict[str, Any]) -> list[Failure]:
        """Say what is wrong with the provider's configuration."""
        del config
        return []

    def configure(self, config: dict[str, Any]) -> None:
        """Take the provider's configuration."""

    def refusal(self, token: str) -> str:
        """Explain that a type or a function is not served."""
        served = ", ".join(sorted({*self.resources, *self.functions}))
        return f"this {self.name} plugin does not serve {token}; it serves {served}"


def autoname(call: Call, old: str | None) -> str:
    """Name a resource that the program left unnamed.

    Args:
        call: The check.
        old: The name that was made last time; it stays.

    Returns:
        The name.

    Raises:
        ProviderError: The stack's rules ask for names in the program.
    """
    if old:
        return old
    if call.naming.disabled:
        raise ProviderError("a name is required: this stack's configuration turns automatic naming off")
    return call.naming.proposed or f"{call.name}-{call.naming.seed.hex()[:7]}".rstrip("-")


def changes(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    replaces: Callable[[str], bool],
    normal: Callable[[str, Any], Any] = lambda _name, value: value,
) -> tuple[Change, ...]:
    """Compare two sets of inputs, property by property.

    Args:
        old: The earlier ones.
        new: The later ones.
        replaces: Whether a change of this property needs a new resource.
        normal: Brings a value into the form in which equal means equal.

    Returns:
        The changes, by name; names that begin with two underscores are the provider's own and left out.
    """
    found = []
    for name in sorted({*old, *new}):
        if name.startswith("__") or normal(name, old.get(name)) == normal(name, new.get(name)):
            continue
        kind: Literal["ADD", "UPDATE", "DELETE"] = (
            "ADD" if name not in old else "DELETE" if name not in new else "UPDATE"
        )
        found.append(Change(name, kind, replaces(name)))
    return tuple(found)
