"""Counting what a worker does, cheaply; and telling what all of them did, to Prometheus."""

from __future__ import annotations

import os
import threading
from array import array
from bisect import bisect_left
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scoring.telemetry import counters as slots

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from scoring.telemetry.counters import Counters

_BASES = {route: slots.REQUESTS + index * slots.ROUTE_SLOTS for index, route in enumerate(slots.ROUTES)}
_OTHER = _BASES["other"]
_REASONS = {reason: slots.REJECTED + index for index, reason in enumerate(slots.REASONS)}
_DURATION_SUM = slots.DURATION + slots.SUM_OF_SECONDS
_RECEIVED_SUM = slots.RECEIVED + slots.SUM_OF_BYTES
_SENT_SUM = slots.SENT + slots.SUM_OF_BYTES
_NO_DURATIONS = bytes(8 * slots.SUM_OF_SECONDS)
_RUN_SUM = slots.RUN + slots.SUM_OF_SECONDS
_BATCHES_SUM = slots.BATCHES + slots.SUM_OF_BATCH


class Metrics:
    """What one process counts.

    `request`, `run`, `queue` and `rejected` belong to the thread of the event loop: they take no lock. The others may
    be called in any thread.
    """

    def __init__(self, block: memoryview[float]) -> None:
        """Count on in a block, as the process that calls this.

        Args:
            block: `Counters.of(worker)`, or `Counters.master`.
        """
        self._block = block
        self._lock = threading.Lock()
        block[slots.PID] = os.getpid()

    def request(self, route: str, status: int, seconds: float, in_bytes: int, out_bytes: int) -> None:
        """Count a request that was answered.

        Args:
            route: Its route, without a prefix; one that is not in `ROUTES` counts as "other".
            status: The HTTP status of the answer.
            seconds: How long it took, from the request's last byte to the answer.
            in_bytes: The size of the request's body, as it came.
            out_bytes: The size of the answer's body, as it was sent.
        """
        block = self._block
        base = _BASES.get(route, _OTHER)
        block[base + (status if slots.FIRST_STATUS <= status < slots.STATUSES else 0)] += 1
        block[base + slots.DURATION + bisect_left(slots.SECONDS, seconds)] += 1
        block[base + _DURATION_SUM] += seconds
        block[base + slots.RECEIVED + bisect_left(slots.BYTES, in_bytes)] += 1
        block[base + _RECEIVED_SUM] += in_bytes
        block[base + slots.SENT + bisect_left(slots.BYTES, out_bytes)] += 1
        block[base + _SENT_SUM] += out_bytes

    def run(self, seconds: float, batch: int) -> None:
        """Count a call of the script's run function.

        Args:
            seconds: How long it took.
            batch: How many requests it answered.
        """
        block = self._block
        block[slots.RUN + bisect_left(slots.SECONDS, seconds)] += 1
        block[_RUN_SUM] += seconds
        block[slots.BATCHES + bisect_left(slots.BATCH, batch)] += 1
        block[_BATCHES_SUM] += batch

    def queue(self, depth: int) -> None:
        """Tell how many requests wait for run()."""
        self._block[slots.QUEUE] = depth

    def rejected(self, reason: str) -> None:
        """Count a request that was refused.

        Args:
            reason: Why; one that is not in `REASONS` counts as "other".
        """
        self._block[_REASONS.get(reason, _REASONS["other"])] += 1

    def init(self, seconds: float) -> None:
        """Tell how long the script's init function took."""
        self._block[slots.INIT] = seconds

    def collected(self, n: int) -> None:
        """Count rows that were collected."""
        self._add(slots.COLLECTED, n)

    def dropped(self, n: int) -> None:
        """Count rows that should have been collected, and were not."""
        self._add(slots.DROPPED_ROWS, n)

    def dropped_spans(self, n: int) -> None:
        """Count spans and log events that no collector took."""
        self._add(slots.DROPPED_SPANS, n)

    def _add(self, slot: int, n: int) -> None:
        with self._lock:
            self._block[slot] += n


