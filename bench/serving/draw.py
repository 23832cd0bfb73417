"""The results as pictures: bars, in an SVG that fits a light and a dark page."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from bench.serving.results import Results, Row, cell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.ours { fill: #1a7f64 }
.neighbour { fill: #8b949e }
.ceiling { fill: none; stroke: #8b949e; stroke-dasharray: 3 2 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .ours { fill: #3fb68b } .neighbour { fill: #6e7681 } }
"""
_LABEL, _BAR, _VALUE, _LINE, _GAP = 230, 420, 80, 22, 34
_HALF = 6.5


def draw(results: Results, folder: Path) -> list[Path]:
    """Write the pictures.

    Args:
        results: What was measured.
        folder: Where to.
    """
    name, forest = cell("logistic", 1, 64), cell("forest", 1, 64)
    everyone = results.of("ours", "ceiling", "neighbour")
    without = [row for row in everyone if row.kind != "ceiling"]
    # Of the processor's seconds, not of the clock's: other work on the machine hardly changes them.
    panels = [
        _panel(
            f"Requests in a second of the processor, {title}, 1 row, 64 connections", everyone, partial(_speed, where)
        )
        for title, where in (("logistic regression", name), ("random forest", forest))
    ]
    pictures = {
        "serving-throughput.svg": panels,
        "serving-footprint.svg": [
            _panel(
                "99th percentile in ms, logistic regression, 1 row, 64 connections",
                without,
                lambda row: _p99(row, name),
            ),
            _panel("Seconds from start to first answer", without, lambda row: row.cold_seconds),
            _panel("Memory in MiB (proportional set size)", without, lambda row: row.mebibytes),
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for file, panels in pictures.items():
        path = folder / file
        path.write_text(_svg([panel for panel in panels if panel[1]]), encoding="utf-8")
        written.append(path)
    return written


def _speed(where: str, row: Row) -> float:
    used = row.processor(where)
    return 1e6 / used if used else 0.0


def _p99(row: Row, name: str) -> float:
    figures = row.best(name)
    return figures.p99 if figures is not None else 0.0


def _panel(title: str, rows: Sequence[Row], value: Callable[[Row], float]) -> tuple[str, list[tuple[str, str, float]]]:
    return title, [(row.name, row.kind, value(row)) for row in rows if value(row)]


def _svg(panels: Sequence[tuple[str, list[tuple[str, str, float]]]]) -> str:
    parts: list[str] = []
    top = 0
    for title, bars in panels:
        parts.append(f'<text class="title" x="0" y="{top + 16}">{escape(title)}</text>')
        top += 26
        longest = max(value for _, _, value in bars)
        for name, kind, value in bars:
            width = max(1.0, _BAR * value / longest)
            middle = top + _LINE / 2
            parts += [
                f'<text x="{_LABEL - 8}" y="{middle + 4}" text-anchor="end">{escape(name)}</text>',
                f'<rect class="{kind}" x="{_LABEL}" y="{middle - _HALF}" width="{width:.1f}" height="{2 * _HALF}"/>',
                f'<text x="{_LABEL + width + 6:.1f}" y="{middle + 4}">{_number(value)}</text>',
            ]
            top += _LINE
        top += _GAP
    width, height = _LABEL + _BAR + _VALUE, max(1, top - _GAP)
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    return "\n".join([head, f"<style>{_STYLE}</style>", *parts, "</svg>"]) + "\n"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
