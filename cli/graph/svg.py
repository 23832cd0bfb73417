"""Draws a stack's graph as SVG: three columns of cards, which follow the reader's light or dark scheme."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from cli.graph.graph import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.graph.graph import Graph, Node

_MARGIN = 28
_CARD = 292
_GAP = 76
_HEIGHT = 62
_ROW = 80
_TOP = 112
_PADDING = 18
_WIDTH = 2 * _MARGIN + 3 * _CARD + 2 * _GAP
# How wide letters are in the widest of the fonts below: what is longer than its card is cut, and stands in full in
# the tooltip.
_TITLE_LETTER = 9.8
_DETAIL_LETTER = 8.0
_STATE_LETTER = 8.2
_WIDE, _NARROW = "mwMWGOQ@%_", "ijltfrI.,:;|!'()[]/- "
_HEADINGS = {"model": "Models", "image": "Images", "target": "Targets"}

_STYLE = """
  svg { --paper: #f6f7f9; --card: #ffffff; --line: #d5dae1; --ink: #1b2430; --soft: #5b6675; --edge: #aab3c0;
        --good: #18794e; --waiting: #8a5a00; --bad: #c62828; --absent: #5b6675;
        --model: #3056d3; --image: #7a3fc4; --target: #0b7285; }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #11151b; --card: #1a2029; --line: #323c4a; --ink: #e8ecf2; --soft: #a3afbf; --edge: #566375;
          --good: #4cc38a; --waiting: #f1a10d; --bad: #ff8080; --absent: #a3afbf;
          --model: #8da4ff; --image: #c39bff; --target: #5ed0e0; }
  }
  .paper { fill: var(--paper); }
  .card { fill: var(--card); stroke: var(--line); }
  .edge { fill: none; stroke: var(--edge); stroke-width: 1.6; }
  .absent-edge { stroke-dasharray: 5 5; }
  text { fill: var(--ink);
         font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
  .stack { font-size: 20px; font-weight: 600; }
  .heading { font-size: 12px; font-weight: 600; letter-spacing: 0.08em; text-transform: uppercase; fill: var(--soft); }
  .title { font-size: 14px; font-weight: 600; }
  .detail { font-size: 12px; fill: var(--soft); }
  .image .detail, .target .detail { font-size: 11.5px;
         font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
  .state { font-size: 12px; font-weight: 600; text-anchor: end; }
  .model .bar { fill: var(--model); } .image .bar { fill: var(--image); } .target .bar { fill: var(--target); }
  .good .state { fill: var(--good); } .waiting .state { fill: var(--waiting); }
  .bad .state { fill: var(--bad); } .absent .state { fill: var(--absent); }
  .absent .card { stroke-dasharray: 5 5; }
"""


def draw(graph: Graph) -> str:
    """Return the graph as an SVG document; the same graph gives the same text.

    Args:
        graph: What to draw.
    """
    places, rows = _places(graph)
    height = _TOP + max(rows, 1) * _ROW + _MARGIN - (_ROW - _HEIGHT)
    nodes = {node.id: node for node in graph.nodes}
    counts = {kind: sum(node.kind == kind for node in graph.nodes) for kind in KINDS}
    told = ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items())
    size = f'viewBox="0 0 {_WIDTH} {height:g}" width="{_WIDTH}" height="{height:g}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="name about">',
        f'<title id="name">{escape(f"Stack {graph.stack}")}</title>',
        f'<desc id="about">{escape(told)}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{_WIDTH}" height="{height:g}" rx="12"/>',
        f'<text class="stack" x="{_MARGIN}" y="48">{escape(f"Stack {graph.stack}")}</text>',
        *(f'<text class="heading" x="{_left(kind)}" y="{_TOP - 20}">{_HEADINGS[kind]}</text>' for kind in KINDS),
    ]
    for one, other in graph.edges:
        absent = " absent-edge" if nodes[other].tone == "absent" else ""
        lines.append(f'<path class="edge{absent}" d="{_curve(places[one], places[other])}"/>')
    for node in graph.nodes:
        lines += _card(node, *places[node.id])
    if not graph.nodes:
        text = "No models: models.yaml lists none, and nothing is deployed."
        lines.append(f'<text class="detail" x="{_MARGIN}" y="{_TOP + 24}">{text}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def _left(kind: str) -> int:
    return _MARGIN + ("model", "image", "target").index(kind) * (_CARD + _GAP)


def _places(graph: Graph) -> tuple[dict[str, tuple[int, float]], int]:
    """Where each card's corner is, and how many rows there are: a model has as many as targets."""
    below: dict[str, list[str]] = {}
    for one, other in graph.edges:
        below.setdefault(one, []).append(other)
    rows: dict[str, float] = {}
    used = 0
    for node in graph.nodes:
        if node.kind == "target":
            rows[node.id] = used
            used += 1
    # From right to left: each card is in the middle of those that it leads to.
    for kind in ("image", "model"):
        for node in graph.nodes:
            if node.kind == kind:
                reached = [rows[one] for one in below.get(node.id, [])]
                rows[node.id] = (min(reached) + max(reached)) / 2 if reached else 0.0
    return {node.id: (_left(node.kind), _TOP + rows[node.id] * _ROW) for node in graph.nodes}, used


def _curve(one: tuple[int, float], other: tuple[int, float]) -> str:
    start, end = one[0] + _CARD, other[0]
    top, bottom = one[1] + _HEIGHT / 2, other[1] + _HEIGHT / 2
    middle = (start + end) / 2
    return f"M{start:g} {top:g} C{middle:g} {top:g} {middle:g} {bottom:g} {end:g} {bottom:g}"


def _card(node: Node, left: int, top: float) -> Iterator[str]:
    state = node.state or ""
    room = _CARD - 2 * _PADDING
    title = _cut(node.title, (room - (_letters(state) * _STATE_LETTER + 10 if state else 0)) / _TITLE_LETTER)
    detail = _cut(node.detail, room / _DETAIL_LETTER)
    full = " · ".join(one for one in (node.title, node.detail, state) if one)
    yield f'<g class="{" ".join(filter(None, (node.kind, node.tone)))}" transform="translate({left:g} {top:g})">'
    yield f"<title>{escape(full)}</title>"
    yield f'<rect class="card" width="{_CARD}" height="{_HEIGHT}" rx="9"/>'
    yield f'<rect class="bar" x="0" y="12" width="4" height="{_HEIGHT - 24}" rx="2"/>'
    yield f'<text class="title" x="{_PADDING}" y="{26 if detail else 36}">{escape(title)}</text>'
    if detail:
        yield f'<text class="detail" x="{_PADDING}" y="47">{escape(detail)}</text>'
    if state:
        yield f'<text class="state" x="{_CARD - _PADDING}" y="{26 if detail else 36}">{escape(state)}</text>'
    yield "</g>"


def _cut(text: str, letters: float) -> str:
    if _letters(text) <= letters:
        return text
    while len(text) > 1 and _letters(text) + 1 > letters:
        text = text[:-1]
    return f"{text}…"


def _letters(text: str) -> float:
    """A text's width, in letters of usual width."""
    return sum(1.45 if one in _WIDE else 0.6 if one in _NARROW else 1.0 for one in text)