def render(counters: Counters, *, model: str, version: str, accept: str = "") -> tuple[bytes, str]:
    """Tell the metrics of all processes.

    It reads shared memory and `/proc` only, so any worker may answer for all, in any thread.

    Args:
        counters: What the processes share.
        model: The model's name.
        version: The model's version.
        accept: The request's Accept header: OpenMetrics where it asks for that, else Prometheus' text.

    Returns:
        The body, and its content type.
    """
    from prometheus_client.exposition import choose_encoder  # noqa: PLC0415 - slow to import
    from prometheus_client.registry import CollectorRegistry  # noqa: PLC0415 - slow to import

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(counters, model, version))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Collector:
    """Makes Prometheus' metrics of the counters, when a registry asks for them."""

    def __init__(self, counters: Counters, model: str, version: str) -> None:
        self._counters = counters
        self._model = model
        self._version = version

    def collect(self) -> Iterator[Any]:
        """Give each metric with its samples."""
        from prometheus_client.core import (  # noqa: PLC0415 - slow to import
            CounterMetricFamily,
            GaugeMetricFamily,
            InfoMetricFamily,
        )

        blocks = self._counters.blocks()
        heads = [_copy(block[: slots.REQUESTS]) for block in blocks]
        total = _summed(heads)
        seen = [(route, values) for route, base in _BASES.items() if (values := _of_route(blocks, base))]
        yield InfoMetricFamily(
            "slipway_model", "The model that is served.", {"name": self._model, "version": self._version}
        )
        requests = CounterMetricFamily("slipway_requests", "Requests answered.", labels=("code", "route"))
        for route, values in seen:
            for status, count in enumerate(values[: slots.STATUSES]):
                if count:
                    requests.add_metric((str(status or "other"), route), count)
        yield requests
        yield from _request_histograms(seen)
        yield _histogram(
            "slipway_run_duration_seconds",
            "Time in run(), for each call of it.",
            slots.SECONDS,
            [((), total[slots.RUN :])],
        )
        yield _histogram(
            "slipway_batch_size", "Requests answered by one call of run().", slots.BATCH, [((), total[slots.BATCHES :])]
        )
        rejected = CounterMetricFamily("slipway_rejected", "Requests refused without asking run().", labels=("reason",))
        for reason, slot in _REASONS.items():
            rejected.add_metric((reason,), total[slot])
        yield rejected
        for name, text, value in (
            ("slipway_collected_rows", "Rows of inputs and outputs collected.", total[slots.COLLECTED]),
            ("slipway_dropped_rows", "Rows that should have been collected, and were not.", total[slots.DROPPED_ROWS]),
            ("slipway_dropped_spans", "Spans and log events that no collector took.", total[slots.DROPPED_SPANS]),
            ("slipway_worker_restarts", "Worker processes replaced.", float(self._counters.restarts)),
        ):
            yield CounterMetricFamily(name, text, value=value)
        slowest = max(head[slots.INIT] for head in heads)
        for name, text, value in (
            ("slipway_queue_depth", "Requests that wait for run().", total[slots.QUEUE]),
            ("slipway_workers", "Worker processes alive.", sum(1.0 for head in heads[1:] if head[slots.PID])),
            ("slipway_init_duration_seconds", "Time of the latest init(), in the slowest worker.", slowest),
        ):
            yield GaugeMetricFamily(name, text, value=value)
        used = _used([int(head[slots.PID]) for head in heads if head[slots.PID]])
        if used is not None:
            resident, cpu = used
            yield GaugeMetricFamily(
                "process_resident_memory_bytes",
                "Resident memory of all processes; a page that they share counts in each.",
                value=resident,
            )
            yield CounterMetricFamily(
                "process_cpu_seconds",
                "Processor time of all processes, ended ones included.",
                value=cpu + self._counters.ended_cpu_seconds,
            )


def _of_route(blocks: Iterable[memoryview[float]], base: int) -> list[float]:
    """What all blocks have of a route; empty where none has counted a request."""
    return _summed(
        _copy(block[base : base + slots.ROUTE_SLOTS])
        for block in blocks
        # Most blocks have only a few of the routes, and no request is without a duration.
        if block[base + slots.DURATION : base + _DURATION_SUM].tobytes() != _NO_DURATIONS
    )


# The event loop waits for what follows: neither may cost a step of the interpreter for each slot.


def _copy(view: memoryview[float]) -> array[float]:
    return array("d", view.tobytes())


def _summed(blocks: Iterable[array[float]]) -> list[float]:
    return list(map(sum, zip(*blocks, strict=True)))


def _request_histograms(seen: Sequence[tuple[str, list[float]]]) -> Iterator[Any]:
    for name, text, bounds, start in (
        (
            "slipway_request_duration_seconds",
            "From a request's last byte to its answer.",
            slots.SECONDS,
            slots.DURATION,
        ),
        ("slipway_request_size_bytes", "Sizes of requests' bodies.", slots.BYTES, slots.RECEIVED),
        ("slipway_response_size_bytes", "Sizes of answers' bodies.", slots.BYTES, slots.SENT),
    ):
        yield _histogram(name, text, bounds, [((route,), values[start:]) for route, values in seen], ("route",))


def _histogram(
    name: str,
    text: str,
    bounds: Sequence[float],
    series: Iterable[tuple[tuple[str, ...], list[float]]],
    labels: tuple[str, ...] = (),
) -> Any:
    from prometheus_client.core import HistogramMetricFamily  # noqa: PLC0415 - slow to import
    from prometheus_client.utils import floatToGoString  # noqa: PLC0415 - slow to import

    family = HistogramMetricFamily(name, text, labels=labels)
    for values, counts in series:
        buckets, below = [], 0.0
        for bound, count in zip((*bounds, float("inf")), counts, strict=False):
            below += count
            buckets.append((floatToGoString(bound), below))  # type: ignore[no-untyped-call]  # it has no types
        family.add_metric(values, buckets, sum_value=counts[len(bounds) + 1])
    return family


def _used(pids: Iterable[int]) -> tuple[float, float] | None:
    """Resident bytes and processor seconds of processes; None where the system does not tell."""
    if not Path("/proc/self/stat").exists():
        return None
    page, ticks = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
    resident = cpu = 0.0
    for pid in pids:
        try:
            # What follows the name, which may have spaces and brackets in it.
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:  # it has just ended
            continue
        resident += int(fields[21]) * page
        cpu += (int(fields[11]) + int(fields[12])) / ticks
    return resident, cpu
