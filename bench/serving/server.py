"""What the benchmark has to know of a server: how it is started, asked and understood."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).parents[2]
LOCKS = Path(__file__).parent / "neighbours"


@dataclass(frozen=True)
class Place:
    """Where a server finds what it needs.

    Attributes:
        folder: A folder of its own, for its program and settings.
        bin: The `bin` folder of its virtual environment.
        model: The model, as joblib wrote it.
        port: Where to listen, on 127.0.0.1; the two ports after it are free too.
    """

    folder: Path
    bin: Path
    model: Path
    port: int

    def write(self, name: str, text: str) -> Path:
        """Write a file of the server."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path


@dataclass(frozen=True)
class Start:
    """A command, and its environment variables beside the usual ones."""

    arguments: Sequence[str | Path]
    env: Mapping[str, str] = field(default_factory=dict)


def plain_body(rows: list[list[float]]) -> bytes:
    """Return a request as most of the servers take it."""
    return json.dumps({"data": rows}).encode()


def plain_answer(answer: Any) -> list[int]:
    """Return the predictions of an answer as most of the servers give it."""
    return list(answer["predictions"])


@dataclass(frozen=True)
class Server:
    """One row of the table.

    Attributes:
        name: What it is called in the table.
        environment: The name of its virtual environment.
        locks: What that holds.
        start: Writes its program and says how it is started.
        kind: "ours", "ceiling" (a bare program that does nothing but this) or "neighbour".
        batches: Whether it answers several requests by one call of the model.
        package: The distribution whose version the table names.
        path: Where it answers.
        body: Makes a request of rows.
        answer: Gives the predictions of an answer's JSON.
    """

    name: str
    environment: str
    locks: tuple[Path, ...]
    start: Callable[[Place], Start]
    kind: str = "neighbour"
    batches: bool = False
    package: str | None = None
    path: str = "/score"
    body: Callable[[list[list[float]]], bytes] = plain_body
    answer: Callable[[Any], list[int]] = plain_answer
