"""How a model's image serves, what is collected of its requests, and what it tells: parts of `scoring`."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from pydantic import Field, ValidationInfo, field_validator

from manifest.fields import AsTuple, Checked, Memory, ShortForm, matching, refusal
from manifest.problems import shown

# What an image has beside the runtime's own packages, each by a lock in scoring/, where a model asks for it.
Extra = Literal["collect", "telemetry", "entra", "batch", "edge"]

_UNITS = {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}
_SIZE = r"[1-9][0-9]{0,5}(?:Ki|Mi|Gi)"


def _size_hint(value: str) -> str:
    number = re.fullmatch(r"([1-9]\d{0,5}) ?([kmg])(i?b?)", value, re.IGNORECASE)
    return f"; did you mean {shown(f'{number[1]}{number[2].upper()}i')}?" if number else ""


Size = Annotated[str, matching(_SIZE, 'a size such as "512Ki", "100Mi" or "1Gi"', _size_hint)]
ColumnName = Annotated[
    str, matching(r"(?!\s*$)[^\x00-\x1f\x7f]{1,256}", "a column's name, a text of one line and at most 256 characters")
]


def in_bytes(size: str) -> int:
    """Return a checked size in bytes."""
    return int(size[:-2]) * _UNITS[size[-2:]]


def _long_form(value: Any) -> Any:
    if isinstance(value, bool):
        return {} if value else None
    # A class's instance is the default of a key.
    if not isinstance(value, Mapping | Checked):
        raise refusal(f"must be true, false or a mapping, not {shown(value)}")
    return value


# `true` for a mapping without keys, all by default, and `false` for none.
OR_SWITCH = ShortForm(_long_form, {"type": "boolean"})


class Batching(Checked):
    """How many requests run() is called with at once: each of its arguments is then a list, and so is its answer."""

    max_size: Annotated[int, Ge(1), Le(65536)] = Field(default=64, description="Requests in one call, at most.")
    max_wait_ms: Annotated[int, Ge(0), Le(60_000)] = Field(
        default=0,
        description="How long the first of them waits for others, in milliseconds. With 0 it takes those that wait.",
    )


class Serving(Checked):
    """How the image serves; what is not given is the runtime's default."""

    workers: Annotated[int, Ge(1), Le(64)] = Field(default=1, description="How many processes answer.")
    threads: Annotated[int, Ge(1), Le(256)] = Field(
        default=1, description="How many calls of run() may be under way in each worker."
    )
    queue: Annotated[int, Ge(0), Le(1_000_000)] = Field(
        default=512, description="How many requests may wait in each worker; further ones are refused with 503."
    )
    timeout_seconds: Annotated[float, Ge(0.001), Le(86_400)] = Field(
        default=3600, description="How long a request may take, waiting included."
    )
    max_body: Size | None = Field(
        default=None,
        description="The largest request. Default: 100Mi, at most a tenth of the memory that each worker has.",
    )
    worker_memory: Memory | None = Field(
        default=None, description="A worker with so much memory of its own is replaced. Default: none is."
    )
    batching: Annotated[Batching | None, OR_SWITCH] = Field(
        default=None, description="Call run() with several requests at once; `true` for all defaults."
    )

    def variables(self) -> dict[str, str]:
        """Return what was given, as the runtime's environment variables."""
        found = {
            "workers": ("WORKER_COUNT", self.workers),
            "threads": ("SLIPWAY_THREADS", self.threads),
            "queue": ("SLIPWAY_QUEUE", self.queue),
            "timeout_seconds": ("SCORING_TIMEOUT_MS", round(self.timeout_seconds * 1000)),
            "max_body": ("SLIPWAY_MAX_BODY_BYTES", in_bytes(self.max_body or "0Ki")),
            "worker_memory": ("SLIPWAY_WORKER_MEMORY_BYTES", in_bytes(self.worker_memory or "0Ki")),
        }
        given = dict(variable for field, variable in found.items() if field in self.model_fields_set)
        if self.batching:
            given |= {
                "SLIPWAY_BATCH_SIZE": self.batching.max_size,
                "SLIPWAY_BATCH_WAIT_MS": self.batching.max_wait_ms,
            }
        return {name: str(value) for name, value in given.items()}


class Collect(Checked):
    """What is kept of requests and answers; the stack's configuration says where."""

    inputs: bool = Field(default=True, description="Keep requests.")
    outputs: bool = Field(default=True, description="Keep answers.")
    sample: Annotated[float, Ge(0), Le(1)] = Field(default=1, description="The share of requests that is kept.")
    drop: Annotated[tuple[ColumnName, ...], AsTuple] = Field(default=(), description="Columns to leave out.")
    hash: Annotated[tuple[ColumnName, ...], AsTuple] = Field(
        default=(), description="Columns to replace by a hash, with the key of the stack's configuration."
    )
    largest: Size = Field(default="1Mi", description="A larger body is not kept.")

    @field_validator("hash", mode="after")
    @classmethod
    def _drop_or_hash(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        dropped = {name.strip().casefold() for name in info.data.get("drop", ())}
        if both := [name for name in value if name.strip().casefold() in dropped]:
            raise refusal(f"{', '.join(map(shown, both))} is in `drop` too; name a column in one of them")
        return value

    def settings(self) -> dict[str, Any]:
        """Return what was given, as keys of the runtime's SLIPWAY_COLLECT."""
        given = {name: getattr(self, name) for name in sorted(self.model_fields_set)}
        return given | ({"largest": in_bytes(self.largest)} if "largest" in given else {})


Collecting = Annotated[Collect | None, OR_SWITCH]
