"""What was measured, kept as JSON and summed up: of each cell the round that other work disturbed least."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bench.serving.load import Figures

if TYPE_CHECKING:
    from pathlib import Path

CONNECTIONS = (1, 16, 64)
# The model, and the rows of a request.
WORKLOADS = (("logistic", 1), ("logistic", 100), ("forest", 1))
EVEN, RANDOM = "70 % even", "70 % random"
# What is asked at a part of its highest rate: a short model and a long one.
PACED = (WORKLOADS[0], WORKLOADS[2])


def cell(model: str, rows: int, connections: int) -> str:
    """Return the name of a cell of the table."""
    return f"{model}, {rows} {'row' if rows == 1 else 'rows'}, c{connections}"


def paced_cell(model: str, arrivals: str) -> str:
    """Return the name of the figures at a part of a server's highest rate."""
    return f"{model}, {arrivals}"


@dataclass
class Row:
    """One server.

    Attributes:
        name: The server.
        kind: "ours", "ceiling" or "neighbour".
        batches: Whether it batches.
        version: The version of its distribution.
        cells: What each round measured, by the cell's name.
        cold: Seconds from its start to its first answer.
        memory: MiB after the load on one model.
        problem: Why it is not measured.
    """

    name: str
    kind: str
    batches: bool
    version: str = ""
    cells: dict[str, list[Figures]] = field(default_factory=dict)
    cold: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    problem: str = ""

    def add(self, name: str, figures: Figures) -> None:
        """Add a round's figures of a cell."""
        self.cells.setdefault(name, []).append(figures)

    def best(self, name: str) -> Figures | None:
        """Return a cell's round with the least processor time for a request; None where it was not measured.

        Whatever else a machine does can only slow a server: of more rounds this comes nearer to what it can do, the
        median only to what the machine mostly did.
        """
        rounds = self.cells.get(name)
        if not rounds:
            return None
        # What is asked at a given rate has no such time.
        best = min(rounds, key=lambda one: (one.processor, one.p99))
        return replace(best, errors=sum(one.errors for one in rounds))

    def rate(self, name: str) -> float:
        """Return the requests in a second of a cell; 0 where it was not measured."""
        figures = self.best(name)
        return figures.rate if figures is not None else 0.0

    def processor(self, name: str) -> float:
        """Return the processor time of a request in a cell, in microseconds; 0 where it was not measured."""
        figures = self.best(name)
        return figures.processor if figures is not None else 0.0

    @property
    def cold_seconds(self) -> float:
        """The median; 0 where it was not measured."""
        return statistics.median(self.cold) if self.cold else 0.0

    @property
    def mebibytes(self) -> float:
        """The median; 0 where it was not measured."""
        return statistics.median(self.memory) if self.memory else 0.0


@dataclass
class Results:
    """One run.

    Attributes:
        rows: The servers.
        alone: Seconds that a program takes that only loads the model and answers once.
        about: The machine, and how it was measured.
    """

    rows: list[Row]
    alone: list[float]
    about: str

    def of(self, *kinds: str) -> list[Row]:
        """Return the measured servers of some kinds."""
        return [row for row in self.rows if row.kind in kinds and row.cells]

    @property
    def measured(self) -> list[str]:
        """The cells that some server was measured in."""
        names = [cell(*workload, connections) for workload in WORKLOADS for connections in CONNECTIONS]
        return [name for name in names if any(row.cells.get(name) for row in self.rows)]

    def write(self, path: Path) -> None:
        """Keep them."""
        path.parent.mkdir(parents=True, exist_ok=True)
        plain: dict[str, Any] = {
            "about": self.about,
            "alone": self.alone,
            "rows": [vars(row).copy() for row in self.rows],
        }
        for row in plain["rows"]:
            row["cells"] = {name: [one.as_json() for one in rounds] for name, rounds in row["cells"].items()}
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(plain, indent=1))
        unfinished.replace(path)

    @classmethod
    def read(cls, path: Path) -> Results:
        """Return what was kept."""
        plain = json.loads(path.read_text())
        for row in plain["rows"]:
            row["cells"] = {name: [Figures(**one) for one in rounds] for name, rounds in row["cells"].items()}
        return cls([Row(**row) for row in plain["rows"]], plain["alone"], plain["about"])
