"""What the environment says of the module: where the store is, and where in an answer the score is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scoring.variables import Reader

STORE_FOLDER = "/var/lib/slipway/edge"


@dataclass(frozen=True)
class EdgeSettings:
    """How the module is set up.

    Attributes:
        store: The folder of the store; SLIPWAY_EDGE_STORE.
        score: Where in an answer the score is, as keys with dots between; SLIPWAY_EDGE_SCORE.
        report_seconds: How often counts are reported that have changed; SLIPWAY_EDGE_REPORT_SECONDS.
        image: The image that it runs, which it reports; SLIPWAY_EDGE_IMAGE.
    """

    store: Path
    score: str
    report_seconds: int
    image: str = ""

    @classmethod
    def from_reader(cls, reader: Reader) -> EdgeSettings:
        """Read the settings.

        Args:
            reader: The environment's variables; takes what is wrong with them.
        """
        store = Path(reader.text("SLIPWAY_EDGE_STORE", STORE_FOLDER))
        if not store.is_dir():
            reader.problems.append(
                f"the store's folder {store} does not exist; mount a volume there, or name one in SLIPWAY_EDGE_STORE"
            )
        return cls(
            store=store,
            score=reader.text("SLIPWAY_EDGE_SCORE", "score"),
            report_seconds=reader.integer("SLIPWAY_EDGE_REPORT_SECONDS", 30, least=1, most=86_400),
            image=reader.text("SLIPWAY_EDGE_IMAGE"),
        )
