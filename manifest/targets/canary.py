"""A version beside an earlier one: with a share of the requests, in steps or until it is edited, or with copies."""

from typing import Annotated, Self

from annotated_types import Ge, Gt, Le, Len, Lt
from pydantic import Field, field_validator, model_validator

from manifest.fields import AsTuple, Checked, Version, matching, refusal

Digest = Annotated[str, matching("sha256:[0-9a-f]{64}", 'an image\'s digest as in "sha256:..."')]
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
Period = Annotated[str, matching("[1-9][0-9]{0,4}[smhd]", 'a time as in "90s", "10m", "12h" or "7d"')]
Latency = Annotated[str, matching("[1-9][0-9]{0,4}(?:ms|s)", 'a time as in "250ms" or "2s"')]
Share = Annotated[int, Ge(1), Le(99)]
_WEIGHT = 10
_LONGEST = 60


def seconds_of(time: str) -> float:
    """Return a checked time in seconds."""
    number = time.rstrip("smhd")
    return int(number) * _SECONDS[time.removeprefix(number)]


class Earlier(Checked):
    """The version that was deployed before, by its image: what serves goes on as it is."""

    version: Version = Field(description="Its version.")
    digest: Digest = Field(description="Its image's digest; `slipway status --json` shows that of what is deployed.")


class AbortOn(Checked):
    """What a canary may not exceed, by its pods' own metrics since its present step began."""

    error_rate: Annotated[float, Gt(0), Lt(1)] | None = Field(
        default=None, description="The share of its answers at /score that are 5xx, as in 0.05."
    )
    p99: Latency | None = Field(default=None, description="The time that 99 % of its answers at /score stay below.")
    requests: Annotated[int, Ge(1), Le(1_000_000_000)] = Field(
        default=100, description="With fewer requests in the step nothing is concluded, and no further step taken."
    )

    @field_validator("p99", mode="after")
    @classmethod
    def _is_measured(cls, value: str) -> str:
        if seconds_of(value) >= _LONGEST:
            raise refusal(f"must be below {_LONGEST} s, where the histogram of the answers' times ends")
        return value

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.error_rate is None and self.p99 is None:
            raise refusal("has no limit; give `errorRate`, as in 0.05, or `p99`, as in 500ms, or both")
        return self


class Canary(Checked):
    """A version beside an earlier one, with a share of the requests."""

    from_: Earlier = Field(alias="from", description="The earlier version, which has all other requests.")
    weight: Share | None = Field(
        default=None,
        description=f"The share of this version, in percent, until it is edited. Default: {_WEIGHT}, without `steps`.",
    )
    steps: Annotated[tuple[Share, ...], AsTuple, Len(max_length=20)] = Field(
        default=(), description="Instead of `weight`: the shares that it has one after the other, as in [10, 50]."
    )
    for_: Period = Field(
        default="10m", alias="for", description="How long each of `steps` lasts at least; the next `up` takes another."
    )
    abort_on: AbortOn | None = Field(
        default=None, description="What sends it back: it gets no request any more, and the earlier version has all."
    )

    @model_validator(mode="after")
    def _goes_up(self) -> Self:
        given = self.model_fields_set
        if "steps" in given and not self.steps:
            raise refusal("has `steps` without a step; give the shares in percent, as in [10, 50], or `weight` alone")
        if self.steps and self.weight is not None:
            raise refusal(
                "has `weight` and `steps`; keep `steps`, whose first is the share that it begins with, or `weight`, "
                "which stays until it is edited"
            )
        if "for_" in given and not self.steps:
            raise refusal(
                "has `for` without `steps`: a `weight` stays until it is edited. Give `steps`, as in [10, 50]"
            )
        if any(later <= earlier for earlier, later in zip(self.steps, self.steps[1:], strict=False)):
            raise refusal(f"has `steps` that do not go up: {list(self.steps)}; each must be above the one before")
        return self

    @property
    def shares(self) -> tuple[int, ...]:
        """The shares that it has one after the other, in percent."""
        return self.steps or (self.weight or _WEIGHT,)

    @property
    def seconds(self) -> float | None:
        """How long each lasts; None where the only one stays until it is edited."""
        return seconds_of(self.for_) if self.steps else None

    @property
    def limits(self) -> dict[str, float] | None:
        """What it may not exceed, in seconds and shares; None where nothing sends it back."""
        if self.abort_on is None:
            return None
        given = self.abort_on
        p99 = seconds_of(given.p99) if given.p99 else None
        found = {"requests": given.requests, "errorRate": given.error_rate, "p99": p99}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def is_staged(self) -> bool:
        """Whether an unchanged manifest may lead to another share."""
        return bool(self.steps or self.abort_on)


class Shadow(Checked):
    """A version beside an earlier one, with copies of the requests; its answers reach nobody."""

    from_: Earlier = Field(alias="from", description="The earlier version, which answers.")
