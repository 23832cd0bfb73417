"""Routes of edgeHub: from which outputs messages go into which inputs, or upstream, and under which condition."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from standins.edge_runtime.errors import EdgeError

if TYPE_CHECKING:
    from collections.abc import Mapping

UPSTREAM = "$upstream"
_LOWEST = 2_000_000_000
_ROUTE = re.compile(
    r"\s*FROM\s+(?P<source>/\S+)(?:\s+WHERE\s+(?P<where>.+?))?\s+INTO\s+(?P<sink>.+?)\s*", re.IGNORECASE
)
_SINK = re.compile(r'BrokeredEndpoint\(\s*"/modules/(?P<module>[^/"]+)/inputs/(?P<input>[^/"]+)"\s*\)', re.IGNORECASE)
_SOURCES = (
    re.compile(r"/(?:\*|messages/\*)"),
    re.compile(r"/messages/modules/(?P<module>[^/*]+|\*)(?:/\*|/outputs/(?P<output>[^/*]+|\*))?"),
)
_TEST = re.compile(r"(?P<name>\$?[\w.-]+)\s*(?P<sign>=|!=|<>)\s*(?:'(?P<one>(?:[^']|'')*)'|\"(?P<two>[^\"]*)\")")


@dataclass(frozen=True)
class Route:
    """One route.

    Attributes:
        name: Its name in the deployment.
        module: Of which module the messages are; None for any.
        output: Of which of its outputs; None for any.
        any_of: One of these has to hold, each of tests (property, whether it must be equal, text) that all hold.
        target: The module and its input; None for upstream.
        priority: The lower, the sooner.
        seconds: How long a message of it is kept; None as the device's configuration says.
    """

    name: str
    module: str | None
    output: str | None
    any_of: tuple[tuple[tuple[str, bool, str], ...], ...]
    target: tuple[str, str] | None
    priority: int = _LOWEST
    seconds: int | None = None

    def takes(self, module: str, output: str, properties: Mapping[str, str]) -> bool:
        """Tell whether a message goes this way."""
        if self.module not in {None, module} or self.output not in {None, output}:
            return False
        return any(
            all((properties.get(name) == text) == is_equal and name in properties for name, is_equal, text in tests)
            for tests in self.any_of
        )


def parse(name: str, route: object) -> Route:
    """Read a route, as the deployment has it.

    Args:
        name: Its name.
        route: The text, or an object with `route`, `priority` and `timeToLiveSecs`.

    Raises:
        EdgeError: edgeHub would refuse it, or it has a condition that this stand-in does not know.
    """
    said: dict[str, Any] = route if isinstance(route, dict) else {"route": route}
    text = said.get("route")
    found = _ROUTE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise EdgeError(f"route {name} is {text!r}; it has to be FROM SOURCE [WHERE CONDITION] INTO SINK")
    source = next((match for kind in _SOURCES if (match := kind.fullmatch(found["source"]))), None)
    if source is None:
        raise EdgeError(f"route {name}: there is no source {found['source']}")
    parts = source.groupdict()
    module, output = (None if part in {None, "*"} else part for part in (parts.get("module"), parts.get("output")))
    sink = _SINK.fullmatch(found["sink"])
    if sink is None and found["sink"] != UPSTREAM:
        raise EdgeError(f'route {name}: its sink is {found["sink"]}; allowed are {UPSTREAM} and BrokeredEndpoint("…")')
    target = (sink["module"], sink["input"]) if sink else None
    any_of = _condition(name, found["where"]) if found["where"] else ((),)
    return Route(name, module, output, any_of, target, int(said.get("priority", _LOWEST)), said.get("timeToLiveSecs"))


def _condition(route: str, text: str) -> tuple[tuple[tuple[str, bool, str], ...], ...]:
    return tuple(
        tuple(_test(route, one) for one in re.split(r"\s+AND\s+", part, flags=re.IGNORECASE))
        for part in re.split(r"\s+OR\s+", text, flags=re.IGNORECASE)
    )


def _test(route: str, text: str) -> tuple[str, bool, str]:
    found = _TEST.fullmatch(text.strip())
    if found is None:
        raise EdgeError(
            f"route {route}: the stand-in does not know the condition {text!r}; it knows property = 'text' and "
            "property != 'text', with AND and OR between"
        )
    value = found["one"].replace("''", "'") if found["one"] is not None else found["two"]
    return found["name"], found["sign"] == "=", value
