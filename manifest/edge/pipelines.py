"""Checks of what models put on the same devices: module names, the ends of routes, loops, sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from manifest.edge.deployment import layer
from manifest.edge.routes import Endpoints, Route, loop, parse_route, wrong_ends
from manifest.problems import shown, unknown
from manifest.targets.iot_edge import OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from manifest.document import Document
    from manifest.problems import Loc, Problem
    from manifest.targets.iot_edge import IotEdgeTarget

# As long as images' names are, before they are known.
_IMAGE = f"{'r' * 60}.azurecr.io/slipway/models/{'m' * 32}@sha256:{'0' * 64}"
_VARIABLES = {"SLIPWAY_AUTH": "none", "SLIPWAY_MAX_BODY_BYTES": "0" * 12}
_MODEL = Endpoints(outputs=OUTPUTS)


@dataclass(frozen=True)
class Placed:
    """A model on devices.

    Attributes:
        model: Its name.
        target: What its entry asks for.
        loc: Where that stands in the manifest.
    """

    model: str
    target: IotEdgeTarget
    loc: Loc


@dataclass
class _Devices:
    """What is on the devices of one condition."""

    modules: dict[str, Endpoints] = field(default_factory=dict)
    owners: dict[str, Loc] = field(default_factory=dict)
    routes: dict[str, Route] = field(default_factory=dict)
    route_of: dict[str, tuple[Placed, str]] = field(default_factory=dict)


def check_pipelines(document: Document, placed: Iterable[Placed], models: Iterable[str]) -> Iterator[Problem]:
    """Check all `iot-edge` targets of a manifest.

    Args:
        document: The manifest, for places.
        placed: The targets, each sound by itself.
        models: The names of all models.
    """
    placed, names = list(placed), sorted(models)
    groups: dict[str, _Devices] = {}
    for one in placed:
        yield from _collect(document, one, names, groups.setdefault(one.target.condition, _Devices()))
    for one in placed:
        devices = groups[one.target.condition]
        there = {**devices.modules, **dict.fromkeys(one.target.also_there, Endpoints())}
        for name, route in one.target.routes_of(one.model).items():
            for message in wrong_ends(parse_route(route.route), there):
                yield document.problem((*one.loc, "routes", name), message)
        try:
            images = {one.model: _IMAGE, **{other.model: _IMAGE for other in one.target.modules if other.model}}
            layer(one.model, one.target, images, _VARIABLES)
        except ValueError as error:
            yield document.problem(one.loc, str(error))
    for devices in groups.values():
        yield from _loops(document, devices)


def _collect(document: Document, one: Placed, names: list[str], devices: _Devices) -> Iterator[Problem]:
    entries: list[tuple[str, Endpoints, Loc]] = [(one.model, _MODEL, one.loc)]
    for index, module in enumerate(one.target.modules):
        here = (*one.loc, "modules", index)
        if module.model is not None and module.model not in names:
            yield document.problem((*here, "model"), unknown("model", module.model, names))
        sides = [None if side is None else frozenset(side) for side in (module.inputs, module.outputs)]
        if module.model is not None and sides[1] is None:
            sides[1] = OUTPUTS
        entries.append((module.module, Endpoints(*sides), here))
    for name, endpoints, loc in entries:
        if name.casefold() in {"edgeagent", "edgehub"}:
            yield document.problem(loc, f"the name {shown(name)} is that of a module of the runtime; take another")
        taken = devices.owners.setdefault(name, loc)
        if taken != loc:
            line = document.find(taken).line
            yield document.problem(
                loc, f"the module {shown(name)} is put on these devices in line {line} already; name it in one place"
            )
        devices.modules.setdefault(name, endpoints)
    for name, route in one.target.routes_of(one.model).items():
        full = f"{one.model}-{name}"
        devices.routes[full] = parse_route(route.route)
        devices.route_of[full] = (one, name)


def _loops(document: Document, devices: _Devices) -> Iterator[Problem]:
    # A loop that is meant is taken out, and the search goes on without it.
    routes: dict[str, Route] = {
        name: route for name, route in devices.routes.items() if not devices.route_of[name][0].target.allow_loops
    }
    while found := loop(routes, devices.modules):
        one, name = devices.route_of[found[-1]]
        way = " and ".join(devices.route_of[each][1] for each in found)
        message = (
            "leads a module's messages back to itself"
            if len(found) == 1
            else f"closes a loop: {way} lead a module's messages back to it"
        )
        hint = "name an output, add a condition, or allow it with allowLoops: true"
        yield document.problem((*one.loc, "routes", name), f"{message}; {hint}")
        del routes[found[-1]]
