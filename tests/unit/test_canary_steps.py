"""Which step of a canary is due: properties of the decisions, over whatever the clock and the cluster tell."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.slipway.canary_counts import Counts, summed
from provider.slipway.canary_steps import CannotTellError, Limits, Plan, Seen, Stage, begun, decide

START = datetime(2026, 1, 1, tzinfo=UTC)
SECONDS = 600.0
LIMITS = Limits(requests=100, error_rate=0.05)
steps = st.lists(st.integers(1, 99), min_size=1, max_size=6, unique=True).map(lambda found: tuple(sorted(found)))
plans = st.builds(Plan, steps, st.just(SECONDS), st.sampled_from([None, LIMITS]))
# Seconds until the next look, and what it finds: nothing, pods that are not ready, or requests and failures.
looks = st.tuples(
    st.floats(0, 3 * SECONDS),
    st.one_of(st.none(), st.just("starting"), st.tuples(st.integers(0, 400), st.integers(0, 400))),
)


def seen(found, counted, since):
    """What the cluster tells; counts go up from look to look."""

    def look():
        if found is None:
            raise CannotTellError("the cluster does not answer")
        if found == "starting":
            return Seen(None, "0 of its 1 pods are ready", dict(counted))
        return Seen(since, "1 of its 1 pods are ready", dict(counted))

    return look


def history(plan, given_looks):
    """Each stage with the moment, what was looked at, and what the pod had counted in that step."""
    now, stage, counted = START, begun(plan, START).stage, {"pod": Counts()}
    yield now, stage, None, Counts()
    for seconds, found in given_looks:
        now += timedelta(seconds=seconds)
        if isinstance(found, tuple):
            requests, errors = max(found), min(found)
            before = counted["pod"]
            counted = {"pod": Counts(before.requests + requests, before.errors + errors)}
        in_step = counted["pod"].since(stage.counted.get("pod"))
        stage = decide(plan, stage, now, seen(found, counted, stage.since)).stage
        yield now, stage, found, in_step


@given(plans, st.lists(looks, max_size=20))
def test_a_canary_only_goes_up_by_one_step_after_its_time_by_what_was_seen_of_it_or_down_to_nothing(plan, given_looks):
    previous = None
    for now, stage, found, in_step in history(plan, given_looks):
        if previous is None:
            assert (stage.weight, stage.phase) == (plan.steps[0], "running")
        elif stage != previous:
            assert previous.phase == "running"
            assert isinstance(found, tuple)
            if stage.phase == "aborted":
                assert plan.limits
                assert stage.weight == 0
                assert in_step.requests >= plan.limits.requests
                assert in_step.error_rate > plan.limits.error_rate
            else:
                assert now - previous.since >= timedelta(seconds=SECONDS)
                assert plan.limits is None or in_step.error_rate <= plan.limits.error_rate
                assert plan.limits is None or in_step.requests >= plan.limits.requests
                index = plan.steps.index(previous.weight)
                if stage.phase == "finished":
                    assert index == len(plan.steps) - 1
                else:
                    assert stage.weight == plan.steps[index + 1]
        previous = stage


@given(plans, st.lists(looks, max_size=20))
def test_a_stage_comes_back_from_the_state_as_it_was(plan, given_looks):
    for _, stage, _, _ in history(plan, given_looks):
        kept = Stage.of(stage.values)
        assert kept.values == stage.values


@given(steps, steps)
def test_other_steps_in_the_entry_go_no_further_than_the_last_that_was_reached_or_begin(old, new):
    for weight in old:
        found = decide(Plan(new, SECONDS), Stage(weight, START), START, seen(None, {}, START)).stage.weight
        assert found in new
        assert found <= weight or found == new[0]


def test_before_its_time_a_canary_without_limits_asks_nobody():
    def look():
        raise AssertionError("asked")

    plan, stage = Plan((10, 50), SECONDS), Stage(10, START)
    found = decide(plan, stage, START + timedelta(seconds=SECONDS - 1), look)
    assert found.stage is stage
    assert found.says == "has 10 %; 50 % from 2026-01-01 00:10:00 UTC on"


def test_a_step_begins_when_its_pods_are_ready():
    plan, stage, ready = Plan((10, 50), SECONDS), Stage(10, START), START + timedelta(seconds=300)
    late = START + timedelta(seconds=SECONDS + 1)
    assert decide(plan, stage, late, lambda: Seen(ready, "")).stage is stage
    assert decide(plan, stage, ready + timedelta(seconds=SECONDS), lambda: Seen(ready, "")).stage.weight == 50


def test_a_weight_that_stays_is_only_ever_aborted():
    plan, stage = Plan((10,), None, LIMITS), Stage(10, START)
    much_later = START + timedelta(days=900)
    good, bad = ({"pod": Counts(1000, errors)} for errors in (50, 51))
    assert decide(plan, stage, much_later, seen((1, 1), good, START)).stage is stage
    found = decide(plan, stage, much_later, seen((1, 1), bad, START))
    assert (found.stage.phase, found.stage.weight, found.severity) == ("aborted", 0, "warning")
    assert "51 of 1000 requests failed (5.1 %; allowed are 5 %) at 10 %" in found.says


def test_only_the_requests_of_the_present_step_count():
    plan, now = Plan((10, 50), SECONDS, LIMITS), START + timedelta(seconds=1)
    stage = Stage(50, START, counted={"old": Counts(1000, 40)})
    calm = {"old": Counts(1100, 40), "new": Counts(50, 0)}
    assert decide(plan, stage, now, seen((1, 1), calm, START)).stage is stage
    bad = {"old": Counts(1100, 46), "new": Counts(50, 2)}
    assert "8 of 150" in decide(plan, stage, now, seen((1, 1), bad, START)).stage.reason


METRICS = """
# HELP slipway_requests_total Requests answered.
# TYPE slipway_requests_total counter
slipway_requests_total{code="200",route="/score"} 90.0
slipway_requests_total{code="503",route="/score"} 6.0
slipway_requests_total{code="401",route="/score"} 4.0
slipway_requests_total{code="500",route="/status"} 7.0
# HELP slipway_request_duration_seconds From a request's last byte to its answer.
# TYPE slipway_request_duration_seconds histogram
slipway_request_duration_seconds_bucket{le="0.1",route="/score"} 50.0
slipway_request_duration_seconds_bucket{le="0.5",route="/score"} 98.0
slipway_request_duration_seconds_bucket{le="1.0",route="/score"} 100.0
slipway_request_duration_seconds_bucket{le="+Inf",route="/score"} 100.0
slipway_request_duration_seconds_count{route="/score"} 100.0
slipway_request_duration_seconds_sum{route="/score"} 12.5
slipway_request_duration_seconds_bucket{le="+Inf",route="/ready"} 900.0
"""


def test_a_pods_metrics_are_read_for_its_answers_alone():
    found = Counts.parsed(METRICS)
    assert (found.requests, found.errors, found.error_rate) == (100, 6, 0.06)
    # As histogram_quantile: half of what is between 98 and 100 of 100.
    assert found.p99 == pytest.approx(0.75)
    assert Counts().p99 == 0
    assert Limits(100, p99=0.7).exceeded(found)
    assert not Limits(100, p99=0.8).exceeded(found)
    assert not Limits(101, p99=0.1, error_rate=0.01).exceeded(found)


def test_a_container_that_was_started_anew_counts_from_nothing():
    assert Counts(5, 1).since(Counts(100, 90)) == Counts(5, 1)
    assert Counts(7, 3, {"+Inf": 7}).since(Counts(5, 1, {"+Inf": 5})) == Counts(2, 2, {"+Inf": 2})
    assert summed([Counts(1, 1, {"1.0": 1}), Counts(2, 0, {"1.0": 2})]) == Counts(3, 1, {"1.0": 3})
