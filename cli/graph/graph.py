"""A stack as a graph: models, the images that they are in, and the targets that run them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from cli.placements.states import tone_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.placements.placement import Placement
    from cli.placements.states import Tone

Kind = Literal["model", "image", "target"]
KINDS: tuple[Kind, ...] = ("model", "image", "target")

_SHOWN_DIGITS = 12


@dataclass(frozen=True)
class Node:
    """A model, an image or a target.

    Attributes:
        id: Its own in the graph.
        kind: What it is.
        title: Its name.
        detail: Version, digest or address.
        state: How it is, in a word; None for what has no state.
        tone: How good that is.
    """

    id: str
    kind: Kind
    title: str
    detail: str
    state: str | None = None
    tone: Tone | None = None


@dataclass(frozen=True)
class Graph:
    """Nodes, and which leads to which.

    Attributes:
        stack: The stack's name.
        nodes: By model; of each its own node, then its images, then its targets.
        edges: Pairs of ids: model to image, image to target; to the target itself where no image is deployed.
    """

    stack: str
    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]

    def as_json(self) -> dict[str, Any]:
        """Return the graph for programs."""
        nodes = [{key: value for key, value in asdict(node).items() if key != "tone"} for node in self.nodes]
        return {"stack": self.stack, "nodes": nodes, "edges": [{"from": one, "to": other} for one, other in self.edges]}


def graph_of(stack: str, placements: Sequence[Placement]) -> Graph:
    """Return the graph of what is deployed and what is planned.

    Args:
        stack: The stack's name.
        placements: By model, as `with_planned` returns them.
    """
    nodes: dict[str, Node] = {}
    edges: dict[tuple[str, str], None] = {}
    for one in placements:
        model = f"model:{one.model}"
        nodes.setdefault(model, Node(model, "model", one.model, f"version {one.version}"))
        above = model
        if one.image:
            above = f"image:{one.image}"
            nodes.setdefault(above, _image(above, one.image))
            edges[model, above] = None
        target = f"target:{one.model}/{one.target}"
        nodes[target] = _target(target, one)
        edges[above, target] = None
    return Graph(stack, tuple(nodes.values()), tuple(edges))


def _image(node: str, image: str) -> Node:
    repository, _, digest = image.partition("@")
    name = repository.partition("/")[2] or repository
    return Node(node, "image", name, digest[: len("sha256:") + _SHOWN_DIGITS])


def _target(node: str, placement: Placement) -> Node:
    state, tone = placement.state, tone_of(placement.state)
    if placement.reload_error:
        state, tone = f"{state}, edit failed", "bad"
    return Node(node, "target", placement.target, placement.endpoint or "", state, tone)
