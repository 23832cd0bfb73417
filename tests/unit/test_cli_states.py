"""How good a state is: every word has a tone, and whatever judges states judges them alike."""

from types import SimpleNamespace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.diagnosis.checks.health import _judged, _on_devices
from cli.graph.graph import graph_of
from cli.placements.devices import DeviceState, overall
from cli.placements.placement import Placement
from cli.placements.pods import ROLLED_BACK, SLEEPS, state_of
from cli.placements.states import TONES, tone_of
from cli.placements.table import print_placements
from scoring.service import State

COLOURS = {"good": "\x1b[32m", "waiting": "\x1b[33m", "bad": "\x1b[31m", "absent": "\x1b[2m"}
COUNTS = st.none() | st.integers(0, 3)
MARKS = st.sets(st.sampled_from([ROLLED_BACK, SLEEPS])).map(lambda names: dict.fromkeys(names, "true"))
CONDITIONS = st.lists(
    st.builds(SimpleNamespace, type=st.just("Progressing"), status=st.sampled_from(["True", "False"])), max_size=1
)


def test_every_word_of_the_service_has_a_tone():
    assert set(get_args(State)) <= TONES.keys()


@given(st.integers(0, 3), COUNTS, COUNTS, COUNTS, COUNTS, CONDITIONS, MARKS)
def test_every_word_for_a_deployment_has_a_tone(wanted, available, updated, total, seen, conditions, marks):
    deployment = SimpleNamespace(
        spec=SimpleNamespace(replicas=wanted),
        metadata=SimpleNamespace(generation=2, annotations=marks or None),
        status=SimpleNamespace(
            available_replicas=available,
            updated_replicas=updated,
            replicas=total,
            observed_generation=seen,
            conditions=conditions or None,
        ),
    )
    assert state_of(deployment) in TONES


@given(
    st.lists(st.builds(DeviceState, st.just("d"), st.sampled_from(["failed", "waiting", "rolling", *get_args(State)])))
)
def test_every_word_for_a_fleet_has_a_tone(devices):
    assert overall(devices) in TONES


@pytest.mark.parametrize(
    ("state", "tone"),
    [
        ("asleep", "good"),
        ("updating", "waiting"),
        ("waiting", "waiting"),
        ("rolling", "waiting"),
        ("unknown", "waiting"),
        ("no device", "waiting"),
        ("stuck", "bad"),
        ("rolled back", "bad"),
        ("stopped", "bad"),
        ("a word of tomorrow", "bad"),
        ("not deployed", "absent"),
    ],
)
def test_what_is_under_way_or_asleep_is_not_told_as_a_failure(state, tone):
    assert tone_of(state) == tone


@pytest.mark.parametrize("state", [*TONES, "a word of tomorrow"])
def test_the_table_and_the_graph_show_a_state_alike(state, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    row = Placement("iris", "1", "aks", state=state)
    print_placements([row], "dev")
    [target] = [node for node in graph_of("dev", [row]).nodes if node.kind == "target"]
    assert f"{COLOURS[target.tone]}{state}" in capsys.readouterr().out


@pytest.mark.parametrize("state", get_args(State))
def test_a_diagnosis_calls_sound_what_the_status_calls_good_and_nothing_else(state):
    service = Placement("iris", "1", "aci", "http://127.0.0.1:1")
    fleet = Placement("iris", "1", "iot-edge", devices=(DeviceState("d", state),), state=state, error="why")
    expected = {"good": "ok", "waiting": "warning", "bad": "problem"}[tone_of(state)]
    assert _judged("dev", service, {"state": state}).status == expected
    assert _on_devices(fleet).status == expected
