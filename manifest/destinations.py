"""Where a stack's models put what they collect and trace; never with a secret in it, since secrets stand apart."""

import re
from typing import Annotated, Any

from annotated_types import Ge, Le
from pydantic import Field

from manifest.fields import Checked, Memory, Rule, mebibytes
from manifest.problems import shown

_DESTINATION = r"volume|none|/[^\x00-\x1f\x7f]{0,1023}|(?:abfss?|az)://[A-Za-z0-9$][^\s:?#]{0,1022}"


def _wrong_destination(value: str) -> str | None:
    if re.fullmatch(_DESTINATION, value):
        return None
    if "://" in value and re.search(r"[?#]|//[^/]*:", value):
        # Not repeated in the message: it may hold a key.
        return "must be an address without a query, a port or a password; credentials are a secret of their own"
    return (
        "must be blob storage as in abfs://CONTAINER/PATH, an absolute folder of the Docker engine's machine, "
        f"volume (one of the engine's) or none, not {shown(value)}"
    )


Destination = Annotated[str, Rule(f"^(?:{_DESTINATION})$", _wrong_destination)]
_COLLECTOR = r"https?://[^\s/@?#]+(?:/[^\s@?#]*)?"


def _wrong_collector(value: str) -> str | None:
    if re.fullmatch(_COLLECTOR, value):
        return None
    # Not repeated in the message: it may hold a key.
    return "must be an http or https address without a password or a query; credentials go into slipway:otlpHeaders"


Collector = Annotated[str, Rule(f"^{_COLLECTOR}$", _wrong_collector)]


def _secret(shortest: int) -> Rule:
    """A text that no message repeats."""
    pattern = rf"[^\x00-\x1f\x7f]{{{shortest},4096}}"
    message = f"must be a text of one line with {shortest} to 4096 characters (it is not shown here)"
    return Rule(f"^{pattern}$", lambda value: None if re.fullmatch(pattern, value) else message)


Secret = Annotated[str, _secret(1)]
HashKey = Annotated[str, _secret(16)]


class CollectSettings(Checked):
    """Where models' inputs and outputs are kept, and how they get there."""

    to: Destination = Field(
        description="abfs://CONTAINER/PATH, a folder of the Docker engine's machine, `volume`, or `none`: not at all."
    )
    rows: Annotated[int, Ge(1), Le(10_000_000)] = Field(default=10_000, description="A part has so many rows at most.")
    seconds: Annotated[int, Ge(1), Le(86_400)] = Field(
        default=30, description="A part is written at this age: what a killed process loses at most."
    )
    memory: Memory = Field(default="64Mi", description="How much may wait to be written, in each worker.")

    def settings(self) -> dict[str, Any]:
        """Return what was given beside the destination, as keys of the runtime's SLIPWAY_COLLECT."""
        given = {name: getattr(self, name) for name in sorted(self.model_fields_set - {"to"})}
        return given | ({"memory": mebibytes(self.memory) * 1024 * 1024} if "memory" in given else {})


class TelemetrySettings(Checked):
    """Where traces go."""

    otlp: Collector = Field(description="An OTLP collector that takes HTTP, as http://collector:4318.")
