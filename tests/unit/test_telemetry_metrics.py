"""What workers count in shared memory, and what Prometheus reads of it."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from scoring.telemetry.counters import BATCH, BYTES, REASONS, ROUTES, SECONDS, Counters
from scoring.telemetry.metrics import Metrics, render
from tests.unit.codecs_harness import memory
from tests.unit.forks import may_fork
from tests.unit.scoring_harness import until

_END_WITH_PARENT = 1


def samples(counters: Counters, accept: str = "") -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    body, content_type = render(counters, model="iris", version="3", accept=accept)
    parse = parse_openmetrics if "openmetrics" in content_type else parse_text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(body.decode())
        for sample in family.samples
    }


def value(found: dict[Any, float], metric: str, **labels: str) -> float:
    return found[metric, frozenset(labels.items())]


def in_child(work: Any) -> int:
    """Do something in a process of its own, which ends with this one, and return its id."""
    if pid := os.fork():
        return pid
    try:
        ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL)
        work()
    except BaseException:  # noqa: BLE001 - nothing may leave a forked process of a test
        os._exit(1)
    os._exit(0)


def wait_for(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


requests = st.tuples(
    st.sampled_from([*ROUTES, "/nothing", "/score/../x"]),
    st.integers(-1, 1000),
    # Multiples of 1/1024 have exact sums.
    st.integers(0, 100 * 1024).map(lambda number: number / 1024),
    st.integers(0, 2**30),
    st.integers(0, 2**30),
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), requests), max_size=40))
def test_the_rendered_sums_are_what_was_observed(observed):
    counters = Counters(3)
    workers = [Metrics(counters.of(number)) for number in range(3)]
    answered: Counter[tuple[str, str]] = Counter()
    for worker, (route, status, seconds, received, sent) in observed:
        workers[worker].request(route, status, seconds, received, sent)
        known = route if route in ROUTES else "other"
        answered[str(status) if 100 <= status <= 599 else "other", known] += 1
    found = samples(counters)
    rendered = {
        (dict(labels)["code"], dict(labels)["route"]): count
        for (name, labels), count in found.items()
        if name == "slipway_requests_total"
    }
    assert rendered == answered
    for index, name, bounds in (
        (2, "slipway_request_duration_seconds", SECONDS),
        (3, "slipway_request_size_bytes", BYTES),
        (4, "slipway_response_size_bytes", BYTES),
    ):
        for route in ROUTES:
            values = [
                request[index] for _, request in observed if (request[0] if request[0] in ROUTES else "other") == route
            ]
            if values:
                assert value(found, f"{name}_count", route=route) == len(values)
                assert value(found, f"{name}_sum", route=route) == sum(values)
                buckets = {
                    float(dict(labels)["le"]): count
                    for (sample, labels), count in found.items()
                    if sample == f"{name}_bucket" and ("route", route) in labels
                }
                assert buckets == {
                    bound: sum(1 for each in values if each <= bound) for bound in (*bounds, float("inf"))
                }


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10 * 1024).map(lambda number: number / 1024), st.integers(1, 3000)), max_size=30)
)
def test_calls_of_run_and_their_batches_are_summed(calls):
    counters = Counters(2)
    workers = [Metrics(counters.of(0)), Metrics(counters.of(1))]
    for number, (seconds, batch) in enumerate(calls):
        workers[number % 2].run(seconds, batch)
    found = samples(counters)
    assert value(found, "slipway_run_duration_seconds_count") == len(calls)
    assert value(found, "slipway_run_duration_seconds_sum") == sum(seconds for seconds, _ in calls)
    assert value(found, "slipway_batch_size_sum") == sum(batch for _, batch in calls)
    for bound in BATCH:
        below = sum(1 for _, batch in calls if batch <= bound)
        assert value(found, "slipway_batch_size_bucket", le=str(bound)) == below


@may_fork
def test_processes_count_at_once_and_nothing_is_lost():
    counters, each = Counters(4), 20_000

    def work(number: int) -> None:
        metrics = Metrics(counters.of(number))
        chance = random.Random(number)
        for _ in range(each):
            metrics.request("/score", chance.choice((200, 500)), 0.25, 10, 20)
            metrics.run(0.5, 2)
        metrics.rejected("queue full")
        metrics.queue(number)

    children = [in_child(lambda number=number: work(number)) for number in range(4)]
    running, seen = set(children), [0.0]
    while running:
        found = samples(counters)
        seen.append(sum(count for (name, _), count in found.items() if name == "slipway_requests_total"))
        running -= {child for child in running if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)}
    assert [wait_for(child) for child in children] == [0] * 4
    assert seen == sorted(seen)
    found = samples(counters)
    answered = [value(found, "slipway_requests_total", code=code, route="/score") for code in ("200", "500")]
    assert sum(answered) == 4 * each
    assert min(answered) > 0
    assert value(found, "slipway_request_duration_seconds_sum", route="/score") == 4 * each / 4
    assert value(found, "slipway_batch_size_sum") == 8 * each
    assert value(found, "slipway_rejected_total", reason="queue full") == 4
    assert value(found, "slipway_queue_depth") == 6


@may_fork
def test_a_replaced_worker_leaves_its_totals_and_takes_its_gauges_with_it():
    counters = Counters(2)

    def work() -> None:
        metrics = Metrics(counters.of(1))
        metrics.request("/score", 200, 0.1, 1, 1)
        metrics.queue(7)
        metrics.init(3.5)
        started = time.process_time()
        while time.process_time() < started + 0.2:
            pass
        signal.pause()

    child = in_child(work)
    until(lambda: 3.5 in counters.of(1).tolist() and _cpu(child) >= 0.1, "the worker has worked")
    found = samples(counters)
    assert value(found, "slipway_workers") == 1
    assert value(found, "slipway_init_duration_seconds") == 3.5
    cpu = value(found, "process_cpu_seconds_total")
    os.kill(child, signal.SIGKILL)
    assert wait_for(child) == -signal.SIGKILL
    counters.retire(1)

    found = samples(counters)
    assert value(found, "slipway_workers") == 0
    assert value(found, "slipway_queue_depth") == 0
    assert value(found, "slipway_init_duration_seconds") == 0
    assert value(found, "slipway_worker_restarts_total") == 1
    assert value(found, "slipway_requests_total", code="200", route="/score") == 1
    # The clock of /proc has ticks of a hundredth.
    assert value(found, "process_cpu_seconds_total") >= cpu - 0.02

    Metrics(counters.of(1)).request("/score", 200, 0.1, 1, 1)
    found = samples(counters)
    assert value(found, "slipway_workers") == 1
    assert value(found, "slipway_requests_total", code="200", route="/score") == 2


def _cpu(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123 - the shortest way to one line
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@may_fork
def test_memory_and_processor_time_are_summed_over_the_living_processes():
    counters = Counters(1)

    def work() -> None:
        held = bytearray(64 * 1024 * 1024)
        held[:: os.sysconf("SC_PAGE_SIZE")] = b"x" * len(held[:: os.sysconf("SC_PAGE_SIZE")])
        Metrics(counters.of(0)).init(1.0)
        signal.pause()

    before = value(samples(counters), "process_resident_memory_bytes")
    child = in_child(work)
    until(lambda: 1.0 in counters.of(0).tolist(), "the worker holds its memory")
    after = value(samples(counters), "process_resident_memory_bytes")
    os.kill(child, signal.SIGKILL)
    wait_for(child)
    assert before > 0
    assert after > before + 64 * 1024 * 1024


def test_an_init_before_the_fork_is_told_by_the_master():
    counters = Counters(1)
    Metrics(counters.master).init(1.25)
    found = samples(counters)
    assert value(found, "slipway_init_duration_seconds") == 1.25
    assert value(found, "slipway_workers") == 0


def test_refusals_have_the_reasons_that_there_are():
    counters = Counters(1)
    metrics = Metrics(counters.of(0))
    for reason in (*REASONS, "because"):
        metrics.rejected(reason)
    found = samples(counters)
    counts = {reason: value(found, "slipway_rejected_total", reason=reason) for reason in REASONS}
    assert counts == {**dict.fromkeys(REASONS, 1.0), "other": 2.0}


def test_collected_and_dropped_rows_and_spans_are_counted():
    counters = Counters(1)
    metrics = Metrics(counters.of(0))
    metrics.collected(5)
    metrics.dropped(2)
    metrics.dropped_spans(3)
    found = samples(counters)
    assert value(found, "slipway_collected_rows_total") == 5
    assert value(found, "slipway_dropped_rows_total") == 2
    assert value(found, "slipway_dropped_spans_total") == 3


def test_openmetrics_is_given_to_whom_asks_for_it():
    counters = Counters(1)
    Metrics(counters.of(0)).request("/score", 200, 0.1, 1, 1)
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    assert render(counters, model="iris", version="3", accept=accept)[1].startswith("application/openmetrics-text")
    assert render(counters, model="iris", version="3", accept="*/*")[1].startswith("text/plain; version=0.0.4")
    found = samples(counters, accept)
    assert value(found, "slipway_requests_total", code="200", route="/score") == 1
    assert value(found, "slipway_model_info", name="iris", version="3") == 1


def test_what_many_workers_never_counted_is_not_read():
    counters = Counters(128)
    for worker in range(8):
        metrics = Metrics(counters.of(worker))
        metrics.request("/score", 200, 0.1, 1, 1)
        metrics.request("/live", 404, 0.0, 0, 0)
    assert value(samples(counters), "slipway_requests_total", code="200", route="/score") == 8
    with memory() as peak:
        render(counters, model="iris", version="1")
    # All slots of all blocks would be some thirty.
    assert peak() < 2 * 1024 * 1024


def test_a_name_with_quotes_and_line_ends_stays_a_label():
    body, _ = render(Counters(1), model='a"b\nc\\', version="1")
    [info] = [family for family in parse_text(body.decode()) if family.name == "slipway_model_info"]
    assert info.samples[0].labels["name"] == 'a"b\nc\\'


def test_there_is_no_block_beyond_the_workers():
    with pytest.raises(IndexError, match="worker 2 of 2"):
        Counters(2).of(2)


def test_counting_imports_nothing_heavy():
    code = "import sys; import scoring.telemetry.metrics; print([m for m in sys.modules if 'prometheus' in m])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
