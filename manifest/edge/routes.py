"""Routes of the edge hub: parsed, checked against a device's modules, and looked through for loops."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from manifest.edge.query import Condition, QueryError, parse
from manifest.edge.query_values import UNKNOWN
from manifest.problems import closest, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from manifest.edge.query_values import Path

_ROUTE = re.compile(r"\s*FROM\s+(\S+)(?:\s+WHERE\s+(.+?))?\s+INTO\s+(\S.*?)\s*", re.IGNORECASE | re.DOTALL)
_NAME = r"[A-Za-z0-9_$-]+"
_SOURCE = re.compile(rf"/messages/modules/(?P<module>{_NAME})/(?:\*|outputs/(?P<output>\*|{_NAME}))/?")
# Of every module, or of everything.
_WIDE = frozenset({"/*", "/messages/*", "/messages/modules/*", "/messages/modules/*/outputs/*"})
_NOTIFICATIONS = "/twinchangenotifications"
_SINK = re.compile(
    rf"BrokeredEndpoint\(\s*\"/modules/(?P<module>{_NAME})/inputs/(?P<input>{_NAME})\"\s*\)", re.IGNORECASE
)
UPSTREAM = "$upstream"
_FORM = (
    'as in FROM /messages/modules/NAME/outputs/OUTPUT INTO BrokeredEndpoint("/modules/NAME/inputs/INPUT"), with WHERE '
    "CONDITION between them where only some messages go, or INTO $upstream"
)


class RouteError(ValueError):
    """A route that the edge hub would refuse, or that leads nowhere; its text says why."""


@dataclass(frozen=True, slots=True)
class Route:
    """A parsed route.

    Attributes:
        source: As it was written, as `/messages/modules/iris/outputs/*`.
        module: The module that messages come from; None for all of them.
        output: Its output; None for all of them, and for what has no output's name.
        condition: Which messages go; None for all of them.
        sink: The module that they go to; None for the hub.
        input: Its input.
    """

    source: str
    module: str | None
    output: str | None
    condition: Condition | None
    sink: str | None
    input: str | None

    def may_come_from(self, module: str) -> bool:
        """Tell whether a module's messages may go this way."""
        if self.source.lower() == _NOTIFICATIONS or self.module not in (None, module):
            return False

        def known(path: Path) -> Any:
            return module if path == ("$connectionModuleId",) else UNKNOWN

        # Neither true nor false is unknown here: it depends on the message.
        return self.condition is None or self.condition.holds(known) is not False


def parse_route(text: str) -> Route:
    """Parse a route.

    Raises:
        RouteError: The edge hub would refuse it.
    """
    found = _ROUTE.fullmatch(text)
    if found is None:
        raise RouteError(f"is no route: write it {_FORM}, not {shown(text)}")
    source, where, into = found.groups()
    module = output = None
    if match := _SOURCE.fullmatch(source):
        module, output = match["module"], match["output"]
        output = None if output == "*" else output
    elif source.lower() not in _WIDE | {_NOTIFICATIONS}:
        raise RouteError(
            f"comes FROM {shown(source)}, which is no source: /messages/modules/NAME/outputs/OUTPUT or with * for the "
            "output, /messages/modules/*, /messages/*, /twinChangeNotifications and /* are"
        )
    condition = None
    if where is not None:
        try:
            condition = parse(where)
        except QueryError as error:
            raise RouteError(f"has a condition that cannot be read: {error}, in {shown(where)}") from None
    if into.lower() == UPSTREAM:
        return Route(source, module, output, condition, None, None)
    sink = _SINK.fullmatch(into)
    if sink is None:
        raise RouteError(
            f"goes INTO {shown(into)}, which is no sink: $upstream and "
            'BrokeredEndpoint("/modules/NAME/inputs/INPUT") are'
        )
    return Route(source, module, output, condition, sink["module"], sink["input"])


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What a module takes and gives; None where it does not say."""

    inputs: frozenset[str] | None = None
    outputs: frozenset[str] | None = None


def wrong_ends(route: Route, modules: Mapping[str, Endpoints]) -> Iterator[str]:
    """Say which modules and endpoints of a route there are none of.

    Args:
        route: The route.
        modules: What is on the device, by name.
    """
    ends = (
        (route.module, route.output, "output", "comes FROM"),
        (route.sink, route.input, "input", "goes INTO"),
    )
    for module, endpoint, kind, way in ends:
        if module is None:
            continue
        if module not in modules:
            yield f"{way} the module {shown(module)}, which is not on the device{_meant(module, modules)}"
            continue
        known = modules[module].outputs if kind == "output" else modules[module].inputs
        if endpoint is not None and known is not None and endpoint not in known:
            what = f"{way} the {kind} {shown(endpoint)} of {shown(module)}"
            yield f"{what}, which has none of that name{_meant(endpoint, known)}"


def _meant(given: str, names: Iterable[str]) -> str:
    known = sorted(names)
    near = closest(given, known)
    hint = f"; did you mean {shown(near)}? There are" if near else "; there are"
    return f"{hint}: {', '.join(known)}" if known else ""


def loop(routes: Mapping[str, Route], modules: Iterable[str]) -> list[str] | None:
    """Find a way on which a module's messages come back to it.

    Args:
        routes: The device's routes, by name.
        modules: The names of its modules.

    Returns:
        The names of the routes, in their order on that way; None where there is none.
    """
    names = sorted({*modules, *(one.sink for one in routes.values() if one.sink)})
    ways: dict[str, list[tuple[str, str]]] = {
        module: [
            (name, route.sink) for name, route in sorted(routes.items()) if route.sink and route.may_come_from(module)
        ]
        for module in names
    }
    done: set[str] = set()
    for start in names:
        if start in done:
            continue
        # Depth first, by hand: there may be more modules than Python has room for calls.
        path: list[tuple[str, str]] = []
        on_path = {start}
        stack = [iter(ways[start])]
        while stack:
            name, sink = next(stack[-1], ("", ""))
            if not name:
                stack.pop()
                left = path.pop()[1] if path else start
                on_path.discard(left)
                done.add(left)
            elif sink in on_path:
                nodes = [start, *(to for _, to in path)]
                return [*(by for by, _ in path[nodes.index(sink) :]), name]
            elif sink not in done:
                path.append((name, sink))
                on_path.add(sink)
                stack.append(iter(ways[sink]))
    return None
