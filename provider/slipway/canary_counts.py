"""What pods of a model counted, as their /metrics tell it: answers, failures, and how long answers took."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ROUTE = "/score"
_REQUESTS = "slipway_requests_total"
_BUCKETS = "slipway_request_duration_seconds_bucket"
_P99 = 0.99


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals of one pod, or of several.

    Attributes:
        requests: Answers at /score.
        errors: Those of them that are 5xx.
        within: How many took at most so many seconds, by the histogram's bounds as they are written.
    """

    requests: int = 0
    errors: int = 0
    within: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def parsed(cls, text: str) -> Counts:
        """Read a pod's /metrics.

        Args:
            text: In Prometheus' format.

        Raises:
            ValueError: It is in no such format.
        """
        from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415 - only canaries need it

        requests = errors = 0
        within: Counter[str] = Counter()
        families = text_string_to_metric_families(text)
        for one in (sample for family in families for sample in family.samples):
            if one.labels.get("route") != _ROUTE:
                continue
            if one.name == _REQUESTS:
                requests += int(one.value)
                errors += int(one.value) if one.labels.get("code", "").startswith("5") else 0
            elif one.name == _BUCKETS:
                within[one.labels["le"]] += int(one.value)
        return cls(requests, errors, dict(within))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Counts:
        """Return what `values` had."""
        return cls(values["requests"], values["errors"], dict(values["within"]))

    @property
    def values(self) -> dict[str, Any]:
        """What the state keeps."""
        return {"requests": self.requests, "errors": self.errors, "within": dict(self.within)}

    @property
    def error_rate(self) -> float:
        """The share of answers that are 5xx."""
        return self.errors / self.requests if self.requests else 0.0

    @property
    def p99(self) -> float:
        """The seconds that 99 % of the answers stay below, as Prometheus' histogram_quantile estimates them."""
        bounds = sorted((float(bound), count) for bound, count in self.within.items())
        if not bounds or not bounds[-1][1]:
            return 0.0
        rank, low, before = _P99 * bounds[-1][1], 0.0, 0
        for bound, count in bounds:
            if count >= rank:
                # Above the last bound nothing is known but that.
                return low if math.isinf(bound) else low + (bound - low) * (rank - before) / (count - before)
            low, before = bound, count
        return low

    def since(self, earlier: Counts | None) -> Counts:
        """Return what came after an earlier look at the same pod.

        Args:
            earlier: What it had counted then; None where it was not there.
        """
        if earlier is None or earlier.requests > self.requests:
            # Its container was started anew, and counts from nothing.
            return self
        within = {bound: max(0, count - earlier.within.get(bound, 0)) for bound, count in self.within.items()}
        return Counts(self.requests - earlier.requests, max(0, self.errors - earlier.errors), within)


def summed(all_: Iterable[Counts]) -> Counts:
    """Return what several pods counted together.

    Args:
        all_: Of each.
    """
    requests = errors = 0
    within: Counter[str] = Counter()
    for one in all_:
        requests, errors = requests + one.requests, errors + one.errors
        within.update(one.within)
    return Counts(requests, errors, dict(within))
