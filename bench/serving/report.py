"""The results as Markdown: tables, and what became of the aims."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from bench.serving.results import CONNECTIONS, EVEN, PACED, RANDOM, WORKLOADS, Results, Row, cell, paced_cell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_AZURE = "azureml-inference-server-http"
_CEILING_SHARE, _TIMES_AZURE, _SPREAD, _START_MS = 0.9, 10, 2, 300


def markdown(results: Results) -> str:
    """Return everything that is told of a run."""
    parts = [results.about]
    for title, workloads in (("Logistic regression", WORKLOADS[:2]), ("Random forest", WORKLOADS[2:])):
        table = _table(results, workloads)
        if table:
            parts += [f"### {title}: requests/s · p50 ms · p99 ms", table]
    parts += ["### The server's processor time for each request, µs", _processor_table(results)]
    if any(row.cells.get(paced_cell(PACED[0][0], EVEN)) for row in results.rows):
        parts += ["### At 70 % of its own highest rate, 1 row: requests/s · p50 ms · p99 ms", _spread_table(results)]
    missing = [f"- {row.name}: {row.problem}" for row in results.rows if row.problem]
    if missing:
        parts.append("Not measured:\n\n" + "\n".join(missing))
    parts += ["### Aims", "\n".join(f"- {line}" for line in aims(results))]
    return "\n\n".join(parts) + "\n"


def _table(results: Results, workloads: Sequence[tuple[str, int]]) -> str:
    names = [cell(*workload, connections) for workload in workloads for connections in CONNECTIONS]
    if not set(names) & set(results.measured):
        return ""
    with_start = workloads[0] == WORKLOADS[0]
    heads = ["", *(name.partition(", ")[2] for name in names)] + (["cold s", "PSS MiB"] if with_start else [])
    lines = [_line(heads), "|" + "---|" * len(heads)]
    for row in results.rows:
        if any(row.cells.get(name) for name in names):
            cells = [str(figures) if (figures := row.best(name)) is not None else "" for name in names]
            start = [f"{row.cold_seconds:.2f}", f"{row.mebibytes:.0f}"] if with_start else []
            lines.append(_line([_title(row), *cells, *start]))
    return "\n".join(lines)


def _processor_table(results: Results) -> str:
    names = results.measured
    lines = [_line(["", *names]), "|" + "---|" * (len(names) + 1)]
    rows = [row for row in results.rows if row.cells]
    lines += [_line([row.name, *(f"{row.processor(name):.0f}" for name in names)]) for row in rows]
    return "\n".join(lines)


def _spread_table(results: Results) -> str:
    names = [paced_cell(model, arrivals) for model, _ in PACED for arrivals in (EVEN, RANDOM)]
    lines = [_line(["", *names]), "|" + "---|" * (len(names) + 1)]
    for row in results.rows:
        cells = [str(figures) if (figures := row.best(name)) is not None else "" for name in names]
        if any(cells):
            lines.append(_line([row.name, *cells]))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _title(row: Row) -> str:
    return f"{row.name} {row.version}".strip()


def aims(results: Results) -> Iterator[str]:
    """Tell for each aim whether it was met, and by how much."""
    ours = {row.name: row for row in results.of("ours")}
    plain = ours.get("Slipway")
    batches = ours.get("Slipway, batches")
    neighbours = results.of("neighbour")
    for row in (plain, batches):
        if row is None:
            continue
        # What does not batch is not held against what does.
        alike = [one for one in neighbours if row.batches or not one.batches]
        yield from _ahead(row, alike, results.measured)
        ceilings = [one for one in results.of("ceiling") if one.batches == row.batches]
        if ceilings:
            yield _share(row, ceilings, results.measured)
            yield _share_of_time(row, ceilings, results.measured)
    azure = next((row for row in neighbours if row.name == _AZURE), None)
    if batches is not None and azure is not None:
        name = cell("logistic", 1, 64)
        times = batches.rate(name) / azure.rate(name)
        used = azure.processor(name) / batches.processor(name)
        text = f"with batches {times:.1f} times {_AZURE} in {name}, {used:.1f} by processor time (aim: {_TIMES_AZURE})"
        yield _told(min(times, used) >= _TIMES_AZURE, text)
    for row in filter(None, (plain, batches)):
        yield from _spread(row)
        if results.alone and row.cold:
            more = (row.cold_seconds - statistics.median(results.alone)) * 1000
            yield _told(
                more < _START_MS, f"{row.name}: start-up {more:.0f} ms above the model's own load (aim: {_START_MS})"
            )
        if neighbours and row.memory:
            least = min(neighbours, key=lambda one: one.mebibytes)
            text = f"{row.name}: {row.mebibytes:.0f} MiB, the least neighbour {least.mebibytes:.0f} ({least.name})"
            yield _told(row.mebibytes < least.mebibytes, text)


def _ahead(row: Row, neighbours: Sequence[Row], names: Sequence[str]) -> Iterator[str]:
    pairs = [(name, other) for name in names for other in neighbours if other.rate(name) and row.rate(name)]
    if not pairs:
        return
    behind = [f"{other.name} in {name}" for name, other in pairs if other.rate(name) >= row.rate(name)]
    least_name, least = min(pairs, key=lambda pair: row.rate(pair[0]) / pair[1].rate(pair[0]))
    times = row.rate(least_name) / least.rate(least_name)
    closest = f"the closest is {least.name} in {least_name}, {times:.2f} times"
    what = f"behind {', '.join(behind)}" if behind else "ahead of every neighbour in each cell"
    yield _told(not behind, f"{row.name}: {what}; {closest}")


def _share(row: Row, ceilings: Sequence[Row], names: Sequence[str]) -> str:
    shares = {
        name: row.rate(name) / max(one.rate(name) for one in ceilings)
        for name in names
        if row.cells.get(name) and any(one.cells.get(name) for one in ceilings)
    }
    told = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    text = f"{row.name}: of the better bare program: {told} (aim: {_CEILING_SHARE:.0%})"
    return _told(min(shares.values(), default=0) >= _CEILING_SHARE, text)


def _share_of_time(row: Row, ceilings: Sequence[Row], names: Sequence[str]) -> str:
    shares = []
    for name in names:
        least = min((one.processor(name) for one in ceilings if one.processor(name)), default=0.0)
        if least and row.processor(name):
            shares.append(f"{name} {least / row.processor(name):.0%}")
    return f"{row.name}: the same by processor time: {', '.join(shares)}"


def _spread(row: Row) -> Iterator[str]:
    for model, _ in PACED:
        for arrivals in (EVEN, RANDOM):
            figures = row.best(paced_cell(model, arrivals))
            if figures is not None:
                times = figures.p99 / figures.p50
                text = f"{row.name}, {model}: p99 is {times:.1f} times p50 at {arrivals} load (aim: {_SPREAD})"
                yield _told(times < _SPREAD, text)


def _told(met: bool, text: str) -> str:
    return f"{'met' if met else '**missed**'}: {text}"
